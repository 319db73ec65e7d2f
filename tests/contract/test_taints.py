"""NoExecute taints, and what becomes of pods whose node is away.

https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions
"""

import time

import pytest

from tests.contract import objects
from tests.contract.kinds import NODE, POD
from tests.contract.kube import condition, until
from tests.contract.placing import gone, running

AWAY = "node.kubernetes.io/unreachable"


@pytest.fixture
def add(cluster, kube, space, node):
    """Makes a pod on the node and waits until it runs."""

    def make(name: str, *tolerations: dict) -> None:
        kube.create(POD, space, objects.pod(name, space, on=node, tolerations=[*tolerations]))
        running(cluster, space, name)

    return make


def patience(key: str, seconds: int | None = None) -> dict:
    toleration = {"key": key, "operator": "Exists", "effect": "NoExecute"}
    return toleration | ({} if seconds is None else {"tolerationSeconds": seconds})


def taint(kube, node: str, key: str) -> None:
    made = objects.taint("", key=key, effect="NoExecute")
    kube.patch(NODE, "", node, {"spec": {"taints": [made]}}, "strategic")


def test_every_pod_has_five_minutes_of_patience_with_a_node_that_is_away(kube, space):
    kube.create(POD, space, objects.pod("one", "nowhere"))
    held = kube.get(POD, space, "one")["spec"]["tolerations"]
    given = {t["key"]: (t["operator"], t["effect"], t["tolerationSeconds"]) for t in held}
    five = ("Exists", "NoExecute", 300)
    assert given == {"node.kubernetes.io/not-ready": five, AWAY: five}


def test_a_patience_that_the_pod_states_itself_is_kept(kube, space):
    kube.create(POD, space, objects.pod("one", "nowhere", tolerations=[patience(AWAY, 30)]))
    held = kube.get(POD, space, "one")["spec"]["tolerations"]
    assert [t["tolerationSeconds"] for t in held if t["key"] == AWAY] == [30]


@pytest.mark.needs("taint-eviction")
def test_who_does_not_tolerate_a_taint_leaves_and_who_does_stays(cluster, kube, space, node, add):
    add("driven-out")
    add("staying", patience("repair"))
    taint(kube, node, "repair")
    gone(cluster, space, "driven-out")
    assert "deletionTimestamp" not in kube.get(POD, space, "staying")["metadata"]


@pytest.mark.needs("taint-eviction")
def test_a_bounded_patience_ends(cluster, kube, space, node, add):
    """The twin's clock makes three seconds of it three milliseconds."""
    add("patient", patience("repair", 3))
    taint(kube, node, "repair")
    gone(cluster, space, "patient")


@pytest.mark.needs("taint-eviction")
def test_a_taint_that_is_taken_away_in_time_drives_nobody_out(cluster, kube, space, node, add):
    add("patient", patience("repair", 20 if not cluster.is_twin else 20_000))
    taint(kube, node, "repair")
    kube.patch(NODE, "", node, {"spec": {"taints": None}})
    time.sleep(0.5 if cluster.is_twin else 25.0)
    assert "deletionTimestamp" not in kube.get(POD, space, "patient")["metadata"]


@pytest.mark.needs("node-lifecycle", "taint-eviction")
def test_a_silent_node_is_unknown_and_tainted_and_its_pods_lose_patience(
    cluster, kube, space, node, add
):
    add("hasty", patience(AWAY, 1))
    add("staying", patience(AWAY))
    cluster.silence(node)

    def away() -> bool:
        return condition(kube.get(NODE, "", node), "Ready").get("status") == "Unknown"

    until(away, "the node is unknown", within_s=2.5 * cluster.looks_s)

    def effects() -> set[str]:
        held = kube.get(NODE, "", node)["spec"].get("taints") or ()
        return {t["effect"] for t in held if t["key"] == AWAY}

    until(lambda: effects() == {"NoSchedule", "NoExecute"}, "it is tainted",
          within_s=cluster.wait_s)  # fmt: skip
    gone(cluster, space, "hasty")
    held = kube.get(POD, space, "staying")
    assert "deletionTimestamp" not in held["metadata"]
    assert condition(held, "Ready")["status"] == "False"


@pytest.mark.needs("pod-gc")
def test_pods_of_a_node_that_was_deleted_go_too(cluster, kube, space, node, add):
    add("homeless")
    kube.delete(NODE, "", node)
    until(
        lambda: not kube.find(POD, space, "homeless"),
        "its pod is collected",
        within_s=cluster.wait_s if cluster.is_twin else 100.0,
    )
