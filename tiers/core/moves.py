"""From an allocation to changes of one cluster: which nodes change tier, which replicas change.

Order inside a cluster is shrink, then nodes, then grow: capacity is freed and confirmed before it
is given away. Victim nodes are chosen by what their eviction destroys: idle nodes first, then the
freshest checkpoint and the smallest gang; a gang once stopped frees all of its nodes. Where a queue
admits the gangs, it is their quota that follows the nodes: see queues.py. A node is
taken only if the pods that must leave it fit elsewhere in their tier and the tier keeps its floor;
what cannot be done is said in `notes`, never silently dropped, and stops nobody in vain.
"""

from collections.abc import Iterable, Mapping
from math import ceil

from tiers.core.actuators import steered
from tiers.core.board import Board, Pools, unplaced
from tiers.core.changes import ClusterMoves, WorkloadFacts
from tiers.core.fleet_state import TIERS, ClusterState, NodeView
from tiers.core.queues import gang_stops, quota_changes
from tiers.core.scales import only_useful, place, scale_changes


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
    only_grow: bool = False,
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
        only_grow: nothing is stopped: no delta below zero counts, and only empty nodes move.
    """
    facts = {w.id: w for w in workloads}
    if only_grow:
        deltas = {w: n for w, n in deltas.items() if n > 0}
    deltas, unsteered = steered(state.deployments, deltas)
    board = Board(state, facts, floors, {w: -n for w, n in deltas.items() if n < 0})
    board.notes += unsteered
    board.only_empty = only_grow
    for pools in _families(state, families or {}):
        _match_nodes(board, pools, _nodes_needed(state, pools, target, facts), max_nodes)
    scales = list(scale_changes(board, deltas, reasons or {}))
    shrinks, wanted = [s for s in scales if s.delta < 0], [s for s in scales if s.delta > 0]
    grows, refused = place(board, wanted, shrinks)
    if refused or board.notes:
        shrinks = only_useful(board, shrinks, wanted)
        grows, refused = place(board, wanted, shrinks)
    quotas, unsettled = quota_changes(state, board.changes)
    return ClusterMoves(
        cluster=state.cluster,
        shrinks=tuple(shrinks),
        nodes=tuple(board.changes),
        grows=tuple(grows),
        notes=(*board.notes, *refused, *unsettled),
        stops=gang_stops(state, board.changes),
        quotas=quotas,
    )


def _families(state: ClusterState, families: Mapping[str, str]) -> list[Pools]:
    """The cluster's pools, those of one family together, in order of name."""
    members: dict[str, set[str]] = {}
    for pool in sorted({n.pool for n in state.nodes if n.pool}):
        members.setdefault(families.get(pool, pool), set()).add(pool)
    return [frozenset(pools) for pools in members.values()]


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


def _match_nodes(board: Board, pools: Pools, needed: Mapping[str, int], max_nodes: int) -> None:
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
    board: Board, pools: Pools, needed: Mapping[str, int], to_tier: str
) -> NodeView | None:
    options = [
        (board.lost_gpu_hours(node), _held_gpus(board, node), node.name, node)
        for tier in TIERS
        if tier != to_tier and len(board.tier_nodes(tier, pools)) > needed.get(tier, 0)
        for node in board.tier_nodes(tier, pools)
        if _can_spare(board, node, tier)
    ]
    return min(options, key=lambda o: o[:3])[3] if options else None


def _held_gpus(board: Board, node: NodeView) -> int:
    return sum(p.gpus for p in board.pods[node.name])


def _can_spare(board: Board, node: NodeView, tier: str) -> bool:
    """The tier keeps its floor, the node was not taken already, its services fit elsewhere."""
    if any(change.node.name == node.name for change in board.changes):
        return False
    if board.only_empty and board.pods[node.name]:
        return False
    if board.tier_gpus(tier) - node.gpus_allocatable < board.floors.get(tier, 0):
        return False
    return not unplaced(board.homeless(node), dict(board.free))
