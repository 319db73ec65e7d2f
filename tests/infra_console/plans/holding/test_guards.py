"""Which nodes count toward a floor, and what speaks against closing one more."""

from dataclasses import replace

import pytest

from infra_console.cluster.objects import NodeState, Taint
from infra_console.plans.holding.guards import GuardRail, ready_gpus
from infra_console.plans.marks import PLAN
from infra_console.plans.spec import Budget, Guard
from tests.infra_console.plans.specs import TIER_KEY


def node(*taints: Taint) -> NodeState:
    return NodeState(
        name="a",
        uid="1",
        labels={TIER_KEY: "training"},
        annotations={},
        taints=taints,
        unschedulable=False,
        ready=True,
        gpus_capacity=8,
        gpus_allocatable=8,
        resource_version="1",
    )


@pytest.mark.parametrize(
    ("taint", "gpus"),
    [
        (Taint(TIER_KEY, "training", "NoSchedule"), 8),
        (Taint("nvidia.com/gpu", "present", "NoSchedule"), 8),
        (Taint("node.kubernetes.io/unschedulable", "", "NoSchedule"), 8),
        (Taint("example.com/repair", "yes", "PreferNoSchedule"), 8),
        (Taint("example.com/repair", "yes", "NoSchedule"), 0),
        (Taint("node.kubernetes.io/disk-pressure", "", "NoExecute"), 0),
    ],
)
def test_a_node_that_somebody_else_keeps_pods_off_holds_no_ready_gpus(taint, gpus):
    assert ready_gpus([node(taint)], tier_key=TIER_KEY, tier="training") == gpus


@pytest.mark.parametrize(
    ("floor", "moving_at_once", "refused"),
    [(8, 2, (False, False)), (16, 2, (True, False)), (8, 1, (False, True)), (16, 1, (True, True))],
)
def test_floor_and_budget_are_judged_on_the_list_that_was_read(floor, moving_at_once, refused):
    """Three nodes of eight GPUs; one of them moves already."""
    moving = replace(node(), name="c", unschedulable=True, annotations={PLAN: "7"})
    nodes = [node(), replace(node(), name="b"), moving]
    reads: list[str] = []

    def list_nodes(cluster: str) -> list[NodeState]:
        reads.append(cluster)
        return nodes

    rail = GuardRail(
        "eastus",
        tier_key=TIER_KEY,
        guards=[Guard(cluster="eastus", tier="training", min_ready_gpus=floor)],
        budgets=[Budget(cluster="eastus", max_nodes=moving_at_once)],
        list_nodes=list_nodes,
    )
    held = rail.nodes()
    assert tuple(bool(why) for why in rail.refusals(held[0], held)) == refused
    assert reads == ["eastus"]
