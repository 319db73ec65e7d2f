"""One cluster while its moves are chosen: nodes by tier, free room, what was taken and said."""

from collections.abc import Iterable, Mapping

from tiers.core.changes import NodeChange
from tiers.core.fleet_state import ClusterState, NodeView, is_supply

# Work lost when a checkpoint's age is unknown: as if the last one were an hour old.
UNKNOWN_CHECKPOINT_AGE_S = 3600.0
Pools = frozenset[str]


class Board:
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
