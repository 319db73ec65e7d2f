"""The StatefulSet controller: names that stay, up from zero, down from the highest ordinal.

https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#deployment-and-scaling-guarantees
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import POD, QUOTA, STATEFUL_SET
from tests.contract.kube import until
from tests.contract.played import is_ready

pytestmark = pytest.mark.needs("statefulsets")


@pytest.fixture
def settled(cluster, kube, space):
    """Waits until just these pods are there and Ready; their uids by name."""

    def wait(*names: str) -> dict[str, str]:
        def ready() -> dict[str, str] | None:
            found = kube.items(POD, space)
            whole = {p["metadata"]["name"] for p in found} == set(names)
            whole = whole and all(is_ready(pod) for pod in found)
            staying = not any("deletionTimestamp" in p["metadata"] for p in found)
            return (
                {p["metadata"]["name"]: p["metadata"]["uid"] for p in found}
                if (whole and staying)
                else None
            )

        return until(ready, f"Ready: {', '.join(names)}", within_s=2 * cluster.wait_s)

    return wait


@pytest.fixture
def up(kube, space, node, settled):
    """Makes a StatefulSet and waits until all its pods are Ready."""

    def make(replicas: int, **spec) -> dict[str, str]:
        body = objects.stateful_set("search", space, replicas=replicas, **spec)
        kube.create(STATEFUL_SET, space, body)
        return settled(*(f"search-{n}" for n in range(replicas)))

    return make


def scale(kube, space, replicas: int) -> None:
    kube.patch(STATEFUL_SET, space, "search", {"spec": {"replicas": replicas}}, "merge", "scale")


def test_pods_are_named_from_zero(kube, space, up):
    assert set(up(3)) == {"search-0", "search-1", "search-2"}
    pod = kube.get(POD, space, "search-2")["metadata"]
    assert pod["labels"]["statefulset.kubernetes.io/pod-name"] == "search-2"
    owner = pod["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("StatefulSet", "search", True)


def test_the_status_counts_pods(cluster, kube, space, up):
    up(2)

    def counted() -> bool:
        held = kube.get(STATEFUL_SET, space, "search")
        status = held["status"]
        return (
            status["observedGeneration"] == held["metadata"]["generation"]
            and status["replicas"] == status.get("readyReplicas") == 2
            and status.get("availableReplicas") == status.get("updatedReplicas") == 2
        )

    until(counted, "two replicas are counted", within_s=cluster.wait_s)


def test_the_next_pod_waits_for_the_one_before(cluster, kube, space, make_node):
    make_node(gpus=0)
    body = objects.stateful_set("search", space, replicas=2, gpus=1)
    kube.create(STATEFUL_SET, space, body)
    until(lambda: kube.find(POD, space, "search-0"), "the first pod", within_s=cluster.wait_s)
    make_node(gpus=1)
    until(lambda: kube.find(POD, space, "search-1"), "the second pod", within_s=cluster.wait_s)
    assert is_ready(kube.get(POD, space, "search-0"))


def test_all_at_once_where_the_policy_says_so(cluster, kube, space):
    body = objects.stateful_set("search", "nowhere", replicas=3)
    body["spec"]["podManagementPolicy"] = "Parallel"
    kube.create(STATEFUL_SET, space, body)
    until(lambda: len(kube.items(POD, space)) == 3, "three pods", within_s=cluster.wait_s)


def test_scaling_down_takes_the_highest_ordinal(kube, space, up, settled):
    before = up(3)
    annotation = {"annotations": {objects.DELETION_COST: "-100"}}
    kube.patch(POD, space, "search-0", {"metadata": annotation})
    scale(kube, space, 2)
    left = settled("search-0", "search-1")
    assert left == {name: before[name] for name in left}


def test_scaling_up_adds_the_next_ordinal(kube, space, up, settled):
    before = up(1)
    scale(kube, space, 2)
    assert settled("search-0", "search-1")["search-0"] == before["search-0"]


def test_a_deleted_pod_comes_back_under_its_name(cluster, kube, space, up, settled):
    before = up(2)
    kube.delete(POD, space, "search-0")

    def returned() -> bool:
        held = kube.find(POD, space, "search-0")
        return bool(held) and held["metadata"]["uid"] != before["search-0"]

    until(returned, "search-0 is back", within_s=cluster.wait_s)
    after = settled("search-0", "search-1")
    assert after["search-1"] == before["search-1"]


def test_a_pod_that_is_stuck_holds_up_those_after_it(cluster, kube, space, make_node):
    """OrderedReady: nothing is made beyond a pod that is not Ready, whatever the number says."""
    make_node(gpus=1)
    kube.create(STATEFUL_SET, space, objects.stateful_set("search", space, replicas=3, gpus=1))
    until(lambda: kube.find(POD, space, "search-1"), "the second pod", within_s=cluster.wait_s)
    scale(kube, space, 5)
    until(
        lambda: (
            kube.get(STATEFUL_SET, space, "search")["status"].get("observedGeneration")
            == kube.get(STATEFUL_SET, space, "search")["metadata"]["generation"]
        ),
        "the number is seen",
        within_s=cluster.wait_s,
    )
    assert not kube.find(POD, space, "search-2")
    scale(kube, space, 1)
    until(lambda: not kube.find(POD, space, "search-1"), "it goes", within_s=cluster.wait_s)
    assert is_ready(kube.get(POD, space, "search-0"))


def test_a_quota_holds_an_ordinal_back_until_it_is_raised(cluster, kube, space, node, limit):
    limit(gpus=1)
    body = objects.stateful_set("search", space, replicas=2, gpus=1)
    body["spec"]["podManagementPolicy"] = "Parallel"
    kube.create(STATEFUL_SET, space, body)
    until(lambda: kube.find(POD, space, "search-0"), "the first pod", within_s=cluster.wait_s)
    assert not kube.find(POD, space, "search-1")
    kube.delete(QUOTA, space, "gpus")
    until(lambda: kube.find(POD, space, "search-1"), "the second pod", within_s=2 * cluster.looks_s)
