"""Which Deployments change their replicas, whom a shrink stops, and what growth finds room."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from tiers.core.actuators import is_numbered, who_leaves
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
        victims = _victims(board, deployment, to_replicas)
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
    staying = (pod for pod, _ in board.state.staying_pods() if pod.workload == workload.id)
    placed = len({pod.replica or f"{pod.namespace}/{pod.name}" for pod in staying})
    wanted = min(placed, deployment.replicas) + delta
    if delta > 0:
        return max(deployment.replicas, wanted)
    return min(deployment.replicas, max(wanted, workload.floor_groups))


def _victims(board: Board, deployment: DeploymentView, to_replicas: int) -> list[PodView]:
    """Pods to stop first: on nodes that leave the tier, then not ready, then by name. Of a numbered
    set those of its highest numbers, whom nobody can choose."""
    pods = [p for p in board.state.pods if p.workload == deployment.workload and not p.deleting]
    if is_numbered(deployment):
        going = who_leaves(deployment, to_replicas)
        return [p for p in pods if p.replica in going]
    leaving = {change.node.name for change in board.changes}
    return sorted(pods, key=lambda p: (p.node not in leaving, bool(p.ready), p.name))[
        : max(0, deployment.replicas - to_replicas)
    ]


def place(
    board: Board, wanted: Sequence[ScaleChange], shrinks: Sequence[ScaleChange]
) -> tuple[list[ScaleChange], list[str]]:
    """Each growth cut to the whole groups that find a node once `shrinks` are done, and what not.

    Largest groups first: small ones still fit into what they leave.
    """
    free = _room_after(board, shrinks)
    kept: list[ScaleChange] = []
    refused: list[str] = []
    for change in sorted(wanted, key=lambda g: (-_largest_group(board, g), g.deployment.name)):
        workload = board.facts[change.deployment.workload]
        room = sum(free.values())
        missing = len(unplaced([board.sizes(workload)] * change.delta, free))
        if missing:
            sizes = " or ".join(str(g) for g in sorted(set(workload.group_gpus.values())))
            refused.append(
                f"{change.deployment.name}: {missing} more groups of {sizes} GPUs are wanted but "
                f"no node of {workload.tier} that may run them has that many free"
            )
        if change.delta > missing:
            taken = room - sum(free.values())
            kept.append(replace(change, to_replicas=change.to_replicas - missing, gpus=taken))
    return kept, refused


def only_useful(
    board: Board, shrinks: Sequence[ScaleChange], wanted: Sequence[ScaleChange]
) -> list[ScaleChange]:
    """What to stop once something was refused: groups that empty a leaving node or make a growth
    room. The others were to make room for what does not happen."""
    leaving = {change.node.name for change in board.changes}
    kept = list(shrinks)
    started = _groups_started(board, wanted, kept)
    for at in range(len(kept)):
        while kept[at].delta and not _frees_last(board, kept[at], leaving):
            trial = [*kept]
            trial[at] = _one_fewer(board, kept[at])
            if _groups_started(board, wanted, trial) < started:
                break
            kept = trial
    return [shrink for shrink in kept if shrink.delta]


def _room_after(board: Board, shrinks: Iterable[ScaleChange]) -> dict[str, int]:
    """Free GPUs by node with those of pods that the shrinks stop on nodes that stay."""
    free = dict(board.free)
    leaving = {change.node.name for change in board.changes}
    victims = {name for shrink in shrinks for name in shrink.victims}
    for pod in board.state.pods:
        if pod.name in victims and pod.node in free and pod.node not in leaving:
            free[pod.node] += pod.gpus
    return free


def _groups_started(
    board: Board, wanted: Sequence[ScaleChange], shrinks: Sequence[ScaleChange]
) -> int:
    return sum(grow.delta for grow in place(board, wanted, shrinks)[0])


def _frees_last(board: Board, shrink: ScaleChange, leaving: set[str]) -> bool:
    """Whether the last pod that the shrink stops is one that empties a leaving node."""
    spared = _victims(board, shrink.deployment, shrink.to_replicas + 1)
    stopped = _victims(board, shrink.deployment, shrink.to_replicas)
    return any(pod.node in leaving for pod in stopped if pod not in spared)


def _one_fewer(board: Board, shrink: ScaleChange) -> ScaleChange:
    victims = _victims(board, shrink.deployment, shrink.to_replicas + 1)
    return replace(
        shrink,
        to_replicas=shrink.to_replicas + 1,
        gpus=-sum(p.gpus for p in victims),
        victims=tuple(p.name for p in victims),
    )


def _largest_group(board: Board, change: ScaleChange) -> int:
    return max(board.facts[change.deployment.workload].group_gpus.values())
