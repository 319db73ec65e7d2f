"""The next twelve hours from what is kept and recorded: needs, calendar, shortages, and gaps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from infra_console.fleet.models import Reservation
from infra_console.telemetry.queries import read_range
from infra_console.telemetry.series import Array
from tiers.core.fleet_state import TIERS
from tiers.core.forecast.quantiles import QUANTILES
from tiers.core.shortages import (
    FORECAST_LIKELY,
    FORECAST_POSSIBLE,
    LAST_WEEK,
    Need,
    Shortage,
    SupplyChange,
    shortages,
    together,
)
from tiers.facts import FleetFacts
from tiers.queries import clusters_in, current_facts, latest_forecasts, latest_observation
from tiers.throughputs import throughputs
from tiers.timelines import gpus_per_unit

HORIZON = timedelta(hours=12)
FORECAST_HOURS = timedelta(hours=4)
WEEK = timedelta(days=7)
STEP_S = 1800
P50, P95 = QUANTILES.index(0.5), QUANTILES.index(0.95)
Needs = dict[tuple[str, str], list[Need]]


@dataclass(frozen=True, slots=True)
class Outlook:
    """Shortages soonest first, the calendar of supply, and (cluster, tier, what is unknown)."""

    short: list[Shortage]
    calendar: list[SupplyChange]
    unknown: list[tuple[str, str, str]]


def outlook(*, region: str = "", tier: str = "", now: datetime) -> Outlook | None:
    """What runs short until `now` + 12 h; None before the first observation."""
    observation, facts = latest_observation(), current_facts()
    if observation is None or facts is None:
        return None
    clusters = clusters_in(region)
    wanted = [t for t in TIERS if not tier or t == tier]
    needs = _forecast_needs(facts, region, now)
    last_week = _last_week(facts, clusters, now)
    calendar = _calendar(facts, clusters, now)
    short: list[Shortage] = []
    unknown = []
    for cluster in clusters:
        parts: dict[str, Sequence[Need]] = {}
        ready = (observation.document["clusters"].get(cluster) or {}).get("tiers") or {}
        for name in wanted:
            key = (cluster, name)
            unknown += _gaps(facts, key, needs, last_week, ready)
            parts[name] = [*needs.get(key, ()), *last_week.get(key, ())]
            if name in ready:
                short += shortages(cluster, name, parts[name], ready[name]["gpus_ready"])
        own = [c for c in calendar if c.cluster == cluster]
        if own and ready and not tier:
            supply = sum(t["gpus_ready"] for t in ready.values())
            short += shortages(cluster, "", together(parts), supply, own)
    return Outlook(sorted(short, key=lambda s: s.at), calendar, unknown)


def _forecast_needs(facts: FleetFacts, region: str, now: datetime) -> Needs:
    """GPUs by (cluster, tier) at the forecast's p50 and p95, workloads added."""
    sums: dict[tuple[str, str], Any] = {}
    steps: dict[tuple[str, str], list[datetime]] = {}
    served = throughputs(facts, {}, now=now)
    for row in latest_forecasts(region=region):
        gpus = np.asarray(row.quantiles)[:, [P50, P95]] * gpus_per_unit(facts, row.workload, served)
        key = (row.cluster, row.tier)
        sums[key] = sums[key] + gpus if key in sums else gpus
        step = timedelta(seconds=row.step_s)
        steps[key] = [row.made_at + (i + 1) * step for i in range(len(gpus))]
    return {
        key: [
            Need(at, float(value), basis)
            for at, values in zip(steps[key], total, strict=True)
            if now < at <= now + FORECAST_HOURS
            for value, basis in zip(values, (FORECAST_LIKELY, FORECAST_POSSIBLE), strict=True)
        ]
        for key, total in sums.items()
    }


def _last_week(facts: FleetFacts, clusters: list[str], now: datetime) -> Needs:
    """GPUs that pods asked for a week before, by (cluster, tier), beyond the forecast's reach."""
    reading = read_range(
        "gpus_requested",
        start=now + FORECAST_HOURS - WEEK, end=now + HORIZON - WEEK, step_s=STEP_S,
        match={"cluster": clusters},
    )  # fmt: skip
    sums: dict[tuple[str, str], Any] = {}
    times = reading.series[0].times if reading.series else np.zeros(0)
    for series in reading.series:
        tier = facts.tier_of_namespace(series.labels.get("namespace", ""))
        if tier is not None:
            key = (series.labels.get("cluster", ""), tier)
            values = series.values
            sums[key] = _added(sums[key], values) if key in sums else values
    return {
        key: [
            Need(datetime.fromtimestamp(t, now.tzinfo) + WEEK, float(v), LAST_WEEK)
            for t, v in zip(times, total, strict=True)
            if not np.isnan(v)
        ]
        for key, total in sums.items()
    }


def _added(known: Array, more: Array) -> Array:
    """What is known, added; unknown where neither is. A namespace without pods has no series."""
    both = np.nan_to_num(known) + np.nan_to_num(more)
    return np.where(np.isnan(known) & np.isnan(more), np.nan, both)


def _gaps(
    facts: FleetFacts,
    key: tuple[str, str],
    needs: Mapping[tuple[str, str], Any],
    last_week: Mapping[tuple[str, str], Any],
    ready: Mapping[str, Any],
) -> list[tuple[str, str, str]]:
    cluster, tier = key
    region = facts.region_of[cluster]
    if not any(w.tier == tier and region in w.regions for w in facts.workloads.values()):
        return []
    lacks = []
    if tier not in ready:
        lacks.append("supply: the cluster was never read")
    if not needs.get(key):
        lacks.append("the next 4 h: no forecast is in force")
    if not last_week.get(key):
        lacks.append("4–12 h: nothing was recorded at the same time last week")
    return [(cluster, tier, words) for words in lacks]


def _calendar(facts: FleetFacts, clusters: list[str], now: datetime) -> list[SupplyChange]:
    """Reservations that begin or end until the horizon, where they say their cluster."""
    cluster_of = {p.id: p.cluster for p in facts.config.pools}
    found = []
    for row in Reservation.objects.filter(start__lte=now + HORIZON, end__gt=now):
        cluster = row.cluster or cluster_of.get(row.pool, "")
        if cluster and cluster not in clusters:
            continue
        if row.start > now:
            found.append(SupplyChange(row.start, cluster, row.gpus, f"reservation {row.id} begins"))
        if row.end <= now + HORIZON:
            found.append(SupplyChange(row.end, cluster, -row.gpus, f"reservation {row.id} ends"))
    return sorted(found, key=lambda c: c.at)
