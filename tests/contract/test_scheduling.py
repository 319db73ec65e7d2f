"""The scheduler: selectors, taints, cordons and GPU counts; and what it says when nothing fits.

https://kubernetes.io/docs/concepts/scheduling-eviction/ and
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import NODE, POD
from tests.contract.kube import condition, until
from tests.contract.played import is_ready

pytestmark = pytest.mark.needs("scheduler")
TOLERATES = [{"key": objects.TIER_KEY, "operator": "Equal", "value": "inference"}]


@pytest.fixture
def placed(cluster, kube, space):
    """Waits until a pod is bound; the node's name."""

    def wait(name: str) -> str:
        return until(
            lambda: kube.get(POD, space, name)["spec"].get("nodeName", ""),
            f"{name} is bound",
            within_s=cluster.wait_s,
        )

    return wait


@pytest.fixture
def refused_place(cluster, kube, space):
    """Waits until a pod is called Unschedulable for a reason; the whole message."""

    def wait(name: str, why: str) -> str:
        def said() -> str:
            found = condition(kube.get(POD, space, name), "PodScheduled")
            fits = found.get("reason") == "Unschedulable" and why in found.get("message", "")
            return found["message"] if fits else ""

        message = until(said, f"{name} is Unschedulable: {why}", within_s=cluster.wait_s)
        held = kube.get(POD, space, name)
        assert condition(held, "PodScheduled")["status"] == "False"
        assert held["status"]["phase"] == "Pending"
        assert "nodeName" not in held["spec"]
        return message

    return wait


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
