"""A cordon never outlives its plan: lift every one that carries the plan's mark, and only those."""

from infra_console.cluster.objects import NodeState
from infra_console.cluster.reads import list_nodes
from infra_console.cluster.writes import change_node
from infra_console.plans.fence import Fence
from infra_console.plans.marks import CLEARED, held_by
from infra_console.plans.models import Plan


def lift_our_cordons(plan: Plan, fence: Fence) -> int:
    """Open every node that the plan still holds; return how many were opened.

    Raises:
        ClusterError: a cluster could not be read or refused. NotArmed, Halted, LeaseLost: writing
            is not allowed now. What was lifted stays lifted; call again for the rest.
    """
    tiers = {lock.cluster: lock.tier for lock in plan.spec.locks}
    lifted = 0
    for cluster, tier in sorted(tiers.items()):
        for node in list_nodes(cluster):
            if held_by(node) == str(plan.id):
                _lift(cluster, tier, node, fence)
                lifted += 1
    return lifted


def _lift(cluster: str, tier: str, node: NodeState, fence: Fence) -> None:
    fence.write(
        cluster=cluster,
        tier=tier,
        step="clear up",
        what=f"uncordon {node.name}",
        call=lambda: change_node(
            cluster, node, unschedulable=False, annotations=CLEARED, dry_run=False
        ),
    )
