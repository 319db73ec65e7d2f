"""Which Deployments change their replicas, whom a shrink stops, and what growth finds room."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tiers.core.board import Board, unplaced
from tiers.core.changes import ScaleChange, WorkloadFacts
from tiers.core.fleet_state import DeploymentView, PodView


def scale_changes(
    board: Board, deltas: Mapping[str, int], reasons: Mapping[str, str]
) -> Iterable[ScaleChange]:
    by_name = {(d.namespace, d.name): d for d in board.state.deployments}
    for workload in sorted(board.facts.values(), key=lambda w: w.id):
        deployment = by_name.get((workload.namespace, workload.deployment))
        if deployment is None:
            continue
        to_replicas = _replicas(board, workload, deployment, deltas.get(workload.id, 0))
        if to_replicas == deployment.replicas:
            continue
        victims = _victims(board, workload.id, deployment.replicas - to_replicas)
        yield ScaleChange(
            deployment=deployment,
            to_replicas=to_replicas,
            gpus=-sum(p.gpus for p in victims),
            victims=tuple(p.name for p in victims),
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


def _victims(board: Board, workload: str, count: int) -> list[PodView]:
    """Pods to stop first: on nodes that leave the tier, then not ready, then by name."""
    leaving = {change.node.name for change in board.changes}
    pods = [p for p in board.state.pods if p.workload == workload and not p.deleting]
    return sorted(pods, key=lambda p: (p.node not in leaving, bool(p.ready), p.name))[
        : max(0, count)
    ]


def placeable(board: Board, grows: list[ScaleChange]) -> list[ScaleChange]:
    """Cut each growth to the whole groups that find a node for them; say which do not."""
    free = dict(board.free)
    kept: list[ScaleChange] = []
    for change in sorted(grows, key=lambda g: (-_largest_group(board, g), g.deployment.name)):
        workload = board.facts[change.deployment.workload]
        room = sum(free.values())
        missing = len(unplaced([board.sizes(workload)] * change.delta, free))
        if missing:
            sizes = " or ".join(str(g) for g in sorted(set(workload.group_gpus.values())))
            board.notes.append(
                f"{change.deployment.name}: {missing} more groups of {sizes} GPUs are wanted but "
                f"no node of {workload.tier} that may run them has that many free"
            )
        if change.delta > missing:
            taken = room - sum(free.values())
            kept.append(replace(change, to_replicas=change.to_replicas - missing, gpus=taken))
    return kept


def _largest_group(board: Board, change: ScaleChange) -> int:
    return max(board.facts[change.deployment.workload].group_gpus.values())
