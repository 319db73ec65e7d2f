"""The ledger: every GPU of a cluster in exactly one state, so that it always sums to the fleet.

Order of precedence, first match wins: broken (the node is not ready, its driver hides the GPU, or
the GPU's own counters say so), then what pods hold, then free; free GPUs of a node that others
cordoned or tainted are foreign-cordoned, and *stranded* where their node cannot host the smallest
group that its tier runs. Clusters that did not answer appear as `unknown` with the size last seen,
never as zero.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from tiers.core.fleet_state import ClusterState, NodeView, PodView

LedgerState = Literal[
    "serving",
    "training",
    "operational",
    "idle-allocated",
    "free-usable",
    "free-stranded",
    "foreign-cordoned",
    "broken",
    "reserved-not-started",
    "unknown",
]
LEDGER_STATES: tuple[LedgerState, ...] = (
    "serving",
    "training",
    "operational",
    "idle-allocated",
    "free-usable",
    "free-stranded",
    "foreign-cordoned",
    "broken",
    "reserved-not-started",
    "unknown",
)
_HELD: Mapping[str, LedgerState] = {
    "inference": "serving",
    "training": "training",
    "operational": "operational",
}
Held = Counter[tuple[LedgerState, str, str]]


def cluster_ledger(
    state: ClusterState, smallest_group: Mapping[tuple[str, str], int]
) -> Counter[LedgerState]:
    """GPUs by state; the values sum to the capacity of all nodes.

    Args:
        state: the cluster as read.
        smallest_group: GPUs of the smallest group by (tier, GPU type).
    """
    total: Counter[LedgerState] = Counter()
    pods = state.pods_by_node()
    for node in state.nodes:
        total.update(node_ledger(node, pods[node.name], smallest_group))
    return total


def node_ledger(
    node: NodeView, pods: list[PodView], smallest_group: Mapping[tuple[str, str], int]
) -> Counter[LedgerState]:
    """GPUs of one node by state; the values sum to its capacity."""
    total: Counter[LedgerState] = Counter()
    for (state, _, _), gpus in node_holdings(node, pods, smallest_group).items():
        total[state] += gpus
    return total


def node_holdings(
    node: NodeView, pods: list[PodView], smallest_group: Mapping[tuple[str, str], int]
) -> Held:
    """GPUs of one node by state, owner and workload; nobody owns what no pod holds."""
    if not node.ready:
        return +Counter({("broken", "", ""): node.gpus_capacity})
    total: Held = Counter()
    hidden = node.gpus_capacity - node.gpus_allocatable
    broken = min(node.gpus_capacity, max(hidden, node.sick))
    total["broken", "", ""] += broken
    left = node.gpus_capacity - broken
    for pod in pods:
        held = min(pod.gpus, left)
        total[_held_state(pod), pod.owner, pod.workload] += held
        left -= held
    if left:
        total[_free_state(node, left, smallest_group), "", ""] += left
    return +total


def _held_state(pod: PodView) -> LedgerState:
    if pod.phase != "Running" or pod.ready is False or pod.tier is None:
        return "idle-allocated"
    return _HELD[pod.tier]


def _free_state(
    node: NodeView, free: int, smallest_group: Mapping[tuple[str, str], int]
) -> LedgerState:
    if node.foreign or (node.unschedulable and not node.ours):
        return "foreign-cordoned"
    smallest = smallest_group.get((node.tier or "", node.gpu_type), 1)
    return "free-usable" if free >= smallest else "free-stranded"
