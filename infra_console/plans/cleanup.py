"""A cordon never outlives its plan: lift every one that carries the plan's mark, and only those."""

from infra_console.cluster.objects import NodeState
from infra_console.cluster.reads import list_nodes
from infra_console.cluster.writes import change_node
from infra_console.plans.fence import NOT_OWNED_RETRY_S, Fence, Halted
from infra_console.plans.marks import CLEARED, epoch_on, held_by, newer_epoch
from infra_console.plans.models import Plan


def lift_our_cordons(plan: Plan, fence: Fence) -> int:
    """Open every node that the plan still holds; return how many were opened.

    Raises:
        ClusterError: a cluster could not be read or refused. Halted, LeaseLost: writing is not
            allowed now. What was lifted stays lifted; call again for the rest.
    """
    lifted = 0
    for cluster in sorted({lock["cluster"] for lock in plan.document["locks"]}):
        for node in list_nodes(cluster):
            if held_by(node) == str(plan.id):
                _lift(cluster, node, fence)
                lifted += 1
    return lifted


def _lift(cluster: str, node: NodeState, fence: Fence) -> None:
    if epoch_on(node) > fence.lease.epoch:
        raise Halted(newer_epoch(node, fence.lease.epoch), retry_s=NOT_OWNED_RETRY_S)
    fence.clear_up(
        cluster=cluster,
        what=f"uncordon {node.name}",
        call=lambda: change_node(
            cluster, node, unschedulable=False, annotations=CLEARED, dry_run=False
        ),
    )
