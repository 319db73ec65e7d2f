"""The stages of one cycle: check the inputs, forecast, allocate, propose.

A cluster whose metrics are too old, or whose API did not answer, is frozen: it is left out and
named, and the others go on. Where a part of its metrics is missing it only grows. "No change is
worth its price" is an ordinary verdict.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import perf_counter
from typing import Any

from django.conf import settings

from infra_console.plans.approving.rejections import rejection_of
from infra_console.plans.queries import clusters_at_work
from infra_console.plans.services import propose_plan
from infra_console.plans.spec import Evidence, PlanSpec
from infra_console.telemetry.ages import FleetFreshness
from infra_console.telemetry.queries import fleet_freshness
from infra_console.telemetry.series import Freshness
from tiers.core.again import grown
from tiers.core.allocate import Allocation, allocate
from tiers.core.changes import ClusterMoves
from tiers.core.fleet_state import ClusterState, FleetState
from tiers.core.freezing import (
    frozen_verdict,
    frozen_words,
    growth_snapshot,
)
from tiers.core.plan_price import PlanPrice, price_moves
from tiers.core.snapshot import Snapshot
from tiers.demand import DemandNow, demand_now, keep_measured
from tiers.facts import FleetFacts
from tiers.forecasting import ForecastBook, ModelLoader, forecast_fleet, keep_forecasts
from tiers.freezing import (
    demand_at_least,
    find_freezes,
    frozen_lines,
    needs_by_tier,
    with_unknown_demand,
)
from tiers.models import Cycle, CycleState
from tiers.planned_moves import planned_moves
from tiers.planning import build_plan
from tiers.policy import Course
from tiers.snapshots import keep_snapshot, snapshot_of

MIN_GAIN_USD = 20.0


@dataclass(frozen=True, slots=True)
class CycleInputs:
    facts: FleetFacts
    state: FleetState
    now: datetime
    authors: Sequence[str]
    load_model: ModelLoader
    course: Course | None = None  # the point of the frontier that is followed


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
    freezes = find_freezes(inputs.facts, inputs.state, freshness)
    document: dict[str, Any] = {
        "seconds": clock.seconds,
        "freshness": {"state": str(freshness.state), "age_s": freshness.age_s},
        "plans": [],
        **frozen_lines(cycle, freezes, now=inputs.now),
    }
    clock.lap("telemetry")
    if freezes.all_closed(inputs.facts.cluster_ids):
        return CycleOutcome(CycleState.FROZEN, frozen_verdict(freezes), document)
    at_stage("forecast")
    book = forecast_fleet(inputs.facts, now=inputs.now, load_model=inputs.load_model)
    keep_forecasts(cycle, book)
    freezes = with_unknown_demand(freezes, inputs.facts, inputs.state, book)
    document |= frozen_lines(cycle, freezes, now=inputs.now)
    document["forecast"] = book.summary()
    clock.lap("forecast")
    state = FleetState({c: s for c, s in inputs.state.clusters.items() if freezes.is_open(c)})
    if not state.clusters and not freezes.doubted:
        return CycleOutcome(CycleState.FROZEN, frozen_verdict(freezes), document)
    keep_measured(inputs.facts, now=inputs.now)
    whole = _Ground(cycle, inputs, book, freshness, demand_now(inputs.facts, now=inputs.now))
    proposed = _Proposed()
    if state.clusters:
        at_stage("allocate")
        forecast = snapshot_of(inputs.facts, state, book, now=inputs.now, demand_now=whole.demand)
        snapshot = forecast
        if inputs.course:
            followed, document["course"] = inputs.course.followed(forecast)
            snapshot, whole = followed.snapshot, replace(whole, course=document["course"]["words"])
        allocation = allocate(snapshot, min_gain_usd=MIN_GAIN_USD)
        keep_snapshot(cycle, forecast, allocation)
        document["allocation"] = _money(allocation)
        clock.lap("allocate")
        at_stage("propose")
        _propose(proposed, whole, state, snapshot, allocation)
    at_stage("propose")
    for cluster, why in freezes.doubted.items():
        _propose_growth(proposed, replace(whole, doubt=why, course=""), cluster)
    document["plans"] = [_plan_line(plan) for plan in proposed.plans]
    document["notes"] = proposed.notes
    document["withheld"] = proposed.withheld
    clock.lap("propose")
    return CycleOutcome(CycleState.DONE, _verdict(document), document)


# --- proposals ----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Proposed:
    plans: list[tuple[Any, PlanSpec]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    withheld: list[str] = field(default_factory=list)  # what people said no to a while ago


@dataclass(frozen=True, slots=True)
class _Ground:
    """What a proposal stands on; with a `doubt` it may only grow."""

    cycle: Cycle
    inputs: CycleInputs
    book: ForecastBook
    freshness: FleetFreshness
    demand: DemandNow
    doubt: str = ""
    course: str = ""  # the point that is followed, in words


def _propose_growth(proposed: _Proposed, ground: _Ground, cluster: str) -> None:
    """What one doubted cluster may start, from the demand that is seen at least."""
    facts, state = ground.inputs.facts, ground.inputs.state
    alone = FleetState({cluster: state.clusters[cluster]})
    nothing = ForecastBook({}, {}, "")
    whole = snapshot_of(facts, alone, nothing, now=ground.inputs.now, demand_now=ground.demand)
    region, seen = facts.region_of[cluster], demand_at_least(facts, cluster)
    snapshot = growth_snapshot(whole, region, seen)
    allocation = allocate(snapshot, min_gain_usd=MIN_GAIN_USD)
    _propose(proposed, ground, alone, snapshot, allocation)


def _propose(
    proposed: _Proposed,
    ground: _Ground,
    state: FleetState,
    snapshot: Snapshot,
    allocation: Allocation,
) -> None:
    inputs = ground.inputs
    proposed.notes += [*allocation.unmet_floors, *allocation.refused, *allocation.unserved]
    at_work = clusters_at_work()
    for cluster in state.clusters.values():
        if number := at_work.get(cluster.cluster):
            proposed.notes.append(f"{cluster.cluster}: plan {number} is at work; it goes first")
            continue
        moves = planned_moves(
            inputs.facts,
            cluster,
            allocation,
            needs=needs_by_tier(inputs.facts, ground.book, cluster.cluster)
            if ground.doubt
            else None,
        )
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
        evidence = _evidence(ground, cluster, snapshot, allocation)
        spec = build_plan(inputs.facts, cluster, moves, evidence, price)
        if no := _standing_rejection(inputs.facts, spec):
            proposed.withheld.append(f"{cluster.cluster}: {no}")
            continue
        plan = propose_plan(spec, authors=inputs.authors)
        proposed.plans.append((plan, spec))


def _standing_rejection(facts: FleetFacts, spec: PlanSpec) -> str:
    """Why these moves are not proposed again; empty when they may be.

    What restores a floor, and what a grown demand now asks for, are other questions than the one
    that people answered.
    """
    no = rejection_of(spec)
    if no is None or (spec.urgent and not no.spec.urgent):
        return ""
    gaining = {m.to_tier for m in spec.moves if m.kind == "node"}
    workloads = {w.id for w in facts.workloads.values() if w.tier in gaining}
    workloads |= {m.workload for m in spec.moves if (m.to_replicas or 0) > (m.from_replicas or 0)}
    share = settings.REJECTED_UNLESS_GROWN_PERCENT / 100
    before, now = no.spec.evidence.demand, spec.evidence.demand
    return "" if grown(before, now, workloads, share=share) else no.words


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


def _evidence(
    ground: _Ground, cluster: ClusterState, snapshot: Snapshot, allocation: Allocation
) -> Evidence:
    seen = ground.freshness.clusters.get(cluster.cluster)
    entries = {w: e for (c, w), e in ground.book.entries.items() if c == cluster.cluster}
    metrics = (seen.age_s, str(seen.state)) if seen else (None, str(Freshness.DOWN))
    # The API is asked as the cycle begins; metrics about a cluster are as old as metrics are.
    read = (0.0, str(Freshness.LIVE)) if cluster.source == "kubernetes" else metrics
    return Evidence(
        cycle_id=str(ground.cycle.pk),
        taken_at=ground.inputs.now,
        ages_s={"metrics": metrics[0], "cluster": read[0]},
        states={"metrics": metrics[1], "cluster": read[1]},
        demand=_at_least_lines(snapshot)
        if ground.doubt
        else [e.line(w) for w, e in sorted(entries.items())],
        forecast_models={} if ground.doubt else {w: e.model_4h for w, e in entries.items()},
        objective=_money(allocation),
        notes=(
            f"Nodes and pods were read from {cluster.source} as the cycle began.",
            *([ground.course] if ground.course else []),
            *ground.demand.words(ground.inputs.facts, cluster.cluster, now=ground.inputs.now),
        ),
        doubts=(ground.doubt,) if ground.doubt else (),
    )


def _at_least_lines(snapshot: Snapshot) -> list[dict[str, Any]]:
    return [
        {"workload": workload, "at_least_now": steps[0].p50}
        for workload, by_region in sorted(snapshot.demand.items())
        for steps in by_region.values()
    ]


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
    plans, withheld = document["plans"], document["withheld"]
    if plans:
        text = f"{len(plans)} {'plan' if len(plans) == 1 else 'plans'} proposed"
    elif withheld:
        text = f"{len(withheld)} {'change' if len(withheld) == 1 else 'changes'} held back"
    else:
        text = "No change is worth its price"
    text += frozen_words(document)
    if withheld:
        text += f"; {'; '.join(withheld[:3])}"
    return text + "."
