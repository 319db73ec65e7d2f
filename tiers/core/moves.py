"""From an allocation to changes of one cluster: which nodes change tier, which replicas change.

Order inside a cluster is shrink, then nodes, then grow: capacity is freed and confirmed before it
is given away. Victim nodes are chosen by what their eviction destroys: idle nodes first, then the
freshest checkpoint and the smallest gang; a gang once stopped frees all of its nodes. A node is
taken only if the pods that must leave it fit elsewhere in their tier and the tier keeps its floor;
what cannot be done is said in `notes`, never silently dropped.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import ceil

from tiers.core.fleet_state import TIERS, ClusterState, DeploymentView, NodeView, PodView, is_supply

# Work lost when a checkpoint's age is unknown: as if the last one were an hour old.
UNKNOWN_CHECKPOINT_AGE_S = 3600.0
Pools = frozenset[str]


@dataclass(frozen=True, slots=True)
class WorkloadFacts:
    """What the moves need to know of a workload. `deployment` is empty for tiers that queue."""

    id: str
    tier: str
    group_gpus: Mapping[str, int]
    namespace: str
    deployment: str = ""
    floor_groups: int = 0


@dataclass(frozen=True, slots=True)
class NodeChange:
    node: NodeView
    from_tier: str
    to_tier: str
    evicts: tuple[PodView, ...]
    lost_gpu_hours: float
    reason: str


@dataclass(frozen=True, slots=True)
class ScaleChange:
    deployment: DeploymentView
    to_replicas: int
    gpus_per_group: int
    victims: tuple[str, ...]
    reason: str
    floor: int = 0  # replicas that a shrink may not go below

    @property
    def delta(self) -> int:
        return self.to_replicas - self.deployment.replicas


@dataclass(frozen=True, slots=True)
class ClusterMoves:
    cluster: str
    shrinks: tuple[ScaleChange, ...]
    nodes: tuple[NodeChange, ...]
    grows: tuple[ScaleChange, ...]
    notes: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.shrinks or self.nodes or self.grows)


def cluster_moves(
    state: ClusterState,
    target: Mapping[tuple[str, str], int],
    workloads: Iterable[WorkloadFacts],
    *,
    deltas: Mapping[str, int],
    floors: Mapping[str, int],
    max_nodes: int,
    reasons: Mapping[str, str] | None = None,
    families: Mapping[str, str] | None = None,
) -> ClusterMoves:
    """The changes that bring one cluster to its allocation.

    Args:
        state: the cluster as read.
        target: groups by (pool, workload), this cluster's pools only.
        workloads: facts of all workloads.
        deltas: groups of each workload that the allocator chose to start or stop here. Replicas
            follow these alone: what a sick node lost, or what still waits for a node, is not a
            wish to stop it.
        floors: GPUs that each tier keeps in this cluster.
        max_nodes: nodes that may change tier in one plan.
        reasons: the allocator's reason by workload.
        families: by pool, the name that pools share whose nodes any Deployment may use alike; two
            such pools never swap nodes between the same tiers. A pool left out stands alone.
    """
    facts = {w.id: w for w in workloads}
    board = _Board(state, floors, {w: -n for w, n in deltas.items() if n < 0})
    for pools in _families(state, families or {}):
        _match_nodes(board, pools, _nodes_needed(state, pools, target, facts), max_nodes)
    scales = list(_scale_changes(board, deltas, facts, reasons or {}))
    shrinks = [s for s in scales if s.delta < 0]
    _free_victims(board, shrinks)
    wanted = [s for s in scales if s.delta > 0]
    grows = _placeable(board, wanted)
    if sum(g.delta for g in grows) < sum(w.delta for w in wanted):
        shrinks = _needed_for_nodes(board, shrinks)
    return ClusterMoves(
        cluster=state.cluster,
        shrinks=tuple(shrinks),
        nodes=tuple(board.changes),
        grows=tuple(grows),
        notes=tuple(board.notes),
    )


def _families(state: ClusterState, families: Mapping[str, str]) -> list[Pools]:
    """The cluster's pools, those of one family together, in order of name."""
    members: dict[str, set[str]] = {}
    for pool in sorted({n.pool for n in state.nodes if n.pool}):
        members.setdefault(families.get(pool, pool), set()).add(pool)
    return [frozenset(pools) for pools in members.values()]


class _Board:
    """The cluster while moves are being chosen: nodes by tier, free room, what was said."""

    def __init__(
        self, state: ClusterState, floors: Mapping[str, int], allowance: dict[str, int]
    ) -> None:
        self.state = state
        self.floors = floors
        self.allowance = allowance
        self.pods = state.pods_by_node()
        self.free = {
            n.name: n.gpus_allocatable - sum(p.gpus for p in self.pods[n.name]) for n in state.nodes
        }
        self.tier_of = {n.name: n.tier for n in state.nodes if is_supply(n)}
        self.nodes = {n.name: n for n in state.nodes}
        self.changes: list[NodeChange] = []
        self.notes: list[str] = []
        self.stopped_gangs: set[str] = set()

    def tier_nodes(self, tier: str, pools: Pools | None = None) -> list[NodeView]:
        return [
            self.nodes[name]
            for name, held in sorted(self.tier_of.items())
            if held == tier and (pools is None or self.nodes[name].pool in pools)
        ]

    def tier_gpus(self, tier: str) -> int:
        return sum(n.gpus_allocatable for n in self.tier_nodes(tier))

    def homeless(self, node: NodeView) -> list[int]:
        """GPUs of each service pod that must find another node, those to be stopped left out."""
        left = dict(self.allowance)
        leaving: list[int] = []
        for pod in sorted(self.pods[node.name], key=lambda p: p.name):
            if left.get(pod.workload, 0) > 0:
                left[pod.workload] -= 1
            elif not pod.gang:
                leaving.append(pod.gpus)
        return leaving

    def room_elsewhere(self, node: NodeView, tier: str) -> dict[str, int]:
        return {n.name: self.free[n.name] for n in self.tier_nodes(tier) if n.name != node.name}

    def lost_gpu_hours(self, node: NodeView) -> float:
        """Training work that stopping this node's gangs throws away, the whole gang counted."""
        gangs = {p.gang for p in self.pods[node.name] if p.gang} - self.stopped_gangs
        return sum(self._gang_loss(gang) for gang in gangs)

    def _gang_loss(self, gang: str) -> float:
        pods = [p for p in self.state.pods if p.gang == gang and p.node]
        ages = [p.checkpoint_age_s for p in pods if p.checkpoint_age_s is not None]
        age_s = min(ages) if ages else UNKNOWN_CHECKPOINT_AGE_S
        return sum(p.gpus for p in pods) * age_s / 3600

    def take(self, node: NodeView, from_tier: str, to_tier: str) -> None:
        evicts = tuple(p for p in self.pods[node.name] if not p.deleting)
        lost = self.lost_gpu_hours(node)
        rooms = self.room_elsewhere(node, from_tier)
        unplaced(self.homeless(node), rooms)
        self.free.update(rooms)
        self.free[node.name] = node.gpus_allocatable
        for pod in evicts:
            if self.allowance.get(pod.workload, 0) > 0:
                self.allowance[pod.workload] -= 1
        self.stopped_gangs |= {p.gang for p in evicts if p.gang}
        self.tier_of[node.name] = to_tier
        reason = f"{to_tier} needs one more node of {node.pool}; {from_tier} can spare this one"
        if lost:
            reason += f", losing {lost:.1f} GPU-hours since the last checkpoint"
        self.changes.append(NodeChange(node, from_tier, to_tier, evicts, lost, reason))


def _nodes_needed(
    state: ClusterState,
    pools: Pools,
    target: Mapping[tuple[str, str], int],
    facts: Mapping[str, WorkloadFacts],
) -> dict[str, int]:
    """Whole nodes by tier that the target asks of pools of one GPU type."""
    nodes = [n for n in state.nodes if n.pool in pools and n.gpus_capacity]
    if not nodes:
        return {}
    gpus = dict.fromkeys(TIERS, 0)
    for (p, w), groups in target.items():
        if p in pools and w in facts:
            gpus[facts[w].tier] += groups * facts[w].group_gpus.get(nodes[0].gpu_type, 0)
    return {tier: ceil(n / nodes[0].gpus_capacity) for tier, n in gpus.items()}


def _match_nodes(board: _Board, pools: Pools, needed: Mapping[str, int], max_nodes: int) -> None:
    """Give each tier short of nodes in these pools the cheapest nodes of tiers with too many."""
    name = ", ".join(sorted(pools))
    for to_tier in TIERS:
        while len(board.tier_nodes(to_tier, pools)) < needed.get(to_tier, 0):
            if len(board.changes) >= max_nodes:
                board.notes.append(f"{name}: more nodes would help; the plan's limit is reached")
                return
            donor = _cheapest_donor(board, pools, needed, to_tier)
            if donor is None:
                board.notes.append(
                    f"{name}: {to_tier} is short of a node and no other tier can spare one"
                )
                break
            board.take(donor, donor.tier or "", to_tier)


def _cheapest_donor(
    board: _Board, pools: Pools, needed: Mapping[str, int], to_tier: str
) -> NodeView | None:
    options = [
        (board.lost_gpu_hours(node), _held_gpus(board, node), node.name, node)
        for tier in TIERS
        if tier != to_tier and len(board.tier_nodes(tier, pools)) > needed.get(tier, 0)
        for node in board.tier_nodes(tier, pools)
        if _can_spare(board, node, tier)
    ]
    return min(options, key=lambda o: o[:3])[3] if options else None


def _held_gpus(board: _Board, node: NodeView) -> int:
    return sum(p.gpus for p in board.pods[node.name])


def _can_spare(board: _Board, node: NodeView, tier: str) -> bool:
    """The tier keeps its floor, the node was not taken already, its services fit elsewhere."""
    if any(change.node.name == node.name for change in board.changes):
        return False
    if board.tier_gpus(tier) - node.gpus_allocatable < board.floors.get(tier, 0):
        return False
    return not unplaced(board.homeless(node), board.room_elsewhere(node, tier))


def _scale_changes(
    board: _Board,
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


def _replicas(
    board: _Board, workload: WorkloadFacts, deployment: DeploymentView, delta: int
) -> int:
    """Replicas after `delta` groups more or fewer than hold supply now."""
    if not delta:
        return deployment.replicas
    placed = sum(pod.workload == workload.id for pod, _ in board.state.staying_pods())
    wanted = min(placed, deployment.replicas) + delta
    if delta > 0:
        return max(deployment.replicas, wanted)
    return min(deployment.replicas, max(wanted, workload.floor_groups))


def _free_victims(board: _Board, shrinks: Iterable[ScaleChange]) -> None:
    """The room of pods that a shrink stops on nodes that stay."""
    leaving = {change.node.name for change in board.changes}
    victims = {name for shrink in shrinks for name in shrink.victims}
    for pod in board.state.pods:
        if pod.name in victims and pod.node in board.free and pod.node not in leaving:
            board.free[pod.node] += pod.gpus


def _needed_for_nodes(board: _Board, shrinks: Iterable[ScaleChange]) -> list[ScaleChange]:
    """When a growth was cut, only shrinks that empty a leaving node: the others made it room."""
    leaving = {change.node.name for change in board.changes}
    on_leaving = {p.name for p in board.state.pods if p.node in leaving}
    return [s for s in shrinks if on_leaving & set(s.victims)]


def _victims(board: _Board, workload: str, count: int) -> tuple[str, ...]:
    """Pods to stop first: on nodes that leave the tier, then not ready, then by name."""
    if count <= 0:
        return ()
    leaving = {change.node.name for change in board.changes}
    pods = [p for p in board.state.pods if p.workload == workload and not p.deleting]
    ordered = sorted(pods, key=lambda p: (p.node not in leaving, bool(p.ready), p.name))
    return tuple(p.name for p in ordered[:count])


def _placeable(board: _Board, grows: list[ScaleChange]) -> list[ScaleChange]:
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


def _tightest(free: Mapping[str, int], gpus: int) -> str | None:
    """The node with the least room that still holds the group."""
    return min((n for n, g in free.items() if g >= gpus), key=lambda n: (free[n], n), default=None)


def unplaced(groups: Iterable[int], free: dict[str, int]) -> list[int]:
    """Place groups, largest first, each on the tightest node; return those without a place.

    `free` (GPUs by node) is updated in place.
    """
    left: list[int] = []
    for gpus in sorted(groups, reverse=True):
        home = _tightest(free, gpus)
        if home is None:
            left.append(gpus)
        else:
            free[home] -= gpus
    return left
