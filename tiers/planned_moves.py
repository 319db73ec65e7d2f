"""The moves of one cluster from its allocation, and those of them that take nothing away."""

from collections import Counter
from collections.abc import Mapping

from tiers.core.allocate import Allocation
from tiers.core.changes import ClusterMoves
from tiers.core.fleet_state import TIERS, ClusterState
from tiers.core.freezing import kept_gpus, shrinks_in
from tiers.core.moves import cluster_moves
from tiers.facts import FleetFacts

MAX_NODES_PER_PLAN = 4


def planned_moves(
    facts: FleetFacts,
    cluster: ClusterState,
    allocation: Allocation,
    *,
    needs: Mapping[str, float | None] | None,
) -> ClusterMoves:
    """The moves that bring one cluster to its allocation.

    Args:
        needs: where nothing may be taken away, the GPUs that each tier keeps for its forecast; None
            where anything may. A node whose leaving would lower a queue's quota stays then.
    """
    floors = {t: facts.floor_gpus(t) for t in TIERS}
    if needs is None:
        return _moves(facts, cluster, allocation, floors)
    floors, lost = kept_gpus(cluster, floors, needs), []
    for max_nodes in (MAX_NODES_PER_PLAN, 0):
        moves = _moves(facts, cluster, allocation, floors, max_nodes=max_nodes, only_grow=True)
        if not (lost := shrinks_in(moves)):
            return moves
    return ClusterMoves(cluster.cluster, (), (), (), (f"{cluster.cluster}: {'; '.join(lost)}",))


def _moves(
    facts: FleetFacts,
    cluster: ClusterState,
    allocation: Allocation,
    floors: Mapping[str, int],
    *,
    max_nodes: int = MAX_NODES_PER_PLAN,
    only_grow: bool = False,
) -> ClusterMoves:
    pools = {p.id for p in facts.pools_by_cluster[cluster.cluster]}
    return cluster_moves(
        cluster,
        {key: n for key, n in allocation.groups.items() if key[0] in pools},
        facts.move_facts(),
        deltas=_deltas(allocation, pools),
        floors=floors,
        max_nodes=max_nodes,
        reasons={m.workload: m.reason for m in allocation.moves if m.pool in pools},
        families=facts.pool_families(),
        only_grow=only_grow,
    )


def _deltas(allocation: Allocation, pools: set[str]) -> dict[str, int]:
    """Groups of each workload that the allocator starts or stops in these pools."""
    deltas: Counter[str] = Counter()
    for move in allocation.moves:
        if move.pool in pools:
            deltas[move.workload] += move.groups
    return dict(deltas)
