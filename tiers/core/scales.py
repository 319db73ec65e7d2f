"""Which Deployments change their replicas, whom a shrink stops, and what growth finds room."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tiers.core.board import Board, unplaced
from tiers.core.changes import ScaleChange, WorkloadFacts
from tiers.core.fleet_state import DeploymentView


def scale_changes(
    board: Board,
    deltas: Mapping[str, int],
    facts: Mapping[str, WorkloadFacts],
    reasons: Mapping[str, str],
) -> Iterable[ScaleChange]:
    by_name = {(d.namespace, d.name): d for d in board.state.deployments}
    for workload in sorted(facts.values(), key=lambda w: w.id):
        deployment = by_name.get((workload.namespace, workload.deployment))
        if deployment is None:
            continue
        to_replicas = _replicas(board, workload, deployment, deltas.get(workload.id, 0))
        if to_replicas == deployment.replicas:
            continue
        yield ScaleChange(
            deployment=deployment,
            to_replicas=to_replicas,
            gpus_per_group=max(workload.group_gpus.values()),
            victims=_victims(board, workload.id, deployment.replicas - to_replicas),
            reason=reasons.get(workload.id, "follows from the allocation"),
            floor=workload.floor_groups,
        )


def _replicas(board: Board, workload: WorkloadFacts, deployment: DeploymentView, delta: int) -> int:
    """Replicas after `delta` groups more or fewer than hold supply now."""
    if not delta:
        return deployment.replicas
    placed = sum(pod.workload == workload.id for pod, _ in board.state.staying_pods())
    wanted = min(placed, deployment.replicas) + delta
    if delta > 0:
        return max(deployment.replicas, wanted)
    return min(deployment.replicas, max(wanted, workload.floor_groups))


def free_victims(board: Board, shrinks: Iterable[ScaleChange]) -> None:
    """The room of pods that a shrink stops on nodes that stay."""
    leaving = {change.node.name for change in board.changes}
    victims = {name for shrink in shrinks for name in shrink.victims}
    for pod in board.state.pods:
        if pod.name in victims and pod.node in board.free and pod.node not in leaving:
            board.free[pod.node] += pod.gpus


def needed_for_nodes(board: Board, shrinks: Iterable[ScaleChange]) -> list[ScaleChange]:
    """When a growth was cut, only shrinks that empty a leaving node: the others made it room."""
    leaving = {change.node.name for change in board.changes}
    on_leaving = {p.name for p in board.state.pods if p.node in leaving}
    return [s for s in shrinks if on_leaving & set(s.victims)]


def _victims(board: Board, workload: str, count: int) -> tuple[str, ...]:
    """Pods to stop first: on nodes that leave the tier, then not ready, then by name."""
    if count <= 0:
        return ()
    leaving = {change.node.name for change in board.changes}
    pods = [p for p in board.state.pods if p.workload == workload and not p.deleting]
    ordered = sorted(pods, key=lambda p: (p.node not in leaving, bool(p.ready), p.name))
    return tuple(p.name for p in ordered[:count])


def placeable(board: Board, grows: list[ScaleChange]) -> list[ScaleChange]:
    """Cut each growth to what fits on its tier's nodes as whole groups; say what does not."""
    free = {n.name: board.free[n.name] for n in board.tier_nodes("inference")}
    kept: list[ScaleChange] = []
    for change in sorted(grows, key=lambda g: (-g.gpus_per_group, g.deployment.name)):
        missing = len(unplaced([change.gpus_per_group] * change.delta, free))
        if missing:
            board.notes.append(
                f"{change.deployment.name}: {missing} more groups of {change.gpus_per_group} GPUs "
                "are wanted but no node of the tier has that many free"
            )
        if change.delta > missing:
            kept.append(replace(change, to_replicas=change.to_replicas - missing))
    return kept
