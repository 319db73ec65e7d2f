"""By what signs a plan of moves would have hurt, had it been carried out: its harms as data.

Computed when the plan is proposed, from what it takes and from whom:

- a tier that gives GPUs would have been left under its floor: fewer GPUs stood there over the
  horizon than the floor and the given ones together;
- a tier that gives GPUs would have lacked them: its pods asked for more than it would have kept
  beside what the plan means to stop, and for more than when the plan was made: a queue that stood
  there then was weighed in its price;
- a service that shrinks was over its SLO as it stood, without the shrink.

Each is to last for a tenth of the horizon: a minute's blip is no harm.
"""

from collections.abc import Iterator

from infra_console.plans.spec import Harm
from tiers.core.changes import ClusterMoves, ScaleChange
from tiers.core.fleet_state import HOLDING, TIERS, ClusterState
from tiers.facts import FleetFacts

SLO_SHARE = 0.95


def harms_of(facts: FleetFacts, state: ClusterState, moves: ClusterMoves) -> Iterator[Harm]:
    """Every sign that these moves would have hurt somebody whom they take from."""
    for tier in TIERS:
        if given := _given_gpus(moves, tier):
            yield _under_floor(facts, moves, tier, given)
            yield _needed(facts, state, moves, tier, given)
    for shrink in moves.shrinks:
        yield from _over_slo(facts, moves.cluster, shrink)


def _given_gpus(moves: ClusterMoves, tier: str) -> int:
    """GPUs that a tier loses on balance; 0 where it gains."""
    gone = sum(c.node.gpus_allocatable for c in moves.nodes if c.from_tier == tier)
    come = sum(c.node.gpus_allocatable for c in moves.nodes if c.to_tier == tier)
    return max(0, gone - come)


def _under_floor(facts: FleetFacts, moves: ClusterMoves, tier: str, given: int) -> Harm:
    floor = facts.floor_gpus(tier)
    return Harm(
        title=f"{tier} in {moves.cluster} had fewer GPUs than its floor of {floor} and the "
        f"{given} that it would have given",
        query="tier_gpus",
        labels={"cluster": moves.cluster, "tier": tier},
        op="<",
        bound=floor + given,
        unit="GPUs",
        aggregate="p10",
    )


def _needed(
    facts: FleetFacts, state: ClusterState, moves: ClusterMoves, tier: str, given: int
) -> Harm:
    """What is asked of a tier beyond what the plan knew and left."""
    held = sum(n.gpus_allocatable for n in state.nodes if n.tier == tier)
    stopped, asked = _stopped_gpus(facts, moves, tier), _asked_gpus(facts, state, tier)
    kept = held - given
    return Harm(
        title=f"{tier} in {moves.cluster} asked for more than the {kept} GPUs that it would have "
        f"kept and the {stopped} that were to stop, and for more than the {asked} of before",
        query="gpus_requested",
        labels={
            "cluster": moves.cluster,
            "namespace": facts.namespaces_of_tier(tier),
            "phase": ("Running", "Pending"),
        },
        op=">",
        bound=max(kept + stopped, asked),
        unit="GPUs",
        aggregate="p90",
    )


def _asked_gpus(facts: FleetFacts, state: ClusterState, tier: str) -> int:
    """What the tier's pods ask for when the plan is made, counted as the metric does."""
    names = facts.namespaces_of_tier(tier)
    return sum(p.gpus for p in state.pods if p.namespace in names and p.phase in HOLDING)


def _stopped_gpus(facts: FleetFacts, moves: ClusterMoves, tier: str) -> int:
    """What the plan ends and means to end: replicas that go, gangs whose loss is in its price.

    Other pods of a node that is given away come up elsewhere in the tier and still ask.
    """
    evicted = (p for c in moves.nodes if c.from_tier == tier for p in c.evicts)
    gone = (s for s in moves.shrinks if facts.workloads[s.deployment.workload].tier == tier)
    return sum(p.gpus for p in evicted if p.gang) + sum(abs(s.gpus) for s in gone)


def _over_slo(facts: FleetFacts, cluster: str, shrink: ScaleChange) -> Iterator[Harm]:
    workload = facts.workloads[shrink.deployment.workload]
    if not workload.slo_ttft_p95_ms:
        return
    slo_s = workload.slo_ttft_p95_ms / 1000
    yield Harm(
        title=f"fewer than {SLO_SHARE:.0%} of {workload.id} requests saw a first token within "
        f"{slo_s:g} s, with the replicas that were to go",
        query="ttft_within_slo",
        labels={"cluster": cluster, "model_name": workload.model, "le": str(slo_s)},
        op="<",
        bound=SLO_SHARE,
        unit="share of requests",
        aggregate="p10",
    )
