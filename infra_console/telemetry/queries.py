"""Reads of the fleet's metrics, over every source at once, each with its age and state.

`read_instant` and `read_range` ask a catalogue query; `fleet_freshness` is the page's pill. A
source that fails takes nothing away from the others: the reading is partial and says why.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from infra_console.telemetry.adapters.gate import open_gates
from infra_console.telemetry.adapters.paced import drop_held
from infra_console.telemetry.ages import (
    WINDOW_S,
    FleetFreshness,
    ages_from_up,
    cluster_freshness,
    fleet_freshness_of,
    targets_from_up,
)
from infra_console.telemetry.assemble import (
    SourceAnswer,
    instant_reading,
    range_reading,
    time_grid,
)
from infra_console.telemetry.cache import ShortCache
from infra_console.telemetry.catalogue import (
    QuerySpec,
    dating_query,
    fallback_query,
    main_query,
    mean_query,
    spec_of,
)
from infra_console.telemetry.doubts import (
    Doubt,
    Doubts,
    doubted_cluster,
    doubts_of,
    witnesses_of,
)
from infra_console.telemetry.errors import SourceError
from infra_console.telemetry.escape import Match
from infra_console.telemetry.fragments import scrapes_query
from infra_console.telemetry.pace import forget_paces
from infra_console.telemetry.series import Answer, Array, Freshness, Reading
from infra_console.telemetry.sources import BoundSource, current_sources

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")
_MAX_THREADS = 16
_FALLBACK_NOTE = "computed from raw series: the recording rules are not installed at the source"


@dataclass(frozen=True, slots=True)
class _Scrapes:
    """What `up` said at every source: ages by (cluster, job), errors by source, and the doubts by
    (cluster, exporter)."""

    ages: Mapping[tuple[str, str], float | None]
    errors: Mapping[str, str] = field(default_factory=dict)
    doubts: Doubts = field(default_factory=dict)
    notes: tuple[str, ...] = ()


# Every page asks for the pill and most readings ask for ages: one look a few seconds is enough.
_scrapes: ShortCache[_Scrapes] = ShortCache(keep_s=5.0)
_WITNESSES = spec_of("witnesses")
_WITNESS_REST_S = 600.0
_unasked: dict[str, float] = {}  # by source: until when its witnesses are left alone
_ABOUT_NOW = timedelta(minutes=2)


def read_instant(
    name: str,
    *,
    at: datetime | None = None,
    match: Match | None = None,
    le: float | None = None,
    sources: Sequence[BoundSource] | None = None,
) -> Reading:
    """A catalogue query at one moment (now unless `at` is given).

    Args:
        match: labels and the value, or the values, that they must have.
        le: the bucket edge in seconds of `ttft_within_slo`.
        sources: instead of the fleet's own.

    Raises:
        QueryUnknown: the catalogue has no such query. Sources that fail do not raise: the reading
            without them is partial or down, and `error` holds what they said.
    """
    spec, wanted = spec_of(name), _with_edge(match, le)
    moment = at or datetime.now(UTC)
    bound = current_sources() if sources is None else tuple(sources)
    scrapes = _scrapes_at(bound, moment, cached=at is None and sources is None)
    return _instant(spec, wanted, bound, scrapes, moment)


def read_instants(names: Iterable[str], *, sources: Sequence[BoundSource]) -> dict[str, Reading]:
    """Several catalogue queries now of these sources, whose ages are looked at once for all.

    Raises:
        QueryUnknown: the catalogue has no such query. Sources that fail do not raise.
    """
    moment, specs = datetime.now(UTC), {name: spec_of(name) for name in names}
    scrapes = _look(sources, moment)
    return {name: _instant(spec, {}, sources, scrapes, moment) for name, spec in specs.items()}


def _instant(
    spec: QuerySpec, match: Match, bound: Sequence[BoundSource], scrapes: _Scrapes, at: datetime
) -> Reading:
    asked = _ask_all(bound, lambda source: _ask_instant(source, spec, match, at))
    return instant_reading(spec, match, asked, ages=scrapes.ages, doubts=scrapes.doubts, at=at)


def read_range(
    name: str,
    *,
    start: datetime,
    end: datetime,
    step_s: float,
    match: Match | None = None,
    le: float | None = None,
    mean: bool = False,
    sources: Sequence[BoundSource] | None = None,
) -> Reading:
    """A catalogue query over time, on one even grid for all series, NaN where nothing is known.

    The grid is at multiples of `step_s` since the epoch, from `start` (rounded down) to `end`.

    Args:
        mean: the mean of the step before each point rather than the sample at it; for stored
            series only, others ignore it.

    Raises:
        QueryUnknown: the catalogue has no such query. Sources that fail do not raise.
    """
    spec, wanted = spec_of(name), _with_edge(match, le)
    bound = current_sources() if sources is None else tuple(sources)
    grid = time_grid(start, end, step_s)
    query = (mean_query(spec, wanted, step_s=step_s) if mean else "") or main_query(spec, wanted)
    asked = _ask_all(
        bound,
        lambda source: _ask_range(
            source, query, fallback_query(spec, wanted, tier_label=source.tier_label), grid
        ),
    )
    return range_reading(spec, wanted, asked, grid=grid)


def fleet_freshness(*, sources: Sequence[BoundSource] | None = None) -> FleetFreshness:
    """How fresh the fleet's metrics are, overall and by cluster; at most five seconds old."""
    bound = current_sources() if sources is None else tuple(sources)
    scrapes = _scrapes_at(bound, datetime.now(UTC), cached=sources is None)
    clusters = {
        cluster: doubted_cluster(
            cluster_freshness(
                scrapes.ages, cluster=cluster, scrape_interval_s=source.scrape_interval_s
            ),
            scrapes.doubts,
            cluster=cluster,
        )
        for source in bound
        for cluster in source.clusters
    }
    return fleet_freshness_of(clusters, scrapes.errors, scrapes.notes)


def owners() -> dict[str, str]:
    """Which source speaks for each cluster."""
    return {cluster: source.id for source in current_sources() for cluster in source.clusters}


def forget_cached() -> None:
    """Drop what is kept for a few seconds; for tests and after a change of sources."""
    _scrapes.clear()
    _unasked.clear()
    open_gates()
    drop_held()
    forget_paces()


def _with_edge(match: Match | None, le: float | None) -> Match:
    return {**(match or {}), **({} if le is None else {"le": str(float(le))})}


def _scrapes_at(bound: Sequence[BoundSource], at: datetime, *, cached: bool) -> _Scrapes:
    return _scrapes.get(lambda: _look(bound, at)) if cached else _look(bound, at)


def _look(bound: Sequence[BoundSource], at: datetime) -> _Scrapes:
    asked = _ask_all(bound, lambda source: _look_at(source, at))
    ages: dict[tuple[str, str], float | None] = {}
    errors: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    doubts: dict[tuple[str, str], tuple[Doubt, ...]] = {}
    for source, look in asked:
        if isinstance(look, SourceError):
            errors[source.id] = look.problem
        else:
            ages |= look.ages
            doubts |= look.doubts
            notes += look.notes
    return _Scrapes(ages, errors, doubts, notes)


def _look_at(bound: BoundSource, at: datetime) -> _Scrapes:
    """One source's scrapes and witnesses, of the clusters that it owns."""
    up = bound.source.window(scrapes_query(bound.jobs), at=at, window_s=WINDOW_S)
    told = _witnesses_at(bound, at)
    ages = ages_from_up(up, at_s=at.timestamp())
    return _Scrapes(
        ages={key: age for key, age in ages.items() if key[0] in bound.clusters},
        doubts=_doubts_at(bound, up, told.answer, at),
        notes=tuple(f"{bound.id}: {note}" for note in told.notes),
    )


def _doubts_at(
    bound: BoundSource, up: Answer, told: Answer, at: datetime
) -> dict[tuple[str, str], tuple[Doubt, ...]]:
    """What is doubted of each exporter; an answer in part is doubted as a whole."""
    targets = targets_from_up(up, at_s=at.timestamp(), recent_s=bound.recent_s)
    witnesses = witnesses_of(told, of_now=datetime.now(UTC) - at < _ABOUT_NOW)
    part = tuple(
        Doubt(f"{bound.id} answers in part: {warning}", Freshness.PARTIAL, at_least=True)
        for warning in up.warnings[:1]
    )
    doubts: dict[tuple[str, str], tuple[Doubt, ...]] = {}
    for cluster in bound.clusters:
        found = doubts_of(
            witnesses, targets, cluster=cluster, jobs=bound.jobs,
            scrape_interval_s=bound.scrape_interval_s,
        )  # fmt: skip
        if part:
            found = {(cluster, e): (*found.get((cluster, e), ()), *part) for e in bound.jobs}
        doubts |= found
    return doubts


def _witnesses_at(bound: BoundSource, at: datetime) -> SourceAnswer:
    """What can be told of the exporters' truth; nothing where it costs the source too much, which
    without the recording rules it may: then it is left alone for a while."""
    if _unasked.get(bound.id, 0.0) > time.monotonic():
        return SourceAnswer(Answer(()))
    try:
        return _ask_instant(bound, _WITNESSES, {}, at)
    except SourceError as err:
        log.warning("No witnesses from %s: %s", bound.id, err.problem)
        _unasked[bound.id] = time.monotonic() + _WITNESS_REST_S
        return SourceAnswer(Answer(()))


def _ask_all(
    bound: Sequence[BoundSource], ask: Callable[[BoundSource], _Result]
) -> list[tuple[BoundSource, _Result | SourceError]]:
    """Every source asked at once; a failure stands in the place of its answer."""

    def attempt(source: BoundSource) -> _Result | SourceError:
        try:
            return ask(source)
        except SourceError as err:
            return err

    if len(bound) <= 1:
        return [(source, attempt(source)) for source in bound]
    with ThreadPoolExecutor(min(len(bound), _MAX_THREADS)) as pool:
        return list(zip(bound, pool.map(attempt, bound), strict=True))


def _ask_instant(bound: BoundSource, spec: QuerySpec, match: Match, at: datetime) -> SourceAnswer:
    answer = bound.source.instant(main_query(spec, match), at=at)
    fallback = fallback_query(spec, match, tier_label=bound.tier_label)
    if not answer.series and fallback:
        raw = bound.source.instant(fallback, at=at)
        return SourceAnswer(raw, notes=(_FALLBACK_NOTE,) if raw.series else ())
    dating = dating_query(spec, match) if spec.exporter else ""
    stamps = bound.source.instant(dating, at=at) if dating and answer.series else Answer(())
    return SourceAnswer(answer, stamps=stamps)


def _ask_range(bound: BoundSource, query: str, fallback: str, grid: Array) -> SourceAnswer:
    start, end = datetime.fromtimestamp(grid[0], UTC), datetime.fromtimestamp(grid[-1], UTC)
    step_s = grid[1] - grid[0] if len(grid) > 1 else 1.0
    answer = bound.source.range(query, start=start, end=end, step_s=step_s)
    if not answer.series and fallback:
        raw = bound.source.range(fallback, start=start, end=end, step_s=step_s)
        return SourceAnswer(raw, notes=(_FALLBACK_NOTE,) if raw.series else ())
    return SourceAnswer(answer)
