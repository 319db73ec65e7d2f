"""How a Deployment goes from one template to the next, and what a pause or a broken pod does to it.

https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#updating-a-deployment
"""

import time

import pytest

from tests.contract import objects
from tests.contract.kinds import DEPLOYMENT, POD, REPLICA_SET
from tests.contract.kube import until
from tests.contract.played import is_ready

pytestmark = pytest.mark.needs("deployments")


def staying(kube, space) -> list[dict]:
    found = kube.items(POD, space, labelSelector="app=chat")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def uids(found) -> set[str]:
    return {item["metadata"]["uid"] for item in found}


@pytest.fixture
def up(cluster, kube, space, node):
    """Makes a Deployment of a strategy and waits until all its pods are Ready."""

    def make(replicas: int, **spec) -> set[str]:
        body = objects.deployment("chat", space, replicas=replicas)
        body["spec"] |= spec
        kube.create(DEPLOYMENT, space, body)

        def ready() -> set[str] | None:
            found = staying(kube, space)
            return uids(found) if len(found) == replicas and all(map(is_ready, found)) else None

        return until(ready, f"{replicas} pods are Ready", within_s=cluster.wait_s)

    return make


def renew(kube, space, **spec) -> None:
    """A new template: another annotation, and whatever else."""
    template = {"metadata": {"annotations": {"revision": "next"}}, "spec": spec}
    kube.patch(DEPLOYMENT, space, "chat", {"spec": {"template": template}}, "strategic")


def watch_roll(cluster, kube, space, old: set[str], replicas: int) -> list[tuple[int, int]]:
    """Pods and Ready pods at every look, until all of the old ones are replaced."""
    seen = []

    def rolled() -> bool:
        found = staying(kube, space)
        seen.append((len(found), sum(map(is_ready, found))))
        return not old & uids(found) and sum(map(is_ready, found)) == len(found) == replicas

    until(rolled, "every pod is new and Ready", within_s=4 * cluster.wait_s)
    return seen


@pytest.mark.parametrize(
    ("surge", "spare", "most", "least"), [(1, 0, 5, 4), (0, 1, 4, 3), ("50%", "50%", 6, 2)]
)
def test_a_roll_stays_within_surge_and_unavailability(
    cluster, kube, space, up, surge, spare, most, least
):
    rolling = {"maxSurge": surge, "maxUnavailable": spare}
    old = up(4, strategy={"type": "RollingUpdate", "rollingUpdate": rolling})
    renew(kube, space)
    seen = watch_roll(cluster, kube, space, old, 4)
    assert max(count for count, _ in seen) <= most
    assert min(ready for _, ready in seen) >= least


def test_recreate_starts_nothing_before_the_last_old_pod_is_gone(cluster, kube, space, up):
    old = up(2, strategy={"type": "Recreate"})
    renew(kube, space)

    def replaced() -> bool:
        here = uids(kube.items(POD, space, labelSelector="app=chat"))
        assert here <= old or not here & old, "old and new at once"
        return len(here - old) == 2

    until(replaced, "both pods are new", within_s=2 * cluster.wait_s)


def test_pods_that_never_came_up_do_not_hold_up_the_next_template(cluster, kube, space, node):
    body = objects.deployment("chat", space, replicas=2)
    body["spec"]["template"]["spec"]["nodeSelector"] = {objects.SPACE_KEY: "nowhere"}
    kube.create(DEPLOYMENT, space, body)
    until(lambda: len(staying(kube, space)) == 2, "two that fit nowhere", within_s=cluster.wait_s)
    old = uids(staying(kube, space))
    renew(kube, space, nodeSelector={objects.SPACE_KEY: space})
    watch_roll(cluster, kube, space, old, 2)


def test_a_paused_deployment_takes_a_new_number_and_no_new_template(cluster, kube, space, up):
    old = up(1)
    kube.patch(DEPLOYMENT, space, "chat", {"spec": {"paused": True}})
    renew(kube, space)
    kube.patch(DEPLOYMENT, space, "chat", {"spec": {"replicas": 2}}, "merge", "scale")
    until(lambda: len(staying(kube, space)) == 2, "a second pod", within_s=cluster.wait_s)
    time.sleep(0.5 if cluster.is_twin else 3.0)
    assert old <= uids(staying(kube, space))
    hashes = {p["metadata"]["labels"]["pod-template-hash"] for p in staying(kube, space)}
    assert len(hashes) == 1
    kube.patch(DEPLOYMENT, space, "chat", {"spec": {"paused": False}})
    watch_roll(cluster, kube, space, old, 2)


def test_old_replica_sets_are_kept_as_far_as_the_history_goes(cluster, kube, space, up):
    up(1, revisionHistoryLimit=0)
    renew(kube, space)
    until(
        lambda: len(kube.items(REPLICA_SET, space)) == 1,
        "only the current one is left",
        within_s=2 * cluster.wait_s,
    )
