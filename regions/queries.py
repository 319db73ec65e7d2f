"""Reads of the regions. What each is doing comes from whoever settings.REGION_STATES names, since
no domain imports another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from infra_console.fleet.queries import list_regions
from regions.adapters.probes import probed
from regions.core.rtt import Pair, Position, RoundTrip, round_trips
from regions.core.spill import Load
from regions.models import Drain, MatrixImport


class RegionState(Protocol):
    """One region as the map needs it. None is unknown; `state` is a freshness word."""

    id: str
    place: str
    latitude: float
    longitude: float
    jurisdiction: str
    state: str
    age_s: float | None
    gpus: int | None
    utilisation: float | None
    rps: float | None
    ttft_p95_ms: float | None
    worst_slo_ratio: float | None
    worst_slo_model: str
    problem: str


class ReadsRegions(Protocol):
    def __call__(self, *, now: datetime | None = None) -> Sequence[RegionState]: ...


def region_states(*, now: datetime | None = None, only: str = "") -> list[RegionState]:
    """Every region of the fleet, or `only` one."""
    read: Callable[..., Sequence[RegionState]] = import_string(settings.REGION_STATES)
    return [state for state in read(now=now) if not only or state.id == only]


def is_known(region: RegionState) -> bool:
    """Whether its numbers are of now: old ones are shown, but not coloured as if they were."""
    return region.state not in {"stale", "down"} and region.worst_slo_ratio is not None


@dataclass(frozen=True, slots=True)
class RttRow:
    """The ways from one region, in the order of the table's columns; None is the way to itself."""

    origin: str
    trips: tuple[RoundTrip | None, ...]


@dataclass(frozen=True, slots=True)
class RttTable:
    """Every pair of regions with its round trip, and how much of that was measured."""

    regions: tuple[str, ...]
    rows: tuple[RttRow, ...]
    counts: dict[str, int]  # pairs by origin of their value
    problems: tuple[str, ...]  # sources that did not answer
    imported: MatrixImport | None


def round_trip_times(*, now: datetime | None = None) -> tuple[dict[Pair, RoundTrip], list[str]]:
    """The best that is known of every pair of the fleet's regions; what failed meanwhile."""
    moment = now or datetime.now(UTC)
    places = {r.id: Position(r.latitude, r.longitude) for r in list_regions()}
    probes, problems = probed(moment)
    return round_trips(places, probes=probes, matrix=_imported(moment)), problems


def rtt_table(*, now: datetime | None = None) -> RttTable:
    """The matrix as the page shows it."""
    times, problems = round_trip_times(now=now)
    regions = tuple(r.id for r in list_regions())
    origins = [time.origin for time in times.values()]
    return RttTable(
        regions=regions,
        rows=tuple(RttRow(a, tuple(times.get((a, b)) for b in regions)) for a in regions),
        counts={origin: origins.count(origin) for origin in ("probe", "matrix", "estimate")},
        problems=tuple(problems),
        imported=MatrixImport.objects.first(),
    )


def _imported(now: datetime) -> dict[Pair, RoundTrip]:
    newest = MatrixImport.objects.first()
    if newest is None:
        return {}
    age_s = (now - newest.measured_at).total_seconds()
    return {
        (origin, target): RoundTrip(float(ms), "matrix", age_s)
        for origin, row in newest.document.items()
        for target, ms in row.items()
    }


def region_loads() -> list[Load]:
    """What each model is asked in each region and could serve there; None is unknown."""
    read: Callable[[], Sequence[Load]] = import_string(settings.REGION_LOADS)
    return [Load(row.region, row.model, row.rps, row.room_rps) for row in read()]


def room_of(model: str) -> dict[str, float | None]:
    """Requests per second of one model that each region serves within its limit."""
    return {load.region: load.room_rps for load in region_loads() if load.model == model}


def drained() -> set[str]:
    """Regions that somebody drained."""
    return set(Drain.objects.values_list("region", flat=True))
