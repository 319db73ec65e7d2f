"""The step, object and preconditions of one change of replicas, by who owns their number."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from infra_console.plans.spec import ObjectRef, StepSpec
from tiers.core.actuators import actuator_of, who_leaves
from tiers.core.changes import ClusterMoves, NodeChange, ScaleChange
from tiers.core.fleet_state import AutoscalerView, ClusterState, GitView

Facts = dict[str, Any]


def scaled_ref(cluster: str, scale: ScaleChange) -> ObjectRef:
    """What is written to: the autoscaler where one owns the replicas, else the workload itself."""
    scaler = scale.deployment.autoscaler
    kind, name = scale.deployment.kind, scale.deployment.name
    if scaler is not None:
        kind, name = scaler.kind, scaler.name
    return ObjectRef(cluster=cluster, kind=kind, namespace=scale.deployment.namespace, name=name)


def scale_step(
    cluster: str, scale: ScaleChange, *, tier: Any, wave: int, state: ClusterState
) -> StepSpec:
    target, (kind, params) = scaled_ref(cluster, scale), _kind(scale, state)
    return StepSpec(
        key=f"{cluster}/{target.namespace}/{scale.deployment.name}/{kind}",
        kind=kind,
        title=_title(scale),
        target=target,
        tier=tier,
        wave=wave,
        params=params,
    )


def _title(scale: ScaleChange) -> str:
    name, scaler = scale.deployment.name, scale.deployment.autoscaler
    if scaler is not None:
        return f"Let {scaler.kind} {scaler.name} keep {name} at {scale.to_replicas} or more"
    if actuator_of(scale.deployment).way == "git":
        return f"Ask the repository of {name} for {scale.to_replicas} replicas"
    return f"Scale {name} from {scale.deployment.replicas} to {scale.to_replicas}"


def _kind(scale: ScaleChange, state: ClusterState) -> tuple[str, Facts]:
    """The step kind that moves these replicas, and its params."""
    held, to = scale.deployment, scale.to_replicas
    if held.autoscaler is not None:
        return "workload.bound", _bounds(held.autoscaler, to)
    if actuator_of(held).way == "git" and held.git is not None:
        return "git.change", _change(held.git, held.replicas, to)
    params: Facts = {"from": held.replicas, "to": to, "floor": scale.floor}
    if actuator_of(held).way == "scale":
        return "workload.scale", params | {"victims": list(scale.victims)}
    leaves = who_leaves(held, to) if to < held.replicas else ()
    params |= {"leaves": list(leaves), "nodes": _nodes(scale, leaves, state)}
    return "workload.scale_ordinal", params | ({"uid": held.uid} if held.uid else {})


def _bounds(scaler: AutoscalerView, to: int) -> Facts:
    high = max(scaler.most, to) if scaler.high is not None or to > scaler.most else None
    params = {"from": {"min": scaler.low, "max": scaler.high}, "to": {"min": to, "max": high}}
    return params | ({"uid": scaler.uid} if scaler.uid else {})


def _change(git: GitView, before: int, to: int) -> Facts:
    where = {"repository": git.repository, "file": git.file, "field": list(git.field)}
    return where | {"fact": "replicas", "from": before, "to": to}


def _nodes(scale: ScaleChange, leaves: Sequence[str], state: ClusterState) -> Facts:
    """Where those who leave run: what the plan frees, and counts on."""
    found: dict[str, set[str]] = {}
    for pod in state.pods:
        if pod.workload == scale.deployment.workload and pod.replica in leaves and pod.node:
            found.setdefault(pod.replica, set()).add(pod.node)
    return {replica: sorted(nodes) for replica, nodes in sorted(found.items())}


def relied_on(scale: ScaleChange) -> Facts:
    """The facts of what is written to that must still hold when the plan begins."""
    held, scaler = scale.deployment, scale.deployment.autoscaler
    if scaler is not None:
        facts: Facts = {"min": scaler.low, "max": scaler.high, "owners": []}
        return facts | ({"uid": scaler.uid} if scaler.uid else {})
    return {"replicas": held.replicas} | ({"uid": held.uid} if held.uid else {})


def kept_while_emptied(
    cluster: str, moves: ClusterMoves, steps: Iterable[StepSpec]
) -> Iterator[StepSpec]:
    """The steps, with nodes that their maker would give back once empty kept from that: from before
    the first step until after the last, when the receiving pods are ready."""
    kept = [change for change in moves.nodes if change.node.consolidated]
    first, last = int(bool(kept)), 0
    for change in kept:
        yield _keep(cluster, change, "node.protect", 0)
    for step in steps:
        last = max(last, step.wave + first)
        yield step.model_copy(update={"wave": step.wave + first}) if first else step
    for change in kept:
        yield _keep(cluster, change, "node.unprotect", last + 1)


def _keep(cluster: str, change: NodeChange, kind: str, wave: int) -> StepSpec:
    name, begins = change.node.name, kind == "node.protect"
    return StepSpec(
        key=f"{cluster}/{name}/{kind}",
        kind=kind,
        title=f"Keep {name} from disruption" if begins else f"Let {name} be consolidated again",
        target=ObjectRef(cluster=cluster, kind="Node", name=name),
        tier=change.from_tier if begins else change.to_tier,
        wave=wave,
        params={"uid": change.node.uid} if change.node.uid else {},
    )
