"""Priority: who may make others leave, and whom.

https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/
"""

import time

import pytest

from tests.contract import objects
from tests.contract.kinds import POD, PRIORITY_CLASS
from tests.contract.kube import condition, until
from tests.contract.placing import bound, gone, running, unschedulable

pytestmark = pytest.mark.needs("scheduler")


@pytest.fixture
def rank(unique, make_custom):
    """Makes a PriorityClass; its name."""

    def make(value: int, **more) -> str:
        name = unique("rank")
        make_custom(PRIORITY_CLASS, {"metadata": objects.meta(name), "value": value, **more})
        return name

    return make


@pytest.fixture
def low(rank) -> str:
    return rank(-10)


@pytest.fixture
def high(rank) -> str:
    return rank(1000)


@pytest.fixture
def add(kube, space):
    def make(name: str, of: str, gpus: int = 1, **spec) -> None:
        labels = {"app": "chat"} if name == "guarded" else None
        body = objects.pod(name, space, labels=labels, gpus=gpus, priorityClassName=of, **spec)
        kube.create(POD, space, body)

    return make


def test_a_class_gives_its_pods_their_priority(kube, space, high, add):
    add("one", high)
    spec = kube.get(POD, space, "one")["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (1000, "PreemptLowerPriority")


def test_the_fewest_lower_pods_leave_for_a_higher_one(cluster, kube, space, make_node, low, high,
                                                      add):  # fmt: skip
    node = make_node(gpus=4)
    for name in ("small", "big"):
        add(name, low, gpus=1 if name == "small" else 3)
        running(cluster, space, name)
    add("high", high, gpus=1)
    assert bound(cluster, space, "high") == node
    left = {p["metadata"]["name"] for p in kube.items(POD, space)
            if "deletionTimestamp" not in p["metadata"]}  # fmt: skip
    assert len(left & {"small", "big"}) == 1


def test_a_pod_that_waits_for_its_victims_is_nominated(cluster, kube, space, make_node, low, high,
                                                       add):  # fmt: skip
    """A victim with a finalizer is on its way and still there."""
    node = make_node(gpus=1)
    add("low", low)
    running(cluster, space, "low")
    held = {"metadata": {"finalizers": ["example.com/held"]}}
    kube.patch(POD, space, "low", held)
    add("high", high)
    until(
        lambda: kube.get(POD, space, "high")["status"].get("nominatedNodeName") == node,
        "it is nominated",
        within_s=cluster.wait_s,
    )
    gone(cluster, space, "low")
    assert condition(kube.get(POD, space, "low"), "DisruptionTarget")["reason"] == (
        "PreemptionByScheduler"
    )
    kube.patch(POD, space, "low", {"metadata": {"finalizers": None}})
    assert bound(cluster, space, "high") == node


def test_equal_priorities_do_not_leave(cluster, kube, space, make_node, high, add):
    make_node(gpus=1)
    add("first", high)
    running(cluster, space, "first")
    add("second", high)
    unschedulable(cluster, space, "second", "Insufficient nvidia.com/gpu")
    assert "deletionTimestamp" not in kube.get(POD, space, "first")["metadata"]


def test_a_class_that_never_preempts_waits(cluster, kube, space, make_node, low, rank, add):
    make_node(gpus=1)
    add("low", low)
    running(cluster, space, "low")
    add("polite", rank(1000, preemptionPolicy="Never"))
    unschedulable(cluster, space, "polite", "Insufficient nvidia.com/gpu")
    assert "deletionTimestamp" not in kube.get(POD, space, "low")["metadata"]
    assert "nominatedNodeName" not in kube.get(POD, space, "polite")["status"]


def test_nobody_leaves_where_it_would_not_help(cluster, kube, space, make_node, low, high, add):
    make_node(gpus=1)
    add("low", low)
    running(cluster, space, "low")
    add("high", high, gpus=2)
    unschedulable(cluster, space, "high", "Insufficient nvidia.com/gpu")
    time.sleep(0.5 if cluster.is_twin else 3.0)
    assert "deletionTimestamp" not in kube.get(POD, space, "low")["metadata"]


def test_who_is_guarded_by_a_budget_is_spared_where_another_would_do(
    cluster, kube, space, make_node, low, high, add, guard
):
    nodes = {make_node(gpus=1): name for name in ("guarded", "free")}
    for node, name in nodes.items():
        add(name, low, nodeName=node)
        running(cluster, space, name)
    guard(keep=1, healthy=1)
    add("high", high)
    bound(cluster, space, "high")
    assert "deletionTimestamp" not in kube.get(POD, space, "guarded")["metadata"]


def test_a_budget_does_not_save_the_last_victim_there_is(
    cluster, kube, space, make_node, low, high, add, guard
):
    """Best effort: priority wins where there is no other way."""
    node = make_node(gpus=1)
    add("guarded", low)
    running(cluster, space, "guarded")
    guard(keep=1, healthy=1)
    add("high", high)
    assert bound(cluster, space, "high") == node
