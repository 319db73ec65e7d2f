"""ResourceQuota on GPUs: what would exceed it is refused at admission.

https://kubernetes.io/docs/concepts/policy/resource-quotas/ (extended resources count only as
`requests.<name>`).
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import DEPLOYMENT, POD, QUOTA
from tests.contract.kube import condition, is_true, refused, until

KEY = "requests.nvidia.com/gpu"


def used(kube, space) -> str:
    return kube.get(QUOTA, space, "gpus")["status"]["used"][KEY]


def test_what_fits_is_counted(cluster, kube, space, limit):
    limit(gpus=8)
    kube.create(POD, space, objects.pod("one", space, gpus=6))
    until(lambda: used(kube, space) == "6", "six GPUs are counted", within_s=cluster.wait_s)


def test_what_exceeds_is_a_403_that_names_quota_and_numbers(cluster, kube, space, limit):
    limit(gpus=8)
    kube.create(POD, space, objects.pod("one", space, gpus=6))
    until(lambda: used(kube, space) == "6", "six GPUs are counted", within_s=cluster.wait_s)
    with refused(403) as caught:
        kube.create(POD, space, objects.pod("two", space, gpus=4))
    assert caught.value.reason == "Forbidden"
    assert caught.value.message == (
        f'pods "two" is forbidden: exceeded quota: gpus, requested: {KEY}=4, '
        f"used: {KEY}=6, limited: {KEY}=8"
    )
    assert kube.find(POD, space, "two") is None


def test_what_asks_for_no_gpu_is_not_held_back(kube, space, limit):
    limit(gpus=0)
    kube.create(POD, space, objects.pod("plain", space))


def test_a_dry_run_is_checked_and_not_counted(kube, space, limit):
    limit(gpus=2)
    with refused(403):
        kube.create(POD, space, objects.pod("one", space, gpus=3), dryRun="All")
    kube.create(POD, space, objects.pod("one", space, gpus=2), dryRun="All")
    kube.create(POD, space, objects.pod("one", space, gpus=2))


@pytest.mark.needs("quota")
def test_the_status_shows_what_is_hard(cluster, kube, space, limit):
    limit(gpus=8)
    assert kube.get(QUOTA, space, "gpus")["status"]["hard"] == {KEY: "8"}


@pytest.mark.needs("quota")
def test_a_deleted_pod_gives_its_gpus_back(cluster, kube, space, limit):
    limit(gpus=2)
    kube.create(POD, space, objects.pod("one", space, gpus=2))
    until(lambda: used(kube, space) == "2", "two GPUs are counted", within_s=cluster.wait_s)
    kube.delete(POD, space, "one", {"gracePeriodSeconds": 0})
    until(lambda: used(kube, space) == "0", "none is counted", within_s=cluster.wait_s)


@pytest.mark.needs("quota")
def test_lowering_a_quota_evicts_nobody(cluster, kube, space, limit):
    limit(gpus=2)
    kube.create(POD, space, objects.pod("one", space, gpus=2))
    kube.patch(QUOTA, space, "gpus", {"spec": {"hard": {KEY: "1"}}})

    def lowered() -> bool:
        return kube.get(QUOTA, space, "gpus")["status"]["hard"] == {KEY: "1"}

    until(lowered, "the lower quota stands", within_s=cluster.wait_s)
    assert used(kube, space) == "2"
    assert "deletionTimestamp" not in kube.get(POD, space, "one")["metadata"]


@pytest.mark.needs("quota", "deployments")
def test_a_deployment_beyond_the_quota_says_so(cluster, kube, space, limit):
    limit(gpus=2)
    kube.create(DEPLOYMENT, space, objects.deployment("chat", space, replicas=3, gpus=1))

    def failing() -> dict | None:
        held = kube.get(DEPLOYMENT, space, "chat")
        return held if is_true(held, "ReplicaFailure") else None

    held = until(failing, "the Deployment reports a replica failure", within_s=cluster.wait_s)
    assert condition(held, "ReplicaFailure")["reason"] == "FailedCreate"
    assert "exceeded quota" in condition(held, "ReplicaFailure")["message"]
    assert len(kube.items(POD, space)) == 2
