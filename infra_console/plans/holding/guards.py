"""Floors and budgets, checked on a fresh read of the cluster before each step writes."""

from collections.abc import Callable, Iterable, Sequence

from infra_console.cluster.objects import NodeState
from infra_console.plans.marks import PLAN
from infra_console.plans.spec import Budget, Guard

NodeReader = Callable[[str], list[NodeState]]
KEEPS_PODS_OFF = frozenset({"NoSchedule", "NoExecute"})
CORDON_TAINT = "node.kubernetes.io/unschedulable"  # the node controller's, it follows the cordon
# The GPU taint every workload of ours tolerates; a cordon's own taint is told by unschedulable.
KNOWN_TAINTS = frozenset({"nvidia.com/gpu", CORDON_TAINT})


def foreign_taint(node: NodeState, *, tier_key: str) -> str:
    """The key of a taint by which somebody else keeps pods off a node; empty when none does."""
    for taint in node.taints:
        ours = taint.key == tier_key or taint.key in KNOWN_TAINTS
        if taint.effect in KEEPS_PODS_OFF and not ours:
            return taint.key
    return ""


def ready_gpus(nodes: Iterable[NodeState], *, tier_key: str, tier: str) -> int:
    """Allocatable GPUs of a tier's nodes that are ready and take pods."""
    return sum(
        n.gpus_allocatable
        for n in nodes
        if n.labels.get(tier_key) == tier
        and n.ready
        and not n.unschedulable
        and not foreign_taint(n, tier_key=tier_key)
    )


class GuardRail:
    """A plan's guards over one cluster. Each check reads the nodes anew, or is given the list."""

    def __init__(
        self,
        cluster: str,
        *,
        tier_key: str,
        guards: Sequence[Guard],
        budgets: Sequence[Budget],
        list_nodes: NodeReader,
    ) -> None:
        self._cluster = cluster
        self._tier_key = tier_key
        self._guards = [g for g in guards if g.cluster == cluster]
        self._budgets = [b for b in budgets if b.cluster == cluster]
        self._list_nodes = list_nodes

    def broken_by(self, node: NodeState) -> str:
        """Why taking this node out of service would break a floor; empty when none breaks."""
        return self._breaks_floor(self.nodes(), node)

    def nodes(self) -> list[NodeState]:
        """The cluster's nodes now."""
        return self._list_nodes(self._cluster)

    def refusals(self, node: NodeState, nodes: Sequence[NodeState]) -> tuple[str, str]:
        """Why closing one of these nodes would break a floor, and why one more may not move now.

        Each empty when nothing speaks against it.
        """
        return self._breaks_floor(nodes, node), self._over_budget(nodes, node)

    def _breaks_floor(self, nodes: Sequence[NodeState], node: NodeState) -> str:
        after = [n for n in nodes if n.name != node.name]
        for guard in self._guards:
            before = ready_gpus(nodes, tier_key=self._tier_key, tier=guard.tier)
            left = ready_gpus(after, tier_key=self._tier_key, tier=guard.tier)
            if left < guard.min_ready_gpus and left < before:
                return (
                    f"{guard.tier} would keep {left} ready GPUs in {self._cluster}, "
                    f"below its floor of {guard.min_ready_gpus}"
                )
        return ""

    def below_floor(self, tier: str) -> str:
        """Whether a tier is under its floor now, for whatever reason; empty when it is not."""
        nodes = self.nodes()
        for guard in (g for g in self._guards if g.tier == tier):
            held = ready_gpus(nodes, tier_key=self._tier_key, tier=guard.tier)
            if held < guard.min_ready_gpus:
                return (
                    f"{guard.tier} has {held} ready GPUs in {self._cluster}, "
                    f"below its floor of {guard.min_ready_gpus}"
                )
        return ""

    def _over_budget(self, nodes: Sequence[NodeState], node: NodeState) -> str:
        moving = [
            n for n in nodes if n.unschedulable and PLAN in n.annotations and n.name != node.name
        ]
        for budget in self._budgets:
            if len(moving) >= budget.max_nodes:
                return f"{len(moving)} of {budget.max_nodes} nodes are moving in {self._cluster}"
        return ""
