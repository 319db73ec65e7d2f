"""What pages draw over time: GPUs held, busy and asked for, and the forecast's band.

Sums are over the clusters of the scope. A cluster of which nothing is known is named, and one with
a gap leaves a gap in the sum: no sum is silently low.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from infra_console.telemetry.queries import read_range
from infra_console.telemetry.series import Array, Reading, Series
from tiers.core.demand.throughput import Throughput
from tiers.core.forecast.quantiles import QUANTILES
from tiers.facts import FleetFacts
from tiers.histories import total_where_answered
from tiers.models import WorkloadForecast
from tiers.queries import clusters_in, current_facts, latest_forecasts
from tiers.throughputs import Throughputs, throughputs

# Pages name these three of the forecast's quantiles.
P5, P50, P95 = (QUANTILES.index(level) for level in (0.05, 0.5, 0.95))


@dataclass(frozen=True, slots=True)
class Band:
    """A forecast summed over series: (T,) times in epoch seconds and three quantiles.

    `missing` are the clusters of the scope that the sum lacks in part or whole.
    """

    made_at: datetime | None
    models: tuple[str, ...]
    unit: str
    times: list[float] = field(default_factory=list)
    p5: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p95: list[float] = field(default_factory=list)
    missing: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        return bool(self.missing)


def tier_history(
    tier: str, *, region: str = "", start: datetime, end: datetime, step_s: float
) -> dict[str, Any]:
    """GPUs held, busy and asked for over time, summed over the scope; None where unknown.

    Read from the metric sources: when they are down the lists are empty and `problem` says why;
    `missing` are the clusters that the sums lack.
    """
    facts = current_facts()
    if facts is None:
        return {"times": [], "problem": "no fleet is configured", "missing": ()}
    clusters = clusters_in(region)

    def read(name: str) -> Reading:
        return read_range(name, start=start, end=end, step_s=step_s, match={"cluster": clusters})

    nodes, gpus, busy, asked = (
        read(name) for name in ("nodes_total", "tier_gpus", "gpus_busy", "gpus_requested")
    )
    grid = next((r.series[0].times for r in (nodes, gpus, busy, asked) if r.series), np.zeros(0))
    namespaces = facts.namespaces_of_tier(tier)

    def in_tier(series: Series) -> bool:
        return series.labels.get("tier") == tier or series.labels.get("namespace") in namespaces

    sums = {
        "gpus": _by_cluster(clusters, in_tier, gpus, nodes),
        "busy": _by_cluster(clusters, in_tier, busy, busy),
        "asked": _by_cluster(clusters, in_tier, asked, nodes),
    }
    return {
        "times": grid.tolist(),
        **{name: _sum(found.values(), len(grid)) for name, found in sums.items()},
        "state": str(gpus.state),
        "problem": next((r.error for r in (gpus, busy, asked) if r.error), ""),
        "missing": tuple(c for c in clusters if any(c not in found for found in sums.values())),
    }


def _by_cluster(
    clusters: Iterable[str],
    in_tier: Callable[[Series], bool],
    reading: Reading,
    witness: Reading,
) -> dict[str, Array]:
    """The tier's sum in each cluster of which anything is known."""
    totals = {}
    for cluster in clusters:
        parts = [s for s in reading.select(cluster=cluster) if in_tier(s)]
        total = total_where_answered(parts, witness.select(cluster=cluster))
        if total is not None and not np.isnan(total).all():
            totals[cluster] = total
    return totals


def _sum(rows: Iterable[Array], length: int) -> list[float | None]:
    known = list(rows)
    if not known:
        return [None] * length
    return [None if np.isnan(v) else float(v) for v in np.sum(known, axis=0)]


def tier_forecast(tier: str, *, region: str = "") -> Band:
    """The tier's demand in GPUs over the next four hours, quantiles added over its series.

    Adding quantiles assumes that all series peak together: the band is wider than the sum's own.
    """
    rows = latest_forecasts(tier=tier, region=region)
    facts = current_facts()
    if not rows or facts is None:
        return Band(None, (), "GPUs")
    served = throughputs(facts, {}, now=rows[0].made_at)
    total = np.sum(
        [np.asarray(row.quantiles) * gpus_per_unit(facts, row.workload, served) for row in rows],
        axis=0,
    )
    first = rows[0]
    start = first.made_at.timestamp()
    return Band(
        made_at=first.made_at,
        models=tuple(sorted({r.model_4h for r in rows})),
        unit="GPUs",
        times=[start + (i + 1) * first.step_s for i in range(len(total))],
        p5=total[:, P5].tolist(),
        p50=total[:, P50].tolist(),
        p95=total[:, P95].tolist(),
        missing=_without_forecast(facts, tier, region, rows),
    )


def _without_forecast(
    facts: FleetFacts, tier: str, region: str, rows: Iterable[WorkloadForecast]
) -> tuple[str, ...]:
    """Clusters of the scope where a workload of the tier has no forecast."""
    made = {(row.cluster, row.workload) for row in rows}
    return tuple(
        cluster
        for cluster in clusters_in(region)
        if any(
            (cluster, w.id) not in made
            for w in facts.workloads.values()
            if w.tier == tier and facts.region_of[cluster] in w.regions
        )
    )


def gpus_per_unit(facts: FleetFacts, workload_id: str, served: Throughputs) -> float:
    """GPUs that one unit of demand takes at the SLO, on the workload's most frugal GPU type.

    Args:
        served: the throughput in force; where it has none, the fleet file's.
    """
    workload = facts.workloads.get(workload_id)
    if workload is None:
        return 0.0
    return min(
        1 / rps if (rps := _rps(served.get((workload_id, t)))) else workload.group_gpus[t] / units
        for t, units in workload.units_per_group.items()
    )


def _rps(found: Throughput | None) -> float | None:
    return found.rps(None) if found else None
