"""What a cycle proposes to people: moves that can be made now, their price and their evidence.

A cluster with a plan at work waits for it, and what gains less than `MIN_GAIN_USD` is noted only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings

from infra_console.plans.approving.rejections import rejection_of
from infra_console.plans.queries import clusters_at_work
from infra_console.plans.services import propose_plan, raise_urgency
from infra_console.plans.spec import Evidence, PlanSpec
from infra_console.telemetry.ages import FleetFreshness
from infra_console.telemetry.series import Freshness
from tiers.core.again import grown
from tiers.core.allocate import Allocation, allocate
from tiers.core.changes import ClusterMoves
from tiers.core.fleet_state import ClusterState, FleetState
from tiers.core.freezing import growth_snapshot
from tiers.core.plan_price import PlanPrice, price_moves
from tiers.core.snapshot import Snapshot
from tiers.demand import DemandNow
from tiers.facts import FleetFacts
from tiers.forecasting import ForecastBook
from tiers.freezing import demand_at_least, needs_by_tier
from tiers.models import Cycle
from tiers.planned_moves import planned_moves
from tiers.planning import build_plan
from tiers.services import SYSTEM_AUTHOR
from tiers.snapshots import snapshot_of
from tiers.urgency import why_urgent
from tiers.waiting_gangs import words_of_cluster

MIN_GAIN_USD = 20.0


@dataclass(slots=True)
class Proposed:
    plans: list[tuple[Any, PlanSpec]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    withheld: list[str] = field(default_factory=list)  # what people said no to a while ago


@dataclass(frozen=True, slots=True)
class Ground:
    """What a proposal stands on; with a `doubt` it may only grow."""

    cycle: Cycle
    facts: FleetFacts
    authors: Sequence[str]
    now: datetime
    book: ForecastBook
    freshness: FleetFreshness
    demand: DemandNow
    doubt: str = ""
    course: str = ""  # the point that is followed, in words
    gangs: Mapping[str, str] = field(default_factory=dict)  # what becomes of those that wait


def propose_growth(proposed: Proposed, ground: Ground, cluster: ClusterState) -> None:
    """What one doubted cluster may start, from the demand that is seen at least, now or by the fast
    pass since the cluster's own last plan."""
    facts, alone = ground.facts, FleetState({cluster.cluster: cluster})
    nothing = ForecastBook({}, {}, "")
    whole = snapshot_of(facts, alone, nothing, now=ground.now, demand_now=ground.demand)
    region = facts.region_of[cluster.cluster]
    seen = ground.demand.at_least(cluster.cluster, demand_at_least(facts, cluster.cluster))
    snapshot = growth_snapshot(whole, region, seen)
    allocation = allocate(snapshot, min_gain_usd=MIN_GAIN_USD)
    propose(proposed, ground, alone, snapshot, allocation)


def propose(
    proposed: Proposed,
    ground: Ground,
    state: FleetState,
    snapshot: Snapshot,
    allocation: Allocation,
) -> None:
    facts = ground.facts
    proposed.notes += [*allocation.unmet_floors, *allocation.refused, *allocation.unserved]
    at_work = clusters_at_work()
    for cluster in state.clusters.values():
        if number := at_work.get(cluster.cluster):
            proposed.notes.append(f"{cluster.cluster}: plan {number} is at work; it goes first")
            continue
        moves = planned_moves(
            facts, cluster, allocation, needs=_needs(ground, cluster) if ground.doubt else None
        )
        proposed.notes += moves.notes
        if not moves:
            continue
        price = _price(facts, snapshot, cluster, allocation, moves)
        if price.gain_usd < MIN_GAIN_USD and not price.restores_floor:
            proposed.notes.append(
                f"{cluster.cluster}: what could be moved now gains ${price.gain_usd:,.0f} over the "
                f"horizon, less than the ${MIN_GAIN_USD:,.0f} that a plan must be worth"
            )
            continue
        evidence = _evidence(ground, cluster, snapshot, allocation)
        spec = build_plan(facts, cluster, moves, evidence, price)
        if no := _standing_rejection(facts, spec):
            proposed.withheld.append(f"{cluster.cluster}: {no}")
            continue
        plan = propose_plan(spec, authors=ground.authors)
        # Afterwards: in the document it would be another plan, and pass a person's no.
        if why := why_urgent(facts, spec, ground.demand.corrections):
            raise_urgency(plan.id, why=why, who=SYSTEM_AUTHOR)
        proposed.plans.append((plan, spec))


def _needs(ground: Ground, cluster: ClusterState) -> Mapping[str, float | None]:
    corrected = ground.demand.at_least(cluster.cluster, {})
    return needs_by_tier(ground.facts, ground.book, cluster.cluster, corrected)


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
    ground: Ground, cluster: ClusterState, snapshot: Snapshot, allocation: Allocation
) -> Evidence:
    seen = ground.freshness.clusters.get(cluster.cluster)
    entries = {w: e for (c, w), e in ground.book.entries.items() if c == cluster.cluster}
    metrics = (seen.age_s, str(seen.state)) if seen else (None, str(Freshness.DOWN))
    # The API is asked as the cycle begins; metrics about a cluster are as old as metrics are.
    read = (0.0, str(Freshness.LIVE)) if cluster.source == "kubernetes" else metrics
    return Evidence(
        cycle_id=str(ground.cycle.pk),
        taken_at=ground.now,
        ages_s={"metrics": metrics[0], "cluster": read[0]},
        states={"metrics": metrics[1], "cluster": read[1]},
        demand=_at_least_lines(snapshot)
        if ground.doubt
        else [e.line(w) for w, e in sorted(entries.items())],
        forecast_models={} if ground.doubt else {w: e.model_4h for w, e in entries.items()},
        objective=money_of(allocation),
        notes=(
            f"Nodes and pods were read from {cluster.source} as the cycle began.",
            *([ground.course] if ground.course else []),
            *words_of_cluster(ground.gangs, cluster.cluster),
            *_held_words(allocation, ground.facts.region_of[cluster.cluster]),
            *ground.demand.words(ground.facts, cluster.cluster, now=ground.now),
        ),
        doubts=(ground.doubt,) if ground.doubt else (),
    )


def _held_words(allocation: Allocation, region: str) -> list[str]:
    """What stays in a region by its dwell, and where its growth goes should a pool give none."""
    told = [h.words for h in allocation.held if h.region == region]
    told += [f.words() for f in allocation.fallbacks if f.region == region and not f.step]
    return [f"{words[0].upper()}{words[1:]}." for words in told]


def _at_least_lines(snapshot: Snapshot) -> list[dict[str, Any]]:
    return [
        {"workload": workload, "at_least_now": steps[0].p50}
        for workload, by_region in sorted(snapshot.demand.items())
        for steps in by_region.values()
    ]


def money_of(allocation: Allocation) -> dict[str, float]:
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


def plan_line(proposed: tuple[Any, PlanSpec]) -> dict[str, Any]:
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
