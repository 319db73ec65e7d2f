"""A node's tier label and taints, as they are read, compared and recorded."""

from infra_console.cluster.objects import NodeState
from infra_console.plans.holding.guards import CORDON_TAINT


def has_tier(node: NodeState, key: str, tier: str) -> bool:
    return node.labels.get(key) == tier and tier_taints(node, key) == [[key, tier, "NoSchedule"]]


def tier_taints(node: NodeState, key: str) -> list[list[str]]:
    return [[t.key, t.value, t.effect] for t in node.taints if t.key == key]


def every_taint(node: NodeState) -> list[list[str]]:
    """All taints in their order, so that the list can be put back exactly.

    The cordon's own taint comes and goes with the cordon.
    """
    held = (t for t in node.taints if t.key != CORDON_TAINT)
    return [[t.key, t.value, t.effect, t.added_at] for t in held]
