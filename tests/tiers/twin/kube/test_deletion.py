"""Deletion: preconditions, finalizers, propagation, collections, namespaces; generated names."""

import json

import pytest
from kubernetes import client
from kubernetes.client import ApiException

from tests.tiers.twin.kube import objects

HOLD = "infra-console.dev/hold"


def refused(code: int, text: str = ""):
    return pytest.raises(ApiException, check=lambda e: e.status == code and text in e.body)


def held(body: dict) -> dict:
    body["metadata"]["finalizers"] = [HOLD]
    return body


def release(call, name: str, *place: str):
    return call(name, *place, {"metadata": {"finalizers": None}})


def test_a_finalizer_holds_an_object_until_it_is_taken_off(apps, space):
    apps.create_namespaced_deployment(space, held(objects.deployment()))
    apps.delete_namespaced_deployment("chat", space)
    waiting = apps.read_namespaced_deployment("chat", space)
    assert waiting.metadata.deletion_timestamp is not None
    with refused(422, "no new finalizers can be added if the object is being deleted"):
        more = {"metadata": {"finalizers": [HOLD, "x.dev/y"]}}
        apps.patch_namespaced_deployment("chat", space, more)
    release(apps.patch_namespaced_deployment, "chat", space)
    with refused(404):
        apps.read_namespaced_deployment("chat", space)


def test_a_pod_with_a_finalizer_outlives_its_grace(core, space):
    core.create_namespaced_pod(space, held(objects.pod()))
    core.delete_namespaced_pod("p1", space, grace_period_seconds=0)
    assert core.read_namespaced_pod("p1", space).metadata.deletion_grace_period_seconds == 0
    release(core.patch_namespaced_pod, "p1", space)
    with refused(404):
        core.read_namespaced_pod("p1", space)


@pytest.mark.parametrize(
    ("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")]
)
def test_dependents_are_left_to_the_garbage_collector(apps, space, policy, finalizer):
    apps.create_namespaced_deployment(space, objects.deployment())
    apps.delete_namespaced_deployment("chat", space, propagation_policy=policy)
    waiting = apps.read_namespaced_deployment("chat", space)
    assert waiting.metadata.finalizers == [finalizer]
    assert waiting.metadata.deletion_timestamp is not None


def test_in_the_background_the_owner_goes_first(apps, space):
    apps.create_namespaced_deployment(space, objects.deployment())
    done = apps.delete_namespaced_deployment("chat", space, propagation_policy="Background")
    assert (done["status"], done["details"]["kind"]) == ("Success", "deployments")
    with refused(404):
        apps.read_namespaced_deployment("chat", space)


def test_a_delete_of_an_older_state_is_a_conflict(core, node):
    stale = core.read_node(node).metadata.resource_version
    core.patch_node(node, {"metadata": {"labels": {"a": "b"}}})
    wanted = client.V1Preconditions(resource_version=stale)
    with refused(409, "does not match the ResourceVersion in record"):
        core.delete_node(node, body=client.V1DeleteOptions(preconditions=wanted))


def test_a_collection_goes_by_selector(core, space):
    for name, app in (("p1", "a"), ("p2", "a"), ("p3", "b")):
        core.create_namespaced_pod(space, objects.pod(name, app=app))
    core.delete_collection_namespaced_pod(space, label_selector="app=a", dry_run="All")
    assert len(core.list_namespaced_pod(space).items) == 3
    core.delete_collection_namespaced_pod(space, label_selector="app=a")
    assert [p.metadata.name for p in core.list_namespaced_pod(space).items] == ["p3"]


def test_a_namespace_goes_with_what_is_in_it(core, apps, space):
    core.create_namespaced_pod(space, objects.pod())
    apps.create_namespaced_deployment(space, objects.deployment())
    core.delete_namespace(space)
    with refused(404):
        core.read_namespace(space)
    with refused(404):
        core.read_namespaced_pod("p1", space)


def test_a_namespace_waits_for_finalizers_and_takes_nothing_new(core, apps, space):
    apps.create_namespaced_deployment(space, held(objects.deployment()))
    core.delete_namespace(space)
    assert core.read_namespace(space).status.phase == "Terminating"
    with refused(403, "because it is being terminated") as caught:
        core.create_namespaced_pod(space, objects.pod())
    cause = json.loads(caught.value.body)["details"]["causes"][0]
    assert cause["reason"] == "NamespaceTerminating"
    release(apps.patch_namespaced_deployment, "chat", space)
    with refused(404):
        core.read_namespace(space)


def test_names_are_generated(core, space):
    body = objects.pod()
    body["metadata"] = {"generateName": "job-"}
    names = {core.create_namespaced_pod(space, body).metadata.name for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("job-") and len(name) == 9 for name in names)


def test_a_generated_name_stays_on_record(core, space):
    body = objects.pod()
    body["metadata"] = {"generateName": "job-"}
    made = core.create_namespaced_pod(space, body)
    assert made.metadata.generate_name == "job-"
