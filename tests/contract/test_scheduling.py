"""The scheduler: selectors, taints, cordons and GPU counts; and what it says when nothing fits.

https://kubernetes.io/docs/concepts/scheduling-eviction/ and
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions
"""

from functools import partial

import pytest

from tests.contract import objects
from tests.contract.kinds import NODE, POD
from tests.contract.kube import condition, until
from tests.contract.placing import bound, unschedulable
from tests.contract.played import is_ready

pytestmark = pytest.mark.needs("scheduler")
TOLERATES = [{"key": objects.TIER_KEY, "operator": "Equal", "value": "inference"}]


@pytest.fixture
def placed(cluster, space):
    """Waits until a pod is bound; the node's name."""
    return partial(bound, cluster, space)


@pytest.fixture
def refused_place(cluster, space):
    """Waits until a pod is called Unschedulable for a reason; the whole message."""
    return partial(unschedulable, cluster, space)


def test_a_pod_goes_where_its_selector_points(kube, space, make_node, placed):
    make_node()
    wanted = make_node(labels={objects.TIER_KEY: "inference"})
    selector = {objects.SPACE_KEY: space, objects.TIER_KEY: "inference"}
    kube.create(POD, space, objects.pod("one", space, nodeSelector=selector))
    assert placed("one") == wanted


def test_a_bound_pod_becomes_ready(cluster, kube, space, node, placed):
    kube.create(POD, space, objects.pod("one", space, gpus=1))
    placed("one")
    until(lambda: is_ready(kube.get(POD, space, "one")), "it is Ready", within_s=cluster.wait_s)
    held = kube.get(POD, space, "one")
    assert condition(held, "PodScheduled")["status"] == "True"
    assert held["status"]["phase"] == "Running"


def test_a_selector_that_no_node_has_is_told(kube, space, node, refused_place):
    selector = {objects.SPACE_KEY: space, objects.TIER_KEY: "nowhere"}
    kube.create(POD, space, objects.pod("one", space, nodeSelector=selector))
    message = refused_place("one", "didn't match Pod's node affinity/selector")
    assert " nodes are available: " in message


def test_a_taint_keeps_out_who_does_not_tolerate_it(kube, space, make_node, refused_place):
    make_node(taints=[objects.taint("inference")])
    kube.create(POD, space, objects.pod("one", space))
    refused_place("one", "untolerated taint")


def test_a_toleration_lets_a_pod_in(kube, space, make_node, placed):
    name = make_node(taints=[objects.taint("inference")])
    kube.create(POD, space, objects.pod("one", space, tolerations=TOLERATES))
    assert placed("one") == name


def test_a_toleration_of_another_value_does_not(kube, space, make_node, refused_place):
    make_node(taints=[objects.taint("training")])
    kube.create(POD, space, objects.pod("one", space, tolerations=TOLERATES))
    refused_place("one", "untolerated taint")


def test_a_cordoned_node_takes_nothing(kube, space, node, refused_place):
    kube.patch(NODE, "", node, {"spec": {"unschedulable": True}})
    kube.create(POD, space, objects.pod("one", space))
    refused_place("one", "unschedulable")


def test_an_uncordoned_node_takes_what_waited(kube, space, node, refused_place, placed):
    kube.patch(NODE, "", node, {"spec": {"unschedulable": True}})
    kube.create(POD, space, objects.pod("one", space))
    refused_place("one", "unschedulable")
    kube.patch(NODE, "", node, {"spec": {"unschedulable": False}})
    assert placed("one") == node


def test_no_more_gpus_are_given_than_there_are(kube, space, make_node, placed, refused_place):
    make_node(gpus=4)
    kube.create(POD, space, objects.pod("one", space, gpus=3))
    placed("one")
    kube.create(POD, space, objects.pod("two", space, gpus=2))
    refused_place("two", "Insufficient nvidia.com/gpu")


def test_freed_gpus_go_to_who_waits(kube, space, make_node, placed, refused_place):
    name = make_node(gpus=4)
    kube.create(POD, space, objects.pod("one", space, gpus=3))
    placed("one")
    kube.create(POD, space, objects.pod("two", space, gpus=2))
    refused_place("two", "Insufficient nvidia.com/gpu")
    kube.delete(POD, space, "one")
    assert placed("two") == name


def test_a_node_that_changes_tier_takes_the_other_tiers_pods(
    kube, space, make_node, placed, refused_place
):
    """The move this project is about: the label and the taint of one node change."""
    name = make_node(labels={objects.TIER_KEY: "training"}, taints=[objects.taint("training")])
    selector = {objects.SPACE_KEY: space, objects.TIER_KEY: "inference"}
    pod = objects.pod("one", space, gpus=1, nodeSelector=selector, tolerations=TOLERATES)
    kube.create(POD, space, pod)
    refused_place("one", "didn't match Pod's node affinity/selector")
    held = kube.get(NODE, "", name)["spec"]["taints"]
    key = objects.TIER_KEY.replace("/", "~1")
    body = [
        {"op": "test", "path": "/spec/taints", "value": held},
        {"op": "replace", "path": "/spec/taints", "value": [objects.taint("inference")]},
        {"op": "replace", "path": f"/metadata/labels/{key}", "value": "inference"},
    ]
    kube.patch(NODE, "", name, body, "json")
    assert placed("one") == name


MIG = "nvidia.com/mig-1g.10gb"


@pytest.mark.parametrize("resource", [MIG, "example.com/hca"])
def test_no_more_of_any_extended_resource_is_given_than_there_is(
    kube, space, node, placed, refused_place, resource
):
    more = {"capacity": {resource: "2"}, "allocatable": {resource: "2"}}
    kube.patch(NODE, "", node, {"status": more}, "strategic", "status")
    for name, amount in (("one", "2"), ("two", "1")):
        body = objects.pod(name, space)
        asked = {resource: amount}
        body["spec"]["containers"][0]["resources"] = {"limits": asked, "requests": asked}
        kube.create(POD, space, body)
        if name == "one":
            placed("one")
    refused_place("two", f"Insufficient {resource}")


def test_a_resource_that_no_node_has_is_not_given(kube, space, node, refused_place):
    body = objects.pod("one", space)
    body["spec"]["containers"][0]["resources"] = {"limits": {MIG: "1"}, "requests": {MIG: "1"}}
    kube.create(POD, space, body)
    refused_place("one", f"Insufficient {MIG}")


def test_a_gated_pod_is_not_placed_until_its_gates_are_gone(cluster, kube, space, node, placed):
    body = objects.pod("one", space, schedulingGates=[{"name": "example.com/wait"}])
    kube.create(POD, space, body)
    until(
        lambda: (
            condition(kube.get(POD, space, "one"), "PodScheduled").get("reason")
            == "SchedulingGated"
        ),
        "it is gated",
        within_s=cluster.wait_s,
    )
    kube.patch(POD, space, "one", [{"op": "remove", "path": "/spec/schedulingGates"}], "json")
    assert placed("one") == node
