"""Round-trip times between regions: measured, imported or estimated, each with origin and age."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import asin, cos, radians, sin, sqrt
from typing import Literal

Origin = Literal["probe", "matrix", "estimate"]

EARTH_RADIUS_KM = 6371.0
# Light in fibre: 200 km a millisecond, there and back. Real paths are longer than the great circle:
# 1.77 is the median over Azure's P50 matrix of April 2024 (13 regions; 1.24 to 4.5).
FIBRE_KM_PER_MS = 200.0
PATH_STRETCH = 1.77
LAST_MILE_MS = 12.0
# A probe older than this is history; an imported matrix says more about now.
FRESH_S = 300.0


@dataclass(frozen=True, slots=True)
class Position:
    """Degrees north and east."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """Milliseconds between two regions; `age_s` is None where it has none, as an estimate."""

    ms: float
    origin: Origin
    age_s: float | None = None


Pair = tuple[str, str]


def great_circle_km(a: Position, b: Position) -> float:
    """Length of the shortest way over a sphere (haversine formula, Sinnott 1984)."""
    north = radians(b.latitude - a.latitude)
    east = radians(b.longitude - a.longitude)
    chord = sin(north / 2) ** 2 + (
        cos(radians(a.latitude)) * cos(radians(b.latitude)) * sin(east / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(chord)))


def estimated_ms(a: Position, b: Position) -> float:
    """What the way probably takes where nobody has measured it."""
    return 2 * great_circle_km(a, b) / FIBRE_KM_PER_MS * PATH_STRETCH


def round_trips(
    positions: Mapping[str, Position],
    *,
    probes: Mapping[Pair, RoundTrip] | None = None,
    matrix: Mapping[Pair, RoundTrip] | None = None,
    fresh_s: float = FRESH_S,
) -> dict[Pair, RoundTrip]:
    """The best that is known of every ordered pair of different regions.

    A fresh probe of the pair comes first, then one of the way back (the same fibre), then an
    imported value, then an old probe, then the estimate. What is not a positive finite number of
    milliseconds counts as not measured.
    """
    sources = [_fresh(probes or {}, fresh_s), matrix or {}, probes or {}]
    ways = ((a, b) for a in positions for b in positions if a != b)
    return {
        (a, b): _first(sources, a, b)
        or RoundTrip(estimated_ms(positions[a], positions[b]), "estimate")
        for a, b in ways
    }


def _fresh(probes: Mapping[Pair, RoundTrip], fresh_s: float) -> dict[Pair, RoundTrip]:
    return {p: t for p, t in probes.items() if t.age_s is not None and t.age_s <= fresh_s}


def _first(sources: Sequence[Mapping[Pair, RoundTrip]], a: str, b: str) -> RoundTrip | None:
    for source in sources:
        for pair in ((a, b), (b, a)):
            found = source.get(pair)
            if found is not None and 0.0 < found.ms < float("inf"):
                return found
    return None


def unmeasured(times: Mapping[Pair, RoundTrip]) -> list[Pair]:
    """The pairs that stand on an estimate, in order."""
    return sorted(pair for pair, time in times.items() if time.origin == "estimate")


def worst_age_s(times: Iterable[RoundTrip]) -> float | None:
    """The age of the oldest measured value; None where nothing has one."""
    return max((t.age_s for t in times if t.age_s is not None), default=None)
