"""One cluster while its moves are chosen: nodes by tier, free room, what was taken and said."""

from collections.abc import Iterable, Mapping

from tiers.core.actuators import is_numbered, who_leaves
from tiers.core.changes import NodeChange, WorkloadFacts, loss_words
from tiers.core.fleet_state import ClusterState, DeploymentView, NodeView, PodView, is_supply

# Work lost when a checkpoint's age is unknown: as if the last one were an hour old.
UNKNOWN_CHECKPOINT_AGE_S = 3600.0
Pools = frozenset[str]
Sizes = Mapping[str, int]  # GPUs that one group takes, by the nodes that may run it


class Board:
    """The cluster while moves are being chosen: nodes by tier, free room, what was said."""

    def __init__(
        self,
        state: ClusterState,
        facts: Mapping[str, WorkloadFacts],
        floors: Mapping[str, int],
        allowance: dict[str, int],
    ) -> None:
        self.state = state
        self.facts = facts
        self.floors = floors
        numbered = [d for d in state.deployments if is_numbered(d)]
        # Of a numbered set it is known who leaves; of the others any pod of so many may.
        self.going = {r for d in numbered for r in who_leaves(d, _left(d, allowance))}
        self.allowance = {w: n for w, n in allowance.items() if w not in _workloads(numbered)}
        self.pods = state.pods_by_node()
        self.free = {
            n.name: n.gpus_allocatable - sum(p.gpus for p in self.pods[n.name]) for n in state.nodes
        }
        self.tier_of = {n.name: n.tier for n in state.nodes if is_supply(n)}
        self.nodes = {n.name: n for n in state.nodes}
        self.changes: list[NodeChange] = []
        self.notes: list[str] = []
        self.stopped_gangs: set[str] = set()
        self.only_empty = False  # whether a node must be without pods to be taken

    def tier_nodes(self, tier: str, pools: Pools | None = None) -> list[NodeView]:
        return [
            self.nodes[name]
            for name, held in sorted(self.tier_of.items())
            if held == tier and (pools is None or self.nodes[name].pool in pools)
        ]

    def tier_gpus(self, tier: str) -> int:
        return sum(n.gpus_allocatable for n in self.tier_nodes(tier))

    def sizes(self, workload: WorkloadFacts) -> dict[str, int]:
        """GPUs of one group of the workload by each node of its tier that may run it."""
        return {n.name: g for n in self.tier_nodes(workload.tier) if (g := workload.group_on(n))}

    def homeless(self, node: NodeView) -> list[Sizes]:
        """The other nodes for each service pod of this one, those to be stopped left out."""
        left = dict(self.allowance)
        leaving: list[Sizes] = []
        for pod in sorted(self.pods[node.name], key=lambda p: p.name):
            if pod.replica in self.going:
                continue
            if left.get(pod.workload, 0) > 0:
                left[pod.workload] -= 1
            elif not pod.gang and not pod.deleting:
                leaving.append(self._homes(pod, node))
        return leaving

    def _homes(self, pod: PodView, node: NodeView) -> Sizes:
        """Where a pod may go; one of no workload that we know, to nodes like its own."""
        if workload := self.facts.get(pod.workload):
            sizes = self.sizes(workload)
            if not workload.deployment:  # a queue's pods are as large as they are
                sizes = dict.fromkeys(sizes, pod.gpus)
        else:
            kind = (node.gpu_type, node.spot)
            tier_nodes = self.tier_nodes(node.tier or "")
            sizes = {n.name: pod.gpus for n in tier_nodes if (n.gpu_type, n.spot) == kind}
        sizes.pop(node.name, None)
        return sizes

    def lost_gpu_hours(self, node: NodeView) -> float:
        """Training work that stopping this node's gangs throws away, the whole gang counted."""
        return sum(self._gang_loss(gang) for gang in self._gangs(node))

    def _gangs(self, node: NodeView) -> set[str]:
        return {p.gang for p in self.pods[node.name] if p.gang} - self.stopped_gangs

    def _gang_loss(self, gang: str) -> float:
        age_s = self._checkpoint_age_s(gang)
        gpus = sum(p.gpus for p in self.state.pods if p.gang == gang and p.node)
        return gpus * (UNKNOWN_CHECKPOINT_AGE_S if age_s is None else age_s) / 3600

    def _checkpoint_age_s(self, gang: str) -> float | None:
        """Of the freshest checkpoint that any pod of the gang tells of."""
        ages = (p.checkpoint_age_s for p in self.state.pods if p.gang == gang and p.node)
        return min((age_s for age_s in ages if age_s is not None), default=None)

    def take(self, node: NodeView, from_tier: str, to_tier: str) -> None:
        evicts = tuple(p for p in self.pods[node.name] if not p.deleting)
        lost = self.lost_gpu_hours(node)
        assumed = any(self._checkpoint_age_s(gang) is None for gang in self._gangs(node))
        unplaced(self.homeless(node), self.free)
        self.free[node.name] = node.gpus_allocatable
        for pod in evicts:
            if self.allowance.get(pod.workload, 0) > 0:
                self.allowance[pod.workload] -= 1
        self.stopped_gangs |= {p.gang for p in evicts if p.gang}
        self.tier_of[node.name] = to_tier
        reason = f"{to_tier} needs one more node of {node.pool}; {from_tier} can spare this one"
        if lost:
            reason += f", losing {loss_words(lost, assumed=assumed)}"
        self.changes.append(NodeChange(node, from_tier, to_tier, evicts, lost, reason, assumed))


def _left(view: DeploymentView, allowance: Mapping[str, int]) -> int:
    return max(0, view.replicas - allowance.get(view.workload, 0))


def _workloads(views: Iterable[DeploymentView]) -> set[str]:
    return {view.workload for view in views}


def unplaced(groups: Iterable[Sizes], free: dict[str, int]) -> list[Sizes]:
    """Place groups, largest first, each where it leaves the least room; return those without one.

    `free` (GPUs by node) is updated in place.
    """
    left: list[Sizes] = []
    for sizes in sorted(groups, key=lambda s: -max(s.values(), default=0)):
        fitting = [(free[n] - gpus, n) for n, gpus in sizes.items() if free[n] >= gpus]
        if fitting:
            room_left, home = min(fitting)
            free[home] = room_left
        else:
            left.append(sizes)
    return left
