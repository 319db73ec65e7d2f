"""Reads of the fleet's metrics, over every source at once, each with its age and state.

`read_instant` and `read_range` ask a catalogue query; `fleet_freshness` is the page's pill. A
source that fails takes nothing away from the others: the reading is partial and says why.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from infra_console.telemetry.ages import (
    WINDOW_S,
    FleetFreshness,
    ages_from_up,
    cluster_freshness,
    fleet_freshness_of,
)
from infra_console.telemetry.assemble import (
    SourceAnswer,
    instant_reading,
    range_reading,
    time_grid,
)
from infra_console.telemetry.cache import ShortCache
from infra_console.telemetry.catalogue import (
    SCRAPES,
    QuerySpec,
    dating_query,
    fallback_query,
    main_query,
    mean_query,
    spec_of,
)
from infra_console.telemetry.errors import SourceError
from infra_console.telemetry.escape import Match
from infra_console.telemetry.series import Answer, Array, Reading
from infra_console.telemetry.sources import BoundSource, current_sources

_Result = TypeVar("_Result")
_MAX_THREADS = 16
_FALLBACK_NOTE = "computed from raw series: the recording rules are not installed at the source"


@dataclass(frozen=True, slots=True)
class _Scrapes:
    """What `up` said at every source: ages by (cluster, job), and errors by source."""

    ages: Mapping[tuple[str, str], float | None]
    errors: Mapping[str, str] = field(default_factory=dict)


# Every page asks for the pill and most readings ask for ages: one look a few seconds is enough.
_scrapes: ShortCache[_Scrapes] = ShortCache(keep_s=5.0)


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
    asked = _ask_all(bound, lambda source: _ask_instant(source, spec, wanted, moment))
    return instant_reading(spec, wanted, asked, ages=scrapes.ages, at=moment)


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
        bound, lambda source: _ask_range(source, query, fallback_query(spec, wanted), grid)
    )
    return range_reading(spec, wanted, asked, grid=grid)


def fleet_freshness(*, sources: Sequence[BoundSource] | None = None) -> FleetFreshness:
    """How fresh the fleet's metrics are, overall and by cluster; at most five seconds old."""
    bound = current_sources() if sources is None else tuple(sources)
    scrapes = _scrapes_at(bound, datetime.now(UTC), cached=sources is None)
    clusters = {
        cluster: cluster_freshness(
            scrapes.ages, cluster=cluster, scrape_interval_s=source.scrape_interval_s
        )
        for source in bound
        for cluster in source.clusters
    }
    return fleet_freshness_of(clusters, scrapes.errors)


def forget_cached() -> None:
    """Drop what is kept for a few seconds; for tests and after a change of sources."""
    _scrapes.clear()


def _with_edge(match: Match | None, le: float | None) -> Match:
    return {**(match or {}), **({} if le is None else {"le": str(float(le))})}


def _scrapes_at(bound: Sequence[BoundSource], at: datetime, *, cached: bool) -> _Scrapes:
    return _scrapes.get(lambda: _look(bound, at)) if cached else _look(bound, at)


def _look(bound: Sequence[BoundSource], at: datetime) -> _Scrapes:
    asked = _ask_all(
        bound,
        lambda source: SourceAnswer(source.source.window(SCRAPES, at=at, window_s=WINDOW_S)),
    )
    ages: dict[tuple[str, str], float | None] = {}
    errors: dict[str, str] = {}
    for source, answer in asked:
        if isinstance(answer, SourceError):
            errors[source.id] = answer.problem
            continue
        found = ages_from_up(answer.answer, at_s=at.timestamp())
        ages |= {key: age for key, age in found.items() if key[0] in source.clusters}
    return _Scrapes(ages, errors)


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
    if not answer.series and (fallback := fallback_query(spec, match)):
        raw = bound.source.instant(fallback, at=at)
        return SourceAnswer(raw, notes=(_FALLBACK_NOTE,) if raw.series else ())
    dating = dating_query(spec, match)
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
