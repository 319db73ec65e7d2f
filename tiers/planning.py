"""From the moves of one cluster to a plan: steps, guards, promises, preconditions, evidence.

Steps run in waves: replicas and queues that shrink, then nodes (cordon, drain, assign the tier,
uncordon; at most MOVING_NODES of them at once), then replicas and queues that grow, each confirmed
before the next.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from infra_console.fleet.config import WorkloadConfig
from infra_console.plans.spec import (
    Budget,
    Evidence,
    Guard,
    Lock,
    Move,
    ObjectRef,
    PlanSpec,
    Precondition,
    Promise,
    StepSpec,
)
from tiers.core.changes import ClusterMoves, NodeChange, ScaleChange
from tiers.core.fleet_state import TIERS, ClusterState, NodeView
from tiers.core.plan_price import PlanPrice
from tiers.facts import FleetFacts
from tiers.harms import harms_of
from tiers.queue_plans import (
    GRACE_S,
    grow_waves,
    queue_preconditions,
    quota_moves,
    shrink_waves,
    victims,
)
from tiers.scale_plans import kept_while_emptied, relied_on, scale_step, scaled_ref

DOMAIN = "tiers"
MOVING_NODES = 2
SLO_SHARE = 0.95
NODE_STEPS = (
    ("node.cordon", "Cordon {node}"),
    ("node.drain", "Drain {node}"),
    ("node.assign_tier", "Give {node} to {to_tier}"),
    ("node.uncordon", "Uncordon {node}"),
)


def build_plan(
    facts: FleetFacts,
    state: ClusterState,
    moves: ClusterMoves,
    evidence: Evidence,
    price: PlanPrice,
) -> PlanSpec:
    """The plan of one cluster's moves."""
    return PlanSpec(
        schema="plan/1",
        domain=DOMAIN,
        title=_title(state, moves),
        summary=_summary(moves),
        moves=tuple(_moves(moves)),
        steps=tuple(kept_while_emptied(moves.cluster, moves, _steps(facts, state, moves))),
        locks=tuple(Lock(cluster=moves.cluster, tier=t) for t in _tiers_touched(facts, moves)),
        guards=tuple(_guards(facts, moves)),
        budgets=(Budget(cluster=moves.cluster, max_nodes=MOVING_NODES),),
        promises=tuple(_promises(facts, state, moves)),
        preconditions=tuple(_preconditions(moves)),
        evidence=evidence,
        usd_per_hour_delta=price.usd_per_hour_delta,
        gain_usd=price.gain_usd,
        harms=tuple(harms_of(facts, state, moves)),
        urgent="it restores a floor" if price.restores_floor else "",
        losses=(moves.lost_words,) if moves.lost_words else (),
    )


def _title(state: ClusterState, moves: ClusterMoves) -> str:
    parts = [
        f"{count} {'node' if count == 1 else 'nodes'} {pair[0]} → {pair[1]}"
        for pair, count in _count((c.from_tier, c.to_tier) for c in moves.nodes).items()
    ]
    scales = [f"{s.deployment.name} {s.delta:+d}" for s in (*moves.shrinks, *moves.grows)]
    if scales:
        parts.append(", ".join(scales[:3]) + (" …" if len(scales) > 3 else ""))
    return f"{state.cluster}: " + "; ".join(parts)


def _count(keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for key in keys:
        counts[key] = counts.get(key, 0) + 1
    return counts


def _summary(moves: ClusterMoves) -> str:
    reasons = [s.reason for s in (*moves.grows, *moves.shrinks)]
    lines = [*dict.fromkeys(reasons), *(c.reason + "." for c in moves.nodes if not reasons)]
    if lost := moves.lost_words:
        lines.append(f"Stopping gangs loses {lost}.")
    return "\n".join([*lines, *moves.notes])


def _moves(moves: ClusterMoves) -> Iterator[Move]:
    for change in moves.nodes:
        yield Move(
            kind="node",
            target=_node_ref(moves.cluster, change.node),
            pool=change.node.pool,
            from_tier=change.from_tier,
            to_tier=change.to_tier,
            gpus=change.node.gpus_allocatable,
            evicts=tuple(f"{p.namespace}/{p.name}" for p in change.evicts),
            reason=change.reason,
        )
    for scale in (*moves.shrinks, *moves.grows):
        yield Move(
            kind="scale",
            target=scaled_ref(moves.cluster, scale),
            workload=scale.deployment.workload,
            from_replicas=scale.deployment.replicas,
            to_replicas=scale.to_replicas,
            gpus=scale.gpus,
            evicts=scale.victims,
            reason=scale.reason,
        )
    yield from quota_moves(moves)


def _steps(facts: FleetFacts, state: ClusterState, moves: ClusterMoves) -> Iterator[StepSpec]:
    wave = 0
    for scale in moves.shrinks:
        yield _scale_step(facts, state, scale, wave)
    wave += bool(moves.shrinks)
    for steps in shrink_waves(moves):
        yield from (step.model_copy(update={"wave": wave}) for step in steps)
        wave += 1
    stopped = victims(moves) if moves.stops or moves.quotas else None
    for start in range(0, len(moves.nodes), MOVING_NODES):
        for kind, title in NODE_STEPS:
            for change in moves.nodes[start : start + MOVING_NODES]:
                step = _node_step(facts, moves.cluster, change, kind, title, wave)
                yield _for_gangs(step, change, stopped)
            wave += 1
    for scale in moves.grows:
        yield _scale_step(facts, state, scale, wave)
    for later, steps in enumerate(grow_waves(moves)):
        yield from (step.model_copy(update={"wave": wave + later}) for step in steps)


def _for_gangs(step: StepSpec, change: NodeChange, stopped: Sequence[str] | None) -> StepSpec:
    """A drain gives gangs their grace, and waits for those that the plan stops under a queue.

    A node that comes to training is emptied of whole gangs should it ever go back.
    """
    if step.kind == "node.assign_tier" and change.to_tier == "training":
        back = {"grace_s": GRACE_S, "requeue": True}
        return step.model_copy(update={"params": step.params | back})
    if step.kind != "node.drain" or not any(pod.gang for pod in change.evicts):
        return step
    named = {} if stopped is None else {"victims": list(stopped)}
    return step.model_copy(update={"params": step.params | {"grace_s": GRACE_S} | named})


def _node_step(
    facts: FleetFacts, cluster: str, change: NodeChange, kind: str, title: str, wave: int
) -> StepSpec:
    giving = kind in {"node.cordon", "node.drain"}
    params: dict[str, Any] = {}
    if kind != "node.uncordon":
        params = {"key": facts.tier_key, "from": change.from_tier, **_uid(change.node.uid)}
    if kind == "node.assign_tier":
        params["to"] = change.to_tier
    return StepSpec(
        key=f"{cluster}/{change.node.name}/{kind}",
        kind=kind,
        title=title.format(node=change.node.name, to_tier=change.to_tier),
        target=_node_ref(cluster, change.node),
        tier=change.from_tier if giving else change.to_tier,
        wave=wave,
        params=params,
    )


def _scale_step(facts: FleetFacts, state: ClusterState, scale: ScaleChange, wave: int) -> StepSpec:
    tier = facts.workloads[scale.deployment.workload].tier
    return scale_step(state.cluster, scale, tier=tier, wave=wave, state=state)


def _tiers_touched(facts: FleetFacts, moves: ClusterMoves) -> list[Any]:
    touched = {t for c in moves.nodes for t in (c.from_tier, c.to_tier)}
    touched |= {facts.workloads[s.deployment.workload].tier for s in (*moves.shrinks, *moves.grows)}
    return sorted(touched)


def _guards(facts: FleetFacts, moves: ClusterMoves) -> Iterator[Guard]:
    for tier in TIERS:
        yield Guard(
            cluster=moves.cluster,
            tier=tier,
            min_ready_gpus=facts.floor_gpus(tier),
        )


def _promises(facts: FleetFacts, state: ClusterState, moves: ClusterMoves) -> Iterator[Promise]:
    for tier, gpus in _tier_gpus_after(state, moves).items():
        yield Promise(
            title=f"{tier} holds {gpus} GPUs in {moves.cluster}",
            query="tier_gpus",
            labels={"cluster": moves.cluster, "tier": tier},
            op="==",
            bound=gpus,
            unit="GPUs",
            aggregate="last",
            verifies=True,
        )
    for scale in (*moves.grows, *moves.shrinks):
        workload = facts.workloads[scale.deployment.workload]
        if workload.slo_ttft_p95_ms:
            yield _slo_promise(moves.cluster, workload, workload.slo_ttft_p95_ms)


def _slo_promise(cluster: str, workload: WorkloadConfig, slo_ms: float) -> Promise:
    slo_s = slo_ms / 1000
    return Promise(
        title=f"{SLO_SHARE:.0%} of {workload.id} requests see a first token within {slo_s:g} s",
        query="ttft_within_slo",
        labels={"cluster": cluster, "model_name": workload.model, "le": str(slo_s)},
        op=">=",
        bound=SLO_SHARE,
        unit="share of requests",
    )


def _tier_gpus_after(state: ClusterState, moves: ClusterMoves) -> Mapping[str, int]:
    """Allocatable GPUs by tier label once the nodes have moved, for the tiers that change."""
    gpus = {t: sum(n.gpus_allocatable for n in state.nodes if n.tier == t) for t in TIERS}
    for change in moves.nodes:
        gpus[change.from_tier] -= change.node.gpus_allocatable
        gpus[change.to_tier] += change.node.gpus_allocatable
    changed = {t for c in moves.nodes for t in (c.from_tier, c.to_tier)}
    return {tier: gpus[tier] for tier in TIERS if tier in changed}


def _preconditions(moves: ClusterMoves) -> Iterator[Precondition]:
    for change in moves.nodes:
        node = change.node
        yield Precondition(
            target=_node_ref(moves.cluster, node),
            facts={
                **_uid(node.uid),
                "tier": change.from_tier,
                "unschedulable": False,
                "ready": True,
                "gpus_allocatable": node.gpus_allocatable,
            },
        )
    for scale in (*moves.shrinks, *moves.grows):
        yield Precondition(
            target=scaled_ref(moves.cluster, scale),
            facts=relied_on(scale),
        )
    yield from queue_preconditions(moves)


def _uid(uid: str) -> dict[str, str]:
    """Metrics do not tell every uid; what is not known cannot be relied on."""
    return {"uid": uid} if uid else {}


def _node_ref(cluster: str, node: NodeView) -> ObjectRef:
    return ObjectRef(cluster=cluster, kind="Node", name=node.name)
