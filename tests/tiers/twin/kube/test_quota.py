"""ResourceQuota at pod creation, and what its status says is used."""

import json

import pytest
from kubernetes.client import ApiException

from tests.tiers.twin.kube import objects

GPUS = "requests.nvidia.com/gpu"


def quota(hard: dict[str, str], **spec) -> dict:
    return {"metadata": {"name": "gpus"}, "spec": {"hard": hard, **spec}}


def used(core, space) -> dict[str, str]:
    return core.read_namespaced_resource_quota("gpus", space).status.used


def test_a_pod_beyond_the_quota_is_forbidden_with_the_sums(core, space):
    core.create_namespaced_resource_quota(space, quota({GPUS: "8", "pods": "10"}))
    core.create_namespaced_pod(space, objects.pod("p1", gpus=6))
    with pytest.raises(ApiException) as caught:
        core.create_namespaced_pod(space, objects.pod("p2", gpus=4))
    assert caught.value.status == 403
    status = json.loads(caught.value.body)
    assert status["reason"] == "Forbidden"
    assert status["message"] == (
        f'pods "p2" is forbidden: exceeded quota: gpus, requested: {GPUS}=4, used: {GPUS}=6, '
        f"limited: {GPUS}=8"
    )
    assert used(core, space) == {GPUS: "6", "pods": "1"}


def test_what_leaves_is_given_back(core, space):
    core.create_namespaced_resource_quota(space, quota({GPUS: "8"}))
    core.create_namespaced_pod(space, objects.pod("p1", gpus=8))
    core.delete_namespaced_pod("p1", space)
    assert used(core, space) == {GPUS: "0"}
    core.create_namespaced_pod(space, objects.pod("p2", gpus=8))


def test_a_pod_that_is_over_counts_no_more(core, space):
    core.create_namespaced_resource_quota(space, quota({GPUS: "8"}))
    core.create_namespaced_pod(space, objects.pod("p1", gpus=8))
    core.patch_namespaced_pod_status("p1", space, {"status": {"phase": "Succeeded"}})
    assert used(core, space) == {GPUS: "0"}


def test_a_quota_that_is_lowered_evicts_nobody(core, space):
    core.create_namespaced_resource_quota(space, quota({GPUS: "8"}))
    core.create_namespaced_pod(space, objects.pod("p1", gpus=8))
    core.patch_namespaced_resource_quota("gpus", space, {"spec": {"hard": {GPUS: "2"}}})
    status = core.read_namespaced_resource_quota("gpus", space).status
    assert (status.hard, status.used) == ({GPUS: "2"}, {GPUS: "8"})
    assert core.read_namespaced_pod("p1", space)


def test_a_quota_on_memory_wants_it_said(core, space):
    core.create_namespaced_resource_quota(space, quota({"requests.memory": "1Gi"}))
    with pytest.raises(ApiException) as caught:
        core.create_namespaced_pod(space, objects.pod())
    assert "must specify requests.memory for: server" in caught.value.body


def test_a_scope_leaves_other_pods_alone(core, space):
    core.create_namespaced_resource_quota(space, quota({"pods": "0"}, scopes=["NotBestEffort"]))
    assert core.create_namespaced_pod(space, objects.pod())


def test_a_dry_run_is_refused_alike_and_counts_nothing(core, space):
    core.create_namespaced_resource_quota(space, quota({"pods": "1"}))
    core.create_namespaced_pod(space, objects.pod(), dry_run="All")
    assert used(core, space) == {"pods": "0"}
