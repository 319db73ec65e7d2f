"""Which nodes count toward a floor."""

import pytest

from infra_console.cluster.objects import NodeState, Taint
from infra_console.plans.guards import ready_gpus
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
