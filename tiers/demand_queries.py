"""The demand page: what each model, gang and job needs now and next, and the supply beside it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from infra_console.fleet.config import WorkloadConfig
from tiers.core.demand.correction import Correction
from tiers.core.demand.gangs import GangLine, expected_end
from tiers.core.demand.need import Live, Need, Total, added, gpus_needed, total
from tiers.core.demand.rates import Rates
from tiers.core.demand.throughput import Throughput
from tiers.core.fleet_state import TIERS
from tiers.core.forecast.quantiles import QUANTILES
from tiers.demand import DemandNow, demand_now
from tiers.facts import FleetFacts
from tiers.models import GangRun, LedgerLot, WaitingWork, WorkloadForecast
from tiers.queries import clusters_in, current_facts, latest_forecasts, latest_observation
from tiers.supply_queries import STEP, STEPS, SupplyRow, fleet_rates, supply_rows
from tiers.waiting_gangs import gang_id, latest_words

P5, P50, P95 = (QUANTILES.index(level) for level in (0.05, 0.5, 0.95))


@dataclass(frozen=True, slots=True)
class BandStep:
    """GPUs that the forecast says are needed until this time, the worst of the step."""

    at: datetime
    p5: float
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class DemandRow:
    """One workload in one region. `live` is None where demand is counted in GPUs; `forecast` is
    empty where there is none, and `need.why` says what is unknown."""

    region: str
    cluster: str
    workload: str
    model: str
    tier: str
    live: Live | None
    gpu_type: str
    throughput: Throughput | None
    throughput_age_s: float | None
    need: Need
    held_gpus: int | None
    forecast: tuple[BandStep, ...]
    correction: Correction | None = None

    @property
    def peak(self) -> BandStep | None:
        return max(self.forecast, key=lambda step: step.p95, default=None)


@dataclass(frozen=True, slots=True)
class TierNeed:
    """One tier of one region: its workloads' needs added, beside what it holds."""

    region: str
    tier: str
    need: Total
    held_gpus: float | None


@dataclass(frozen=True, slots=True)
class DemandPage:
    rows: list[DemandRow]
    tiers: list[TierNeed]
    gangs: list[GangLine]
    supply: list[SupplyRow]
    rates: Rates
    unknown: list[tuple[str, str]]
    seen_at: datetime


def demand_page(*, region: str = "", tier: str = "", now: datetime) -> DemandPage | None:
    """Demand and supply of the scope; None before the first observation."""
    observation, facts = latest_observation(), current_facts()
    if observation is None or facts is None:
        return None
    clusters = clusters_in(region)
    seen = {c: observation.document["clusters"].get(c) or {} for c in clusters}
    demand, holding = demand_now(facts, now=now), _holding(clusters)
    forecasts = {(f.cluster, f.workload): f for f in latest_forecasts(region=region)}
    rows = [
        _row(facts, c, w, demand, holding, seen[c], forecasts.get((c, w.id)), now)
        for c in clusters
        for w in facts.workloads.values()
        if facts.region_of[c] in w.regions and (not tier or w.tier == tier)
    ]
    rates = fleet_rates(facts, now=now)
    supply = supply_rows(facts, seen, rates, now=now)
    return DemandPage(
        rows=rows,
        tiers=_tiers(rows, [t for t in TIERS if not tier or t == tier]),
        gangs=gang_lines(clusters, tier, now),
        supply=supply,
        rates=rates,
        unknown=[
            *_unknown(rows),
            *((f"{s.region}, {s.gpu_type}", w) for s in supply for w in s.why),
        ],
        seen_at=observation.at,
    )


# --- workloads ----------------------------------------------------------------------------------


def _row(
    facts: FleetFacts,
    cluster: str,
    workload: WorkloadConfig,
    demand: DemandNow,
    holding: Mapping[tuple[str, str], Mapping[str, int]],
    seen: Mapping[str, Any],
    forecast: WorkloadForecast | None,
    now: datetime,
) -> DemandRow:
    known = bool(seen.get("reachable"))
    held = holding.get((cluster, workload.id), {})
    live = demand.live.get((cluster, workload.id))
    gpu_type = _gpu_type(facts, cluster, workload, held)
    served = demand.served.get((workload.id, gpu_type))
    if live is not None and served is not None:
        need = gpus_needed(live, served, group_gpus=workload.group_gpus[gpu_type])
        length = live.tokens_per_request or demand.tokens_per_request.get(workload.id)
        rps = served.rps(length)
        per_unit = 1 / rps if rps else None
    else:
        need = _asked(facts, workload, seen)
        per_unit = min(workload.group_gpus[t] / u for t, u in workload.units_per_group.items())
    tiers = seen.get("tiers") or {}
    own = sum(held.values()) if live is not None else (tiers.get(workload.tier) or {}).get(
        "held_gpus")  # fmt: skip
    return DemandRow(
        region=facts.region_of[cluster],
        cluster=cluster,
        workload=workload.id,
        model=workload.model,
        tier=workload.tier,
        live=live,
        gpu_type=gpu_type if live is not None else "",
        throughput=served,
        throughput_age_s=served.age_s(now) if served else None,
        need=need,
        held_gpus=own if known else None,
        forecast=_band(forecast, per_unit, now),
        correction=demand.corrections.get((cluster, workload.id)),
    )


def _holding(clusters: Iterable[str]) -> dict[tuple[str, str], dict[str, int]]:
    """GPUs by (cluster, workload) and GPU type, by the ledger."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    rows = LedgerLot.objects.filter(until=None, cluster__in=list(clusters)).exclude(workload="")
    for lot in rows:
        types = found.setdefault((lot.cluster, lot.workload), {})
        types[lot.gpu_type] = types.get(lot.gpu_type, 0) + lot.gpus
    return found


def _gpu_type(
    facts: FleetFacts, cluster: str, workload: WorkloadConfig, held: Mapping[str, int]
) -> str:
    """The GPU type that it mostly runs on, else one that its cluster has, else any it may."""
    able = {t: n for t, n in held.items() if t in workload.group_gpus}
    if able:
        return max(able, key=lambda t: (able[t], t))
    there = [p.gpu_type for p in facts.pools_by_cluster[cluster]]
    return next((t for t in workload.group_gpus if t in there), next(iter(workload.group_gpus)))


def _asked(facts: FleetFacts, workload: WorkloadConfig, seen: Mapping[str, Any]) -> Need:
    """GPUs that jobs of a tier hold and wait for, its floor at the least."""
    entry = (seen.get("tiers") or {}).get(workload.tier)
    if entry is None or not seen.get("reachable"):
        return Need(None, why=("its cluster does not answer",))
    gpus = max(entry["held_gpus"] + entry["pending_gpus"], facts.floor_gpus(workload.tier))
    return Need(float(gpus))


def _band(
    forecast: WorkloadForecast | None, per_unit: float | None, now: datetime
) -> tuple[BandStep, ...]:
    """The forecast in GPUs by the page's steps; each takes the worst of what falls into it."""
    if forecast is None or per_unit is None:
        return ()
    values = np.asarray(forecast.quantiles)[:, [P5, P50, P95]] * per_unit
    begun = (now - forecast.made_at).total_seconds()
    ends = (np.arange(len(values)) + 1) * forecast.step_s - begun
    found = []
    for i in range(STEPS):
        within = values[
            (ends > i * STEP.total_seconds()) & (ends <= (i + 1) * STEP.total_seconds())
        ]
        if len(within):
            p5, p50, p95 = within.max(axis=0).tolist()
            found.append(BandStep(now + STEP * (i + 1), p5, p50, p95))
    return tuple(found)


def _tiers(rows: Sequence[DemandRow], tiers: Sequence[str]) -> list[TierNeed]:
    parts: dict[tuple[str, str], list[DemandRow]] = {}
    for row in rows:
        parts.setdefault((row.region, row.tier), []).append(row)
    return [
        TierNeed(
            region,
            tier,
            total({r.workload: r.need for r in parts[region, tier]}),
            added(r.held_gpus for r in parts[region, tier]),
        )
        for region in dict.fromkeys(r.region for r in rows)
        for tier in tiers
        if (region, tier) in parts
    ]


def _unknown(rows: Iterable[DemandRow]) -> list[tuple[str, str]]:
    """What is not known, once for each reason in each place."""
    found = []
    for row in rows:
        where = f"{row.region}, {row.workload}"
        found += [(where, words) for words in (row.live.why if row.live else row.need.why)]
        if not row.forecast:
            found.append((where, "the next 4 h: no forecast is in force"))
    return found


def _unknown_supply(rows: Iterable[SupplyRow]) -> list[tuple[str, str]]:
    return [(f"{row.region}, {row.gpu_type}", words) for row in rows for words in row.why]


# --- gangs --------------------------------------------------------------------------------------


def gang_lines(clusters: Sequence[str], tier: str, now: datetime) -> list[GangLine]:
    """Every gang and job of training and operations: those that wait, then those that run."""
    wanted = [t for t in ("training", "operational") if not tier or t == tier]
    durations = {t: _durations(t) for t in wanted}
    waiting = list(WaitingWork.objects.filter(cluster__in=clusters, tier__in=wanted))
    words = latest_words(clusters) if waiting else {}
    running = GangRun.objects.filter(cluster__in=clusters, tier__in=wanted, ended_at=None)
    return [_waits(row, words) for row in waiting] + [
        _runs(r, durations[r.tier], now) for r in running
    ]


def _durations(tier: str) -> list[float]:
    """Seconds that the runs of a tier took that ended, as far as we saw them."""
    rows = GangRun.objects.filter(tier=tier)
    spans = rows.values_list("started_at", "ended_at")
    return [(ended - started).total_seconds() for started, ended in spans if ended is not None]


def _waits(row: WaitingWork, words: Mapping[str, str]) -> GangLine:
    return GangLine(
        row.cluster, row.name, row.tier, "waiting", row.gpus, row.priority, row.since,
        row.since_told, None,
        f"begins by {row.starts_by:%H:%M} UTC" if row.starts_by else f"waits for {row.reason}",
        words.get(gang_id(row), ""),
    )  # fmt: skip


def _runs(row: GangRun, durations_s: Sequence[float], now: datetime) -> GangLine:
    ends_by, basis = expected_end(row.started_at, row.deadline_at, durations_s, now)
    return GangLine(
        row.cluster, row.name, row.tier, "running", row.gpus, row.priority, row.started_at,
        row.started_told, ends_by, basis,
    )  # fmt: skip
