"""From the sources' raw answers to one reading with ages and states. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

import numpy as np

from infra_console.telemetry.ages import SKEW_S, ScrapeAges, exporter_age
from infra_console.telemetry.catalogue import QuerySpec
from infra_console.telemetry.doubts import Doubt, Doubts, doubted, is_lower_bound
from infra_console.telemetry.errors import SourceError
from infra_console.telemetry.escape import Match
from infra_console.telemetry.ports import SourceIdentity
from infra_console.telemetry.series import (
    Answer,
    Array,
    Freshness,
    RawSeries,
    Reading,
    Series,
    freshness_of,
    on_grid,
    overall,
)


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """One source's answer; `stamps` holds when its samples were written, where that is known."""

    answer: Answer
    stamps: Answer = field(default_factory=lambda: Answer(()))
    notes: tuple[str, ...] = ()


NO_DOUBTS: Doubts = MappingProxyType({})
Asked = Sequence[tuple[SourceIdentity, SourceAnswer | SourceError]]


def time_grid(start: datetime, end: datetime, step_s: float) -> Array:
    """(T,) multiples of `step_s` since the epoch from `start`, rounded down, to `end`.

    Raises:
        ValueError: the step is not positive, or the end lies before the start.
    """
    if step_s <= 0 or end < start:
        raise ValueError("a range needs a positive step and an end after its start")
    first = math.floor(start.timestamp() / step_s + 1e-9)
    last = max(first, math.floor(end.timestamp() / step_s + 1e-9))
    return np.arange(first, last + 1, dtype=np.float64) * step_s


def instant_reading(
    spec: QuerySpec,
    match: Match,
    asked: Asked,
    *,
    ages: ScrapeAges,
    doubts: Doubts = NO_DOUBTS,
    at: datetime,
) -> Reading:
    """The reading of one moment. A series is as old as its exporter's last good scrape, or as the
    stored sample when that is older; what is doubted is no better than its doubts."""
    at_s = at.timestamp()
    series, notes = [], []
    for source, found in asked:
        if isinstance(found, SourceError):
            continue
        written = {_key(s): float(s.values[-1]) for s in found.stamps.series}
        own, note = merge_twins(_own(source, found.answer.series, match), spec.labels)
        notes += note
        for raw in own:
            stamp_s = written.get(_key(raw), at_s)
            cluster = raw.labels.get("cluster", "")
            scraped = spec.vanishes_s or exporter_age(
                ages, cluster=cluster, exporter=spec.exporter, jobs=source.jobs
            )
            age_s = None if scraped is None else max(scraped, at_s - stamp_s)
            against = doubts.get((cluster, spec.exporter), ()) + _ahead(stamp_s - at_s)
            notes += (f"{cluster}: {doubt.why}" for doubt in against)
            series.append(_series(source, raw, raw.times, raw.values, age_s, against))
    return _reading(spec, match, asked, series, at, notes)


def range_reading(spec: QuerySpec, match: Match, asked: Asked, *, grid: Array) -> Reading:
    """The reading over a grid. A series' age is that of its last known sample at the grid's end."""
    series, notes = [], []
    for source, found in asked:
        if isinstance(found, SourceError):
            continue
        laid = [
            RawSeries(raw.labels, grid, on_grid(raw, grid))
            for raw in _own(source, found.answer.series, match)
        ]
        own, note = merge_twins(laid, spec.labels)
        notes += note
        for raw in own:
            values = raw.values
            known = np.flatnonzero(np.isfinite(values))
            age_s = float(grid[-1] - grid[known[-1]]) if len(known) else None
            series.append(_series(source, raw, grid, values, age_s))
    return _reading(spec, match, asked, series, datetime.fromtimestamp(grid[-1], UTC), notes)


def merge_twins(
    found: Iterable[RawSeries], labels: Sequence[str]
) -> tuple[list[RawSeries], list[str]]:
    """Series that stand for the same thing made one, with a note that says how many were left out.

    Two exporters on a node, or two replicas of a source, tell of one GPU or pod twice. The larger
    value counts; the labels are those of the first that an exporter's own name does not spoil.
    """
    groups: dict[tuple[str, ...], list[RawSeries]] = {}
    for raw in found:
        groups.setdefault(tuple(raw.labels.get(n, "") for n in labels), []).append(raw)
    merged = [_one(twins) for twins in groups.values()]
    spare = sum(len(twins) - 1 for twins in groups.values())
    return merged, [f"{spare} series stood twice and count once"] if spare else []


def _one(twins: list[RawSeries]) -> RawSeries:
    if len(twins) == 1:
        return twins[0]
    first = min(twins, key=lambda raw: ("exporter" in raw.labels.get("node", ""), _key(raw)))
    if any(raw.values.shape != first.values.shape for raw in twins):
        return first
    return RawSeries(first.labels, first.times, np.fmax.reduce([raw.values for raw in twins]))


def _ahead(lead_s: float) -> tuple[Doubt, ...]:
    if lead_s <= SKEW_S:
        return ()
    return (Doubt(f"samples are stamped {lead_s:.0f} s ahead of now", Freshness.PARTIAL),)


def _key(series: RawSeries) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((k, v) for k, v in series.labels.items() if k != "__name__"))


def _own(source: SourceIdentity, found: Iterable[RawSeries], match: Match) -> Iterable[RawSeries]:
    """Series of the clusters that this source owns and that carry the wanted labels."""
    for raw in found:
        if raw.labels.get("cluster", "") in source.clusters and all(
            raw.labels.get(name, "") in ((wanted,) if isinstance(wanted, str) else wanted)
            for name, wanted in match.items()
        ):
            yield raw


def _series(
    source: SourceIdentity,
    raw: RawSeries,
    times: Array,
    values: Array,
    age_s: float | None,
    against: tuple[Doubt, ...] = (),
) -> Series:
    labels = {name: value for name, value in raw.labels.items() if name != "__name__"}
    state = freshness_of(age_s, scrape_interval_s=source.scrape_interval_s)
    state, age_s = doubted(state, age_s, against)
    at_least = state is Freshness.PARTIAL and is_lower_bound(against)
    return Series(labels, times, values, state, age_s, at_least)


def _reading(
    spec: QuerySpec,
    match: Match,
    asked: Asked,
    series: list[Series],
    at: datetime,
    notes: Iterable[str],
) -> Reading:
    answers = [(source, found) for source, found in asked if isinstance(found, SourceAnswer)]
    failures = [(source, found) for source, found in asked if isinstance(found, SourceError)]
    warnings = tuple(w for _, found in answers for w in found.answer.warnings)
    ages = [s.age_s for s in series if s.age_s is not None]
    silent = _expected(asked, match) - {s.labels.get("cluster", "") for s in series}
    state = overall((s.state for s in series), incomplete=bool(failures or warnings or silent))
    return Reading(
        name=spec.name,
        unit=spec.unit,
        series=tuple(series),
        state=state if series else _absent(spec, silent=bool(failures) or not answers),
        age_s=max(ages, default=None),
        source_ids=tuple(source.id for source, _ in answers),
        warnings=warnings,
        error="; ".join(f"{source.id}: {err.problem}" for source, err in failures),
        at=at,
        notes=tuple(dict.fromkeys([*(n for _, found in answers for n in found.notes), *notes])),
    )


def _absent(spec: QuerySpec, *, silent: bool) -> Freshness:
    """The state of no series: an optional number that every source says it lacks is no fault."""
    return Freshness.ABSENT if spec.vanishes_s and not silent else Freshness.DOWN


def _expected(asked: Asked, match: Match) -> set[str]:
    """The clusters that should have answered: all, or those that the match names."""
    clusters = {cluster for source, _ in asked for cluster in source.clusters}
    wanted = match.get("cluster")
    if wanted is None:
        # A model that runs in some regions only is whole without the others.
        return clusters if set(match) <= {"le"} else set()
    return clusters & ({wanted} if isinstance(wanted, str) else set(wanted))
