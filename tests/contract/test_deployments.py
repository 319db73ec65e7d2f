"""The Deployment controller: pods, status, which pod goes first, what goes with its owner.

https://kubernetes.io/docs/concepts/workloads/controllers/deployment/ and
https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#pod-deletion-cost
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import DEPLOYMENT, PDB, POD, REPLICA_SET
from tests.contract.kube import is_true, until

pytestmark = pytest.mark.needs("deployments")


@pytest.fixture
def status_of(cluster, kube, space):
    """Waits until a Deployment's status has these numbers, absent meaning zero."""

    def wait(name: str, **numbers: int) -> dict:
        def settled() -> dict | None:
            held = kube.get(DEPLOYMENT, space, name)
            status = held["status"]
            seen = status.get("observedGeneration", 0) == held["metadata"]["generation"]
            return held if seen and all(status.get(k, 0) == v for k, v in numbers.items()) else None

        return until(settled, f"{name} has {numbers}", within_s=cluster.wait_s)

    return wait


@pytest.fixture
def up(kube, space, node, status_of):
    """Makes a Deployment and waits until all its pods are Ready."""

    def make(replicas: int, **spec) -> list[dict]:
        kube.create(DEPLOYMENT, space, objects.deployment("chat", space, replicas=replicas, **spec))
        status_of("chat", replicas=replicas, readyReplicas=replicas)
        return pods(kube, space)

    return make


def pods(kube, space) -> list[dict]:
    found = kube.items(POD, space, labelSelector="app=chat")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def names(found) -> set[str]:
    return {item["metadata"]["name"] for item in found}


def test_its_status_counts_its_pods(up, status_of):
    up(2)
    held = status_of("chat", replicas=2, updatedReplicas=2, readyReplicas=2, availableReplicas=2)
    assert held["status"].get("unavailableReplicas", 0) == 0
    assert is_true(held, "Available")


def test_pods_that_fit_nowhere_are_unavailable(kube, space, status_of):
    kube.create(DEPLOYMENT, space, objects.deployment("chat", "nowhere", replicas=2))
    held = status_of("chat", replicas=2, readyReplicas=0, unavailableReplicas=2)
    assert not is_true(held, "Available")


def test_pods_are_owned_through_a_replica_set(kube, space, up):
    found = up(2)
    (owner,) = {pod["metadata"]["ownerReferences"][0]["uid"] for pod in found}
    (replica_set,) = kube.items(REPLICA_SET, space)
    assert replica_set["metadata"]["uid"] == owner
    above = replica_set["metadata"]["ownerReferences"][0]
    assert (above["kind"], above["name"], above["controller"]) == ("Deployment", "chat", True)
    digest = replica_set["metadata"]["labels"]["pod-template-hash"]
    assert all(pod["metadata"]["labels"]["pod-template-hash"] == digest for pod in found)


def test_scaling_up_adds_pods_and_keeps_the_others(kube, space, up, status_of):
    before = {pod["metadata"]["uid"] for pod in up(1)}
    kube.patch(DEPLOYMENT, space, "chat", {"spec": {"replicas": 3}}, "merge", "scale")
    status_of("chat", replicas=3, readyReplicas=3)
    assert before <= {pod["metadata"]["uid"] for pod in pods(kube, space)}


def test_the_pod_of_lowest_deletion_cost_goes_first(kube, space, up, status_of):
    found = sorted(names(up(3)))
    for name, cost in zip(found, ("10", "-10", "10"), strict=True):
        kube.patch(POD, space, name, {"metadata": {"annotations": {objects.DELETION_COST: cost}}})
    kube.patch(DEPLOYMENT, space, "chat", {"spec": {"replicas": 2}}, "merge", "scale")
    status_of("chat", replicas=2, readyReplicas=2)
    assert names(pods(kube, space)) == {found[0], found[2]}


def test_a_pod_that_is_not_ready_goes_before_one_that_costs_less(kube, space, up, status_of):
    (first,) = up(1, gpus=8)
    annotation = {"annotations": {objects.DELETION_COST: "-100"}}
    kube.patch(POD, space, first["metadata"]["name"], {"metadata": annotation})
    kube.patch(DEPLOYMENT, space, "chat", {"spec": {"replicas": 2}}, "merge", "scale")
    status_of("chat", replicas=2, readyReplicas=1)
    kube.patch(DEPLOYMENT, space, "chat", {"spec": {"replicas": 1}}, "merge", "scale")
    status_of("chat", replicas=1, readyReplicas=1)
    assert names(pods(kube, space)) == {first["metadata"]["name"]}


def test_scaling_to_zero_leaves_no_pod(cluster, kube, space, up, status_of):
    up(2)
    kube.patch(DEPLOYMENT, space, "chat", {"spec": {"replicas": 0}}, "merge", "scale")
    status_of("chat", replicas=0, readyReplicas=0)
    until(lambda: not kube.items(POD, space), "no pod is left", within_s=cluster.wait_s)


def test_an_evicted_pod_is_replaced(kube, space, up, cluster, status_of):
    before = names(up(2))
    kube.evict(space, sorted(before)[0])

    def replaced() -> bool:
        now = names(pods(kube, space))
        return len(now) == 2 and sorted(before)[0] not in now

    until(replaced, "another pod took its place", within_s=cluster.wait_s)
    status_of("chat", replicas=2, readyReplicas=2)


def test_a_new_template_replaces_every_pod(kube, space, up, status_of, cluster):
    before = {pod["metadata"]["uid"] for pod in up(2)}
    template = {"metadata": {"annotations": {"version": "2"}}}
    kube.patch(DEPLOYMENT, space, "chat", {"spec": {"template": template}})

    def rolled() -> bool:
        found = pods(kube, space)
        return len(found) == 2 and not before & {pod["metadata"]["uid"] for pod in found}

    until(rolled, "two new pods", within_s=2 * cluster.wait_s)
    status_of("chat", replicas=2, updatedReplicas=2, readyReplicas=2)
    assert {p["metadata"]["annotations"]["version"] for p in pods(kube, space)} == {"2"}


@pytest.mark.needs("garbage")
def test_a_deleted_deployment_takes_its_pods_along(cluster, kube, space, up):
    up(2)
    kube.delete(DEPLOYMENT, space, "chat", {"propagationPolicy": "Background"})

    def gone() -> bool:
        return not kube.items(REPLICA_SET, space) and not kube.items(POD, space)

    until(gone, "nothing is left", within_s=cluster.wait_s)


@pytest.mark.needs("garbage")
def test_a_deployment_deleted_alone_leaves_its_pods(cluster, kube, space, up):
    before = names(up(2))
    kube.delete(DEPLOYMENT, space, "chat", {"propagationPolicy": "Orphan"})

    def orphaned() -> bool:
        held = kube.items(REPLICA_SET, space)
        return bool(held) and not held[0]["metadata"].get("ownerReferences")

    until(orphaned, "the ReplicaSet is on its own", within_s=cluster.wait_s)
    assert kube.find(DEPLOYMENT, space, "chat") is None
    assert names(pods(kube, space)) == before


@pytest.mark.needs("disruption")
def test_a_budget_by_share_counts_the_replicas_asked_for(cluster, kube, space, up):
    up(4)
    selector = {"matchLabels": {"app": "chat"}}
    body = {"metadata": {"name": "chat"}, "spec": {"maxUnavailable": "25%", "selector": selector}}
    kube.create(PDB, space, body)

    def allowed() -> dict | None:
        status = kube.get(PDB, space, "chat")["status"]
        return status if status.get("disruptionsAllowed") else None

    status = until(allowed, "the budget has something to spare", within_s=cluster.wait_s)
    numbers = ("expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed")
    assert [status[key] for key in numbers] == [4, 3, 4, 1]
