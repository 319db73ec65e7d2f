"""Which clusters a cycle may plan on, and in which direction: see tiers/core/freezing.py.

Closed are clusters whose API did not answer, whose metrics are old or gone, or where a price is
unknown. Where a part is missing, only shrinking is frozen: that needs nodes and pods as they are,
so a cluster that is known from metrics alone is closed then.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from infra_console.fleet.queries import list_clusters
from infra_console.telemetry.ages import ClusterFreshness, FleetFreshness
from infra_console.telemetry.queries import fleet_freshness, read_instant
from infra_console.telemetry.series import Freshness, Reading, Series
from tiers.core.fleet_state import FleetState
from tiers.core.freezing import Freezes, tier_needs
from tiers.facts import FleetFacts
from tiers.forecasting import ForecastBook
from tiers.models import Cycle

PLANNABLE = {Freshness.LIVE, Freshness.DELAYED}
PEAK = 0.95


def find_freezes(facts: FleetFacts, state: FleetState, freshness: FleetFreshness) -> Freezes:
    """What the telemetry, the clusters' answers and the price book allow."""
    closed, doubted = dict(state.unreadable), {}
    for cluster in facts.cluster_ids:
        seen = freshness.clusters.get(cluster)
        if _is_certain(seen):
            continue
        if seen is not None and seen.state is Freshness.PARTIAL and _by_api(state, cluster):
            doubted[cluster] = _words(seen)
        else:
            closed.setdefault(cluster, _words(seen))
    for pool in facts.config.pools:
        if pool.usd_per_gpu_hour is None:  # a move there would seem to be free
            closed.setdefault(pool.cluster, f"the price of pool {pool.id} is unknown")
    return Freezes(closed, {c: why for c, why in doubted.items() if c not in closed})


def shrink_doubts() -> dict[str, str]:
    """Why nothing may be taken away now, by cluster, for plans that were approved before.

    Where no source speaks of any cluster, no plan rests on metrics that could turn doubtful.
    """
    seen = fleet_freshness().clusters
    clusters = [c.id for c in list_clusters()] if seen else []
    return {c: _doubt_words(c, seen.get(c)) for c in clusters if not _is_certain(seen.get(c))}


def _is_certain(seen: ClusterFreshness | None) -> bool:
    return seen is not None and seen.state in PLANNABLE


def _doubt_words(cluster: str, seen: ClusterFreshness | None) -> str:
    age_s = seen.age_s if seen else None
    age = "of unknown age" if age_s is None else f"{age_s / 60:.0f} min old"
    return f"metrics of {cluster} are {seen.state if seen else Freshness.DOWN}, {age}"


def _by_api(state: FleetState, cluster: str) -> bool:
    return cluster in state.clusters and state.clusters[cluster].source == "kubernetes"


def _words(seen: ClusterFreshness | None) -> str:
    age = f", {seen.age_s:.0f} s old" if seen and seen.age_s is not None else ""
    words = f"metrics are {seen.state if seen else Freshness.DOWN}{age}"
    if seen is None:
        return words
    silent = [f"{job} does not answer" for job, age_s in seen.jobs.items() if age_s is None]
    return ": ".join([words, *filter(None, ["; ".join([*silent, *seen.doubts])])])


def with_unknown_demand(
    freezes: Freezes, facts: FleetFacts, state: FleetState, book: ForecastBook
) -> Freezes:
    """The freezes with clusters where a workload's demand could not be forecast."""
    missing = _without_forecast(facts, book, filter(freezes.is_open, facts.cluster_ids))
    closed = {c: why for c, why in missing.items() if not _by_api(state, c)}
    return Freezes({**freezes.closed, **closed}, freezes.doubted).with_doubts(missing)


def _without_forecast(
    facts: FleetFacts, book: ForecastBook, clusters: Iterable[str]
) -> dict[str, str]:
    """Why, by cluster: unknown is never zero."""
    missing: dict[str, str] = {}
    for cluster in clusters:
        region = facts.region_of[cluster]
        for workload in facts.workloads.values():
            if region in workload.regions and (cluster, workload.id) not in book.entries:
                why = book.missing.get((cluster, workload.id), "it has no history")
                missing[cluster] = f"demand of {workload.id} is unknown: {why}"
    return missing


def demand_at_least(facts: FleetFacts, cluster: str) -> dict[str, float]:
    """Demand now by workload, from the part that is seen; a workload of which nothing can be
    trusted is left out."""
    arrivals, asked = read_instant("arrivals_rps"), read_instant("gpus_requested")
    found: dict[str, float] = {}
    for workload in facts.workloads.values():
        if workload.unit == "requests/s":
            seen = _bounds(arrivals, cluster, "model_name", {workload.model})
        else:
            seen = _bounds(asked, cluster, "namespace", facts.asking_namespaces(workload))
        if seen:
            found[workload.id] = sum(seen)
    return found


def _bounds(reading: Reading, cluster: str, label: str, wanted: set[str]) -> list[float]:
    return [
        series.last
        for series in reading.select(cluster=cluster)
        if series.labels.get(label, "") in wanted
        if _is_bound(series) and series.last is not None and math.isfinite(series.last)
    ]


def _is_bound(series: Series) -> bool:
    return series.state in PLANNABLE or (series.state is Freshness.PARTIAL and series.at_least)


def needs_by_tier(
    facts: FleetFacts, book: ForecastBook, cluster: str, corrected: Mapping[str, float]
) -> dict[str, float | None]:
    """GPUs that the forecast asks for at its peak, by tier; None where a workload has none.

    Args:
        corrected: by workload, what was asked for at least since the cycle before.
    """
    return tier_needs(_needs(facts, book, cluster, corrected))


def _needs(
    facts: FleetFacts, book: ForecastBook, cluster: str, corrected: Mapping[str, float]
) -> Iterator[tuple[str, float | None]]:
    for workload in facts.workloads.values():
        if facts.region_of[cluster] not in workload.regions:
            continue
        entry = book.entries.get((cluster, workload.id))
        # The type that needs most: what is kept back is not to be too little.
        per_unit = max(workload.group_gpus[t] / u for t, u in workload.units_per_group.items())
        least = corrected.get(workload.id, 0.0)
        yield workload.tier, None if entry is None else max(entry.peak(PEAK), least) * per_unit


def frozen_lines(cycle: Cycle, freezes: Freezes, *, now: datetime) -> dict[str, Any]:
    """The freezes as a cycle's document keeps them, with since when each cluster has one.

    A cluster that is closed today and was doubted before is frozen throughout: nothing shrank.
    """
    before = Cycle.objects.filter(started_at__lt=cycle.started_at).exclude(document={}).first()
    known = before.document.get("frozen_since", {}) if before else {}
    return {
        "frozen": dict(freezes.closed),
        "shrink_frozen": dict(freezes.doubted),
        "frozen_since": {
            cluster: known.get(cluster, now.isoformat())
            for cluster in (*freezes.closed, *freezes.doubted)
        },
    }
