"""Writes through the official client: preconditions, patches, dry run, scale, deletion."""

import pytest
from kubernetes import client
from kubernetes.client import ApiException

from tests.tiers.twin.kube import objects

TAINT = {"key": "infra-console.dev/tier", "value": "training", "effect": "NoSchedule"}


def refused(code: int):
    return pytest.raises(ApiException, check=lambda err: err.status == code)


def test_a_created_object_gets_identity(core, space):
    pod = core.create_namespaced_pod(space, objects.pod())
    assert pod.metadata.uid and pod.metadata.creation_timestamp
    assert int(pod.metadata.resource_version) > 0
    assert pod.status.phase == "Pending"
    assert pod.spec.containers[0].resources.requests == {"nvidia.com/gpu": "1"}


def test_a_taken_name_is_a_conflict(core, space):
    core.create_namespaced_pod(space, objects.pod())
    with refused(409) as caught:
        core.create_namespaced_pod(space, objects.pod())
    assert '"reason":"AlreadyExists"' in caught.value.body


def test_replacing_with_a_stale_version_is_a_conflict(core, node):
    stale = core.read_node(node)
    core.patch_node(node, {"metadata": {"annotations": {"a": "1"}}})
    stale.metadata.labels["b"] = "2"
    with refused(409) as caught:
        core.replace_node(node, stale)
    assert '"reason":"Conflict"' in caught.value.body
    assert "b" not in core.read_node(node).metadata.labels


def test_a_patch_with_a_stale_version_is_a_conflict(core, node):
    stale = core.read_node(node).metadata.resource_version
    core.patch_node(node, {"spec": {"unschedulable": True}})
    with refused(409):
        core.patch_node(node, {"metadata": {"resourceVersion": stale, "labels": {"x": "y"}}})


def test_json_patch_writes_taints_only_while_they_are_what_was_read(core, node):
    held = [t.to_dict() for t in core.read_node(node).spec.taints]
    held = [{k: v for k, v in t.items() if v is not None} for t in held]
    change = [
        {"op": "test", "path": "/spec/taints", "value": held},
        {"op": "replace", "path": "/spec/taints", "value": [TAINT]},
    ]
    assert core.patch_node(node, change).spec.taints[0].value == "training"
    with refused(422) as caught:
        core.patch_node(node, change)
    assert '"reason":"Invalid"' in caught.value.body


def test_json_patch_of_an_absent_path_is_refused_whole(core, node):
    change = [
        {"op": "add", "path": "/metadata/labels/kept", "value": "no"},
        {"op": "add", "path": "/metadata/nowhere/at/all", "value": "x"},
    ]
    with refused(422):
        core.patch_node(node, change)
    assert "kept" not in core.read_node(node).metadata.labels


def test_strategic_merge_keeps_other_containers_and_replaces_taints(core, apps, space, node):
    apps.create_namespaced_deployment(space, objects.deployment())
    inner = {"containers": [{"name": "server", "env": [{"name": "A", "value": "1"}]}]}
    apps.patch_namespaced_deployment("chat", space, {"spec": {"template": {"spec": inner}}})
    inner = {"containers": [{"name": "side", "image": "side:1"}]}
    changed = apps.patch_namespaced_deployment(
        "chat", space, {"spec": {"template": {"spec": inner}}}
    )
    by_name = {c.name: c for c in changed.spec.template.spec.containers}
    assert by_name["server"].image == "server:1" and by_name["server"].env[0].value == "1"
    assert by_name["side"].image == "side:1"
    assert len(core.patch_node(node, {"spec": {"taints": [TAINT]}}).spec.taints) == 1


def test_merge_patch_removes_with_null(core, node):
    core.patch_node(node, {"metadata": {"labels": {"gone": "soon"}}})
    patched = core.patch_node(
        node,
        {"metadata": {"labels": {"gone": None}}},
        _content_type="application/merge-patch+json",
    )
    assert "gone" not in patched.metadata.labels


def test_an_unknown_patch_format_is_unsupported(core, node):
    with refused(415):
        core.patch_node(node, {"spec": {}}, _content_type="application/json")


def test_a_write_that_changes_nothing_moves_no_version(core, node):
    before = core.read_node(node).metadata.resource_version
    core.patch_node(node, {"metadata": {"labels": {"infra-console.dev/tier": "inference"}}})
    assert core.read_node(node).metadata.resource_version == before


@pytest.mark.parametrize("verb", ["create", "patch", "replace", "delete", "scale", "evict"])
def test_dry_run_answers_and_stores_nothing(core, apps, running, space, verb):
    apps.create_namespaced_deployment(space, objects.deployment())
    core.create_namespaced_pod(space, objects.pod())
    revision = running.store.revision
    if verb == "create":
        made = core.create_namespaced_pod(space, objects.pod("p2"), dry_run="All")
        assert made.metadata.name == "p2"
    elif verb == "patch":
        body = {"spec": {"replicas": 7}}
        answer = apps.patch_namespaced_deployment("chat", space, body, dry_run="All")
        assert answer.spec.replicas == 7
    elif verb == "replace":
        held = apps.read_namespaced_deployment("chat", space)
        held.spec.replicas = 7
        assert apps.replace_namespaced_deployment("chat", space, held, dry_run="All")
    elif verb == "delete":
        core.delete_namespaced_pod("p1", space, dry_run="All")
    elif verb == "scale":
        body = {"spec": {"replicas": 7}}
        answer = apps.patch_namespaced_deployment_scale("chat", space, body, dry_run="All")
        assert answer.spec.replicas == 7
    else:
        core.create_namespaced_pod_eviction("p1", space, objects.eviction("p1", dryRun=["All"]))
    assert running.store.revision == revision


def test_scale_takes_effect_and_bumps_the_generation(apps, space):
    made = apps.create_namespaced_deployment(space, objects.deployment())
    scale = apps.read_namespaced_deployment_scale("chat", space)
    assert scale.spec.replicas == 2 and scale.status.selector == "app=chat"
    scale.spec.replicas = 5
    apps.replace_namespaced_deployment_scale("chat", space, scale)
    held = apps.read_namespaced_deployment("chat", space)
    assert held.spec.replicas == 5
    assert held.metadata.generation == made.metadata.generation + 1


def test_scale_with_a_stale_version_is_a_conflict(apps, space):
    apps.create_namespaced_deployment(space, objects.deployment())
    scale = apps.read_namespaced_deployment_scale("chat", space)
    apps.patch_namespaced_deployment("chat", space, {"metadata": {"labels": {"a": "b"}}})
    scale.spec.replicas = 5
    with refused(409):
        apps.replace_namespaced_deployment_scale("chat", space, scale)
    with refused(422):
        apps.patch_namespaced_deployment_scale("chat", space, {"spec": {"replicas": -1}})


def test_status_is_written_by_its_own_subresource_only(core, node):
    core.patch_node(node, {"status": {"allocatable": {"nvidia.com/gpu": "0"}}})
    assert core.read_node(node).status.allocatable["nvidia.com/gpu"] == "8"
    core.patch_node_status(node, {"status": {"allocatable": {"nvidia.com/gpu": "7"}}})
    assert core.read_node(node).status.allocatable["nvidia.com/gpu"] == "7"


def test_a_delete_of_another_uid_is_refused(core, space):
    core.create_namespaced_pod(space, objects.pod())
    options = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid="other"))
    with refused(409):
        core.delete_namespaced_pod("p1", space, body=options)
    core.delete_namespaced_pod("p1", space)
    with refused(404):
        core.read_namespaced_pod("p1", space)


def test_a_pod_on_a_node_leaves_with_grace(core, space, node):
    body = objects.pod()
    body["spec"]["nodeName"] = node
    core.create_namespaced_pod(space, body)
    leaving = core.delete_namespaced_pod("p1", space, grace_period_seconds=60)
    assert leaving.metadata.deletion_grace_period_seconds == 60
    assert core.read_namespaced_pod("p1", space).metadata.deletion_timestamp is not None


@pytest.mark.parametrize(
    ("field", "value"),
    [("labels", {"a b": "c"}), ("labels", {"a": "x" * 64}), ("annotations", {"": "x"})],
)
def test_malformed_metadata_is_invalid(core, node, field, value):
    with refused(422):
        core.patch_node(node, {"metadata": {field: value}})


def test_an_unknown_taint_effect_is_invalid(core, node):
    taint = {"key": "a", "effect": "Never"}
    with refused(422) as caught:
        core.patch_node(node, {"spec": {"taints": [taint]}})
    assert "metadata.taints[0].effect" in caught.value.body
