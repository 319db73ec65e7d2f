"""Demand as it was, as it had been forecast some hours before, and as it is forecast now.

One workload is shown in its own unit, a tier in GPUs at the throughput in force. A sum that lacks a
series somewhere is a gap there; a series that is not known at all is named. Quantiles are added
over series as if all peaked together: the band is wider than the sum's own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np

from infra_console.telemetry.series import Array
from tiers.core.forecast.gangs import listed_gpus
from tiers.core.forecast.quantiles import QUANTILES, STEP_S
from tiers.demand_queries import gang_lines
from tiers.facts import FleetFacts
from tiers.histories import Histories, SeriesKey, read_histories
from tiers.models import Cycle, WorkloadForecast
from tiers.queries import clusters_in, current_facts, latest_forecasts
from tiers.throughputs import throughputs
from tiers.timelines import gpus_per_unit

SHOWN = (0.05, 0.5, 0.95)
PLACES = tuple(QUANTILES.index(level) for level in SHOWN)
MOST_POINTS = 200  # of the past band


@dataclass(frozen=True, slots=True)
class Curve:
    """(T,) times in epoch seconds and p5, p50, p95; None where a series lacks its forecast."""

    times: list[float] = field(default_factory=list)
    p5: list[float | None] = field(default_factory=list)
    p50: list[float | None] = field(default_factory=list)
    p95: list[float | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ForecastTimeline:
    """`given` was forecast `ahead_h` hours before each of its times; `known` are GPUs of known
    gangs at the times of `coming`, empty for other tiers."""

    unit: str
    ahead_h: int
    times: list[float] = field(default_factory=list)
    actual: list[float | None] = field(default_factory=list)
    given: Curve = field(default_factory=Curve)
    coming: Curve = field(default_factory=Curve)
    known: list[float] = field(default_factory=list)
    made_at: datetime | None = None
    unknown: tuple[str, ...] = ()  # series without a history
    unforecast: tuple[str, ...] = ()  # series without a forecast
    problem: str = ""


def forecast_timeline(
    *, tier: str, workload: str, region: str, start: datetime, now: datetime, ahead_h: int
) -> ForecastTimeline:
    """The demand of one workload, or of a tier where `workload` is empty, in the scope."""
    facts = current_facts()
    if facts is None:
        return ForecastTimeline("GPUs", ahead_h, problem="no fleet is configured")
    wanted = _wanted(facts, tier, workload, region)
    unit, factor = _unit(facts, wanted, workload, now)
    histories = read_histories(facts, now=now, days=(now - start).total_seconds() / 86400)
    rows = {
        (r.cluster, r.workload): r
        for r in latest_forecasts(region=region)
        if (r.cluster, r.workload) in wanted
    }
    gangs = [] if workload or tier != "training" else gang_lines(clusters_in(region), tier, now)
    coming = _coming(rows, factor)
    return ForecastTimeline(
        unit=unit,
        ahead_h=ahead_h,
        times=histories.times.tolist(),
        actual=_actual(histories, wanted, factor),
        given=_given(rows.keys(), factor, start, now, ahead_h),
        coming=coming,
        known=listed_gpus(gangs, np.array(coming.times)).tolist() if gangs else [],
        made_at=next((r.made_at for r in rows.values()), None),
        unknown=_names(k for k in wanted if k not in histories.keys),
        unforecast=_names(k for k in wanted if k not in rows),
        problem=next(iter(set(histories.missing.values())), "") if not histories.keys else "",
    )


def _wanted(facts: FleetFacts, tier: str, workload: str, region: str) -> list[SeriesKey]:
    return [
        (cluster, w.id)
        for cluster in clusters_in(region)
        for w in facts.workloads.values()
        if facts.region_of[cluster] in w.regions
        and (w.id == workload if workload else w.tier == tier)
    ]


def _unit(
    facts: FleetFacts, wanted: Iterable[SeriesKey], workload: str, now: datetime
) -> tuple[str, Mapping[str, float]]:
    """The unit of the sum, and what one unit of each workload counts in it."""
    if workload in facts.workloads:
        return facts.workloads[workload].unit, {workload: 1.0}
    served = throughputs(facts, {}, now=now)
    return "GPUs", {name: gpus_per_unit(facts, name, served) for _, name in wanted}


def _actual(
    histories: Histories, wanted: Sequence[SeriesKey], factor: Mapping[str, float]
) -> list[float | None]:
    rows: list[Array] = [
        histories.matrix[i] * factor[key[1]]
        for i, key in enumerate(histories.keys)
        if key in wanted
    ]
    if not rows:
        return [None] * len(histories.times)
    return [None if np.isnan(v) else float(v) for v in np.sum(rows, axis=0)]


def _coming(rows: Mapping[SeriesKey, WorkloadForecast], factor: Mapping[str, float]) -> Curve:
    if not rows:
        return Curve()
    total = np.sum([np.asarray(r.quantiles) * factor[r.workload] for r in rows.values()], axis=0)
    first = next(iter(rows.values()))
    start = first.made_at.timestamp()
    return Curve(
        [start + (i + 1) * first.step_s for i in range(len(total))],
        *(total[:, place].tolist() for place in PLACES),
    )


def _given(
    keys: Iterable[SeriesKey],
    factor: Mapping[str, float],
    start: datetime,
    now: datetime,
    ahead_h: int,
) -> Curve:
    """What was said `ahead_h` hours before; a cycle that lacks one of the series is a gap."""
    expected = set(keys)
    if not expected:
        return Curve()
    ahead = timedelta(hours=ahead_h)
    cycles = _one_cycle_a_bucket(start - ahead, now - ahead)
    rows = WorkloadForecast.objects.filter(
        cycle_id__in=cycles, workload__in={w for _, w in expected}
    ).values_list("cycle_id", "cluster", "workload", "made_at",
                  f"quantiles__{ahead_h * 3600 // STEP_S - 1}")  # fmt: skip
    sums: dict[UUID, Array] = {}
    seen: dict[UUID, set[SeriesKey]] = {}
    made: dict[UUID, datetime] = {}
    for cycle, cluster, name, made_at, quantiles in rows.iterator():
        if (cluster, name) not in expected:
            continue
        values = np.array([quantiles[place] for place in PLACES]) * factor[name]
        sums[cycle] = sums[cycle] + values if cycle in sums else values
        seen.setdefault(cycle, set()).add((cluster, name))
        made[cycle] = made_at
    order = sorted(made, key=lambda cycle: made[cycle])
    lines = [sums[c].tolist() if seen[c] == expected else [None] * len(PLACES) for c in order]
    columns = [list(column) for column in zip(*lines, strict=True)] or [[], [], []]
    return Curve([(made[c] + ahead).timestamp() for c in order], *columns)


def _one_cycle_a_bucket(start: datetime, end: datetime) -> list[UUID]:
    """The first cycle of each even piece of the span."""
    width_s = max(STEP_S, (end - start).total_seconds() / MOST_POINTS)
    found: dict[int, UUID] = {}
    made = Cycle.objects.filter(started_at__range=(start, end)).order_by("started_at")
    for cycle_id, at in made.values_list("id", "started_at"):
        found.setdefault(int(at.timestamp() // width_s), cycle_id)
    return list(found.values())


def _names(keys: Iterable[SeriesKey]) -> tuple[str, ...]:
    return tuple(f"{workload} in {cluster}" for cluster, workload in keys)
