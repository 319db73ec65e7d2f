"""The stages of one cycle: check the inputs, forecast, allocate, propose.

A cluster whose metrics are too old, or whose API did not answer, is frozen: it is left out and
named, and the others go on. "No change is worth its price" is an ordinary verdict.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Any

from infra_console.plans.queries import clusters_at_work
from infra_console.plans.services import propose_plan
from infra_console.plans.spec import Evidence, PlanSpec
from infra_console.telemetry.ages import FleetFreshness
from infra_console.telemetry.queries import fleet_freshness
from infra_console.telemetry.series import Freshness
from tiers.core.allocate import Allocation, allocate
from tiers.core.changes import ClusterMoves
from tiers.core.fleet_state import TIERS, ClusterState, FleetState
from tiers.core.moves import cluster_moves
from tiers.core.plan_price import PlanPrice, price_moves
from tiers.core.snapshot import Snapshot
from tiers.facts import FleetFacts
from tiers.forecasting import ForecastBook, ModelLoader, forecast_fleet, keep_forecasts
from tiers.models import Cycle, CycleState
from tiers.planning import build_plan
from tiers.snapshots import keep_snapshot, snapshot_of

PLANNABLE = {Freshness.LIVE, Freshness.DELAYED}
MAX_NODES_PER_PLAN = 4
MIN_GAIN_USD = 20.0


@dataclass(frozen=True, slots=True)
class CycleInputs:
    facts: FleetFacts
    state: FleetState
    now: datetime
    authors: Sequence[str]
    load_model: ModelLoader


@dataclass(frozen=True, slots=True)
class CycleOutcome:
    state: CycleState
    verdict: str
    document: dict[str, Any]


@dataclass(slots=True)
class _Clock:
    """Seconds each stage took, for the page and the command."""

    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=perf_counter)

    def lap(self, stage: str) -> None:
        now = perf_counter()
        self.seconds[stage] = round(now - self._since, 3)
        self._since = now


def run_stages(cycle: Cycle, inputs: CycleInputs, at_stage: Callable[[str], None]) -> CycleOutcome:
    """Carry one cycle through; every number in the outcome's document comes from its inputs."""
    clock = _Clock()
    freshness = fleet_freshness()
    frozen = _frozen_clusters(inputs, freshness)
    document: dict[str, Any] = {
        "seconds": clock.seconds,
        "freshness": {"state": str(freshness.state), "age_s": freshness.age_s},
        "frozen": frozen,
        "plans": [],
    }
    open_clusters = [c for c in inputs.facts.cluster_ids if c not in frozen]
    clock.lap("telemetry")
    if not open_clusters:
        return CycleOutcome(CycleState.FROZEN, _frozen_verdict(frozen), document)
    at_stage("forecast")
    book = forecast_fleet(inputs.facts, now=inputs.now, load_model=inputs.load_model)
    keep_forecasts(cycle, book)
    frozen |= _without_forecast(inputs.facts, book, open_clusters)
    document["forecast"] = book.summary()
    clock.lap("forecast")
    state = FleetState({c: s for c, s in inputs.state.clusters.items() if c not in frozen})
    if not state.clusters:
        return CycleOutcome(CycleState.FROZEN, _frozen_verdict(frozen), document)
    at_stage("allocate")
    snapshot = snapshot_of(inputs.facts, state, book, now=inputs.now)
    allocation = allocate(snapshot, min_gain_usd=MIN_GAIN_USD)
    keep_snapshot(cycle, snapshot, allocation)
    document["allocation"] = _money(allocation)
    clock.lap("allocate")
    at_stage("propose")
    proposed = _propose(cycle, inputs, state, book, snapshot, allocation, freshness)
    document["plans"] = [_plan_line(plan) for plan in proposed.plans]
    document["notes"] = proposed.notes
    clock.lap("propose")
    return CycleOutcome(CycleState.DONE, _verdict(document), document)


# --- inputs -----------------------------------------------------------------------------------


def _frozen_clusters(inputs: CycleInputs, freshness: FleetFreshness) -> dict[str, str]:
    """Why each cluster that must not be planned on is left out."""
    frozen = dict(inputs.state.unreadable)
    for cluster in inputs.facts.cluster_ids:
        seen = freshness.clusters.get(cluster)
        if seen is None or seen.state not in PLANNABLE:
            age = f", {seen.age_s:.0f} s old" if seen and seen.age_s is not None else ""
            word = str(seen.state) if seen else str(Freshness.DOWN)
            frozen.setdefault(cluster, f"metrics are {word}{age}")
    for pool in inputs.facts.config.pools:
        if pool.usd_per_gpu_hour is None:  # a move there would seem to be free
            frozen.setdefault(pool.cluster, f"the price of pool {pool.id} is unknown")
    return frozen


def _without_forecast(
    facts: FleetFacts, book: ForecastBook, clusters: Sequence[str]
) -> dict[str, str]:
    """Clusters where a workload's demand could not be forecast: unknown is never zero."""
    missing: dict[str, str] = {}
    for cluster in clusters:
        region = facts.region_of[cluster]
        for workload in facts.workloads.values():
            if region in workload.regions and (cluster, workload.id) not in book.entries:
                why = book.missing.get((cluster, workload.id), "it has no history")
                missing[cluster] = f"demand of {workload.id} is unknown: {why}"
    return missing


# --- proposals ----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Proposed:
    plans: list[tuple[Any, PlanSpec]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _propose(
    cycle: Cycle,
    inputs: CycleInputs,
    state: FleetState,
    book: ForecastBook,
    snapshot: Snapshot,
    allocation: Allocation,
    freshness: FleetFreshness,
) -> _Proposed:
    proposed = _Proposed(
        notes=[*allocation.unmet_floors, *allocation.refused, *allocation.unserved]
    )
    at_work = clusters_at_work()
    for cluster in state.clusters.values():
        if number := at_work.get(cluster.cluster):
            proposed.notes.append(f"{cluster.cluster}: plan {number} is at work; it goes first")
            continue
        moves = _moves_of(inputs.facts, cluster, allocation)
        proposed.notes += moves.notes
        if not moves:
            continue
        price = _price(inputs.facts, snapshot, cluster, allocation, moves)
        if price.gain_usd < MIN_GAIN_USD and not price.restores_floor:
            proposed.notes.append(
                f"{cluster.cluster}: what could be moved now gains ${price.gain_usd:,.0f} over the "
                f"horizon, less than the ${MIN_GAIN_USD:,.0f} that a plan must be worth"
            )
            continue
        evidence = _evidence(cycle, inputs, cluster, book, allocation, freshness)
        spec = build_plan(inputs.facts, cluster, moves, evidence, price)
        plan = propose_plan(spec, authors=inputs.authors)
        proposed.plans.append((plan, spec))
    return proposed


def _moves_of(facts: FleetFacts, cluster: ClusterState, allocation: Allocation) -> ClusterMoves:
    pools = {p.id for p in facts.pools_by_cluster[cluster.cluster]}
    return cluster_moves(
        cluster,
        {key: n for key, n in allocation.groups.items() if key[0] in pools},
        facts.move_facts(),
        deltas=_deltas(allocation, pools),
        floors={t: facts.floor_gpus(t) for t in TIERS},
        max_nodes=MAX_NODES_PER_PLAN,
        reasons={m.workload: m.reason for m in allocation.moves if m.pool in pools},
        families=facts.pool_families(),
    )


def _price(
    facts: FleetFacts,
    snapshot: Snapshot,
    cluster: ClusterState,
    allocation: Allocation,
    moves: ClusterMoves,
) -> PlanPrice:
    return price_moves(
        snapshot,
        cluster,
        allocation.groups,
        moves,
        facts.move_facts(),
        families=facts.pool_families(),
    )


def _deltas(allocation: Allocation, pools: set[str]) -> dict[str, int]:
    """Groups of each workload that the allocator starts or stops in these pools."""
    deltas: Counter[str] = Counter()
    for move in allocation.moves:
        if move.pool in pools:
            deltas[move.workload] += move.groups
    return dict(deltas)


def _evidence(
    cycle: Cycle,
    inputs: CycleInputs,
    cluster: ClusterState,
    book: ForecastBook,
    allocation: Allocation,
    freshness: FleetFreshness,
) -> Evidence:
    seen = freshness.clusters.get(cluster.cluster)
    entries = {w: e for (c, w), e in book.entries.items() if c == cluster.cluster}
    metrics = (seen.age_s, str(seen.state)) if seen else (None, str(Freshness.DOWN))
    # The API is asked as the cycle begins; metrics about a cluster are as old as metrics are.
    read = (0.0, str(Freshness.LIVE)) if cluster.source == "kubernetes" else metrics
    return Evidence(
        cycle_id=str(cycle.pk),
        taken_at=inputs.now,
        ages_s={"metrics": metrics[0], "cluster": read[0]},
        states={"metrics": metrics[1], "cluster": read[1]},
        demand=[e.line(w) for w, e in sorted(entries.items())],
        forecast_models={w: e.model_4h for w, e in entries.items()},
        objective=_money(allocation),
        notes=(f"Nodes and pods were read from {cluster.source} as the cycle began.",),
    )


def _money(allocation: Allocation) -> dict[str, float]:
    money = {
        "objective_usd": allocation.objective_usd,
        "capacity_usd": allocation.capacity_usd,
        "moves_usd": allocation.moves_usd,
        "shortfall_usd": allocation.shortfall_usd,
        "reserved_usd": allocation.reserved_usd,
        "bound_usd": allocation.bound_usd,
        "gain_usd": allocation.gain_usd,
        "usd_per_hour": allocation.usd_per_hour,
    }
    if allocation.gap is not None:
        money["gap"] = allocation.gap
    return {name: round(value, 4) for name, value in money.items()}


def _plan_line(proposed: tuple[Any, PlanSpec]) -> dict[str, Any]:
    plan, spec = proposed
    return {
        "id": str(plan.pk),
        "number": plan.number,
        "state": plan.state,
        "title": spec.title,
        "hash": plan.hash,
        "gain_usd": spec.gain_usd,
        "moves": [m.model_dump(mode="json", exclude_none=True) for m in spec.moves],
    }


# --- verdicts -------------------------------------------------------------------------------


def _verdict(document: Mapping[str, Any]) -> str:
    plans, frozen = document["plans"], document["frozen"]
    if plans:
        text = f"{len(plans)} {'plan' if len(plans) == 1 else 'plans'} proposed"
    else:
        text = "No change is worth its price"
    if frozen:
        text += f"; {len(frozen)} clusters frozen ({', '.join(sorted(frozen)[:3])})"
    return text + "."


def _frozen_verdict(frozen: Mapping[str, str]) -> str:
    reasons = sorted(set(frozen.values()))
    return "Planning is frozen: " + "; ".join(reasons[:3]) + ". Nothing was changed."
