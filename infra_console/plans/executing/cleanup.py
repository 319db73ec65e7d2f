"""A cordon never outlives its plan: lift every one that carries the plan's mark, and only those.

Nor does the mark that keeps a node from being consolidated.
"""

from infra_console.cluster.objects import NodeState
from infra_console.cluster.reads import list_nodes
from infra_console.cluster.writes import change_node
from infra_console.plans.holding.fence import NOT_OWNED_RETRY_S, Fence, Halted
from infra_console.plans.marks import CLEARED, epoch_on, held_by, newer_epoch
from infra_console.plans.models import Plan
from infra_console.plans.places import is_own
from infra_console.plans.steps.disruption import RELEASED, protected_by


def lift_our_cordons(plan: Plan, fence: Fence) -> int:
    """Open every node that the plan still holds; return how many were opened.

    Raises:
        ClusterError: a cluster could not be read or refused. Halted, LeaseLost: writing is not
            allowed now. What was lifted stays lifted; call again for the rest.
    """
    lifted = 0
    places = {lock["cluster"] for lock in plan.document["locks"]}
    for cluster in sorted(place for place in places if not is_own(place)):
        for node in list_nodes(cluster):
            opened = node
            if held_by(node) == str(plan.id):
                opened = _lift(cluster, node, fence)
                lifted += 1
            if protected_by(opened) == str(plan.id):
                _release(cluster, opened, fence)
    return lifted


def _lift(cluster: str, node: NodeState, fence: Fence) -> NodeState:
    if epoch_on(node) > fence.lease.epoch:
        raise Halted(newer_epoch(node, fence.lease.epoch), retry_s=NOT_OWNED_RETRY_S)
    opened: NodeState = fence.clear_up(
        cluster=cluster,
        what=f"uncordon {node.name}",
        call=lambda: change_node(
            cluster, node, unschedulable=False, annotations=CLEARED, dry_run=False
        ),
    )
    return opened


def _release(cluster: str, node: NodeState, fence: Fence) -> None:
    fence.clear_up(
        cluster=cluster,
        what=f"let {node.name} be consolidated",
        call=lambda: change_node(cluster, node, annotations=RELEASED, dry_run=False),
    )
