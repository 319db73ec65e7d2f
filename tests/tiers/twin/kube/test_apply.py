"""Server-side apply through the official client: ownership, conflicts, force, giving up."""

import json

import pytest
from kubernetes.client import ApiException

from tests.tiers.twin.kube import objects

APPLY = "application/apply-patch+yaml"
KEY = "infra-console.dev/tier"


def apply(core, node: str, labels: dict[str, str], manager: str, **options):
    body = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node, "labels": labels},
    }
    return core.patch_node(node, body, field_manager=manager, _content_type=APPLY, **options)


def owners(node) -> dict[str, str]:
    return {
        entry.manager: entry.operation
        for entry in node.metadata.managed_fields
        if f"f:{KEY}" in str(entry.fields_v1)
    }


def test_apply_adds_fields_and_records_their_owner(core, node):
    applied = apply(core, node, {"team": "blue"}, "console")
    assert applied.metadata.labels["team"] == "blue"
    assert KEY in applied.metadata.labels
    entry = next(e for e in applied.metadata.managed_fields if e.manager == "console")
    assert entry.operation == "Apply"
    assert entry.fields_v1 == {"f:metadata": {"f:labels": {"f:team": {}}}}


def test_apply_of_another_managers_field_is_a_conflict_that_names_it(core, node):
    core.patch_node(node, {"metadata": {"labels": {KEY: "training"}}}, field_manager="argocd")
    with pytest.raises(ApiException) as caught:
        apply(core, node, {KEY: "inference"}, "console")
    assert caught.value.status == 409
    assert 'conflict with \\"argocd\\"' in caught.value.body
    assert f".metadata.labels.{KEY}" in caught.value.body
    assert core.read_node(node).metadata.labels[KEY] == "training"


def test_forced_apply_takes_the_field_over(core, node):
    core.patch_node(node, {"metadata": {"labels": {KEY: "training"}}}, field_manager="argocd")
    applied = apply(core, node, {KEY: "inference"}, "console", force=True)
    assert applied.metadata.labels[KEY] == "inference"
    assert owners(applied) == {"console": "Apply"}


def test_the_same_value_is_shared_without_conflict(core, node):
    core.patch_node(node, {"metadata": {"labels": {KEY: "training"}}}, field_manager="argocd")
    assert owners(apply(core, node, {KEY: "training"}, "console")) == {
        "argocd": "Update",
        "console": "Apply",
    }


def test_what_is_applied_no_more_is_removed(core, node):
    apply(core, node, {"team": "blue", "shift": "night"}, "console")
    applied = apply(core, node, {"team": "blue"}, "console")
    assert applied.metadata.labels["team"] == "blue"
    assert "shift" not in applied.metadata.labels


def test_an_update_takes_ownership_from_an_applier(core, node):
    apply(core, node, {"team": "blue"}, "console")
    core.patch_node(node, {"metadata": {"labels": {"team": "red"}}}, field_manager="person")
    with pytest.raises(ApiException) as caught:
        apply(core, node, {"team": "blue"}, "console")
    assert caught.value.status == 409


def test_applying_again_changes_nothing(core, node):
    first = apply(core, node, {"team": "blue"}, "console")
    again = apply(core, node, {"team": "blue"}, "console")
    assert again.metadata.resource_version == first.metadata.resource_version


def test_apply_without_a_manager_is_refused(core, node):
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}}
    with pytest.raises(ApiException) as caught:
        core.patch_node(node, body, _content_type=APPLY)
    assert caught.value.status == 422
    assert "fieldManager: Required value: is required for apply patch" in caught.value.body


def test_apply_creates_what_is_not_there(running, core, space):
    body = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "owner", "namespace": space},
        "spec": {"holderIdentity": "one", "leaseDurationSeconds": 30},
    }
    from kubernetes.client import CoordinationV1Api

    leases = CoordinationV1Api(running.api())
    made = leases.patch_namespaced_lease(
        "owner", space, body, field_manager="console", _content_type=APPLY
    )
    assert made.spec.holder_identity == "one"
    assert made.metadata.managed_fields[0].manager == "console"


def deployment(space: str, **spec) -> dict:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "chat", "namespace": space},
        "spec": spec,
    }


def apply_deployment(apps, space, manager, *, force=None, **spec):
    body = deployment(space, **spec)
    return apps.patch_namespaced_deployment(
        "chat", space, body, field_manager=manager, force=force, _content_type=APPLY
    )


def fields_of(obj, manager: str, subresource: str | None = None) -> dict:
    return next(
        entry.fields_v1
        for entry in obj.metadata.managed_fields
        if (entry.manager, entry.subresource) == (manager, subresource)
    )


def test_a_conflict_tells_manager_version_and_field(apps, space):
    apps.create_namespaced_deployment(space, objects.deployment(), field_manager="kubectl")
    with pytest.raises(ApiException) as caught:
        apply_deployment(apps, space, "console", replicas=5)
    status = json.loads(caught.value.body)
    assert (caught.value.status, status["reason"]) == (409, "Conflict")
    assert status["message"] == (
        'Apply failed with 1 conflict: conflict with "kubectl" using apps/v1: .spec.replicas'
    )
    assert status["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "kubectl" using apps/v1',
            "field": ".spec.replicas",
        }
    ]


def test_several_conflicts_are_listed_by_manager(apps, space):
    apps.create_namespaced_deployment(space, objects.deployment(), field_manager="kubectl")
    body = {"name": "server", "image": "server:2"}
    with pytest.raises(ApiException) as caught:
        apply_deployment(
            apps, space, "console", replicas=5, template={"spec": {"containers": [body]}}
        )
    assert json.loads(caught.value.body)["message"] == (
        'Apply failed with 2 conflicts: conflicts with "kubectl" using apps/v1:\n'
        "- .spec.replicas\n"
        '- .spec.template.spec.containers[name="server"].image'
    )


def test_another_appliers_field_is_a_conflict_without_a_version(core, node):
    apply(core, node, {"team": "blue"}, "argocd")
    with pytest.raises(ApiException) as caught:
        apply(core, node, {"team": "red"}, "console")
    assert json.loads(caught.value.body)["message"] == (
        'Apply failed with 1 conflict: conflict with "argocd": .metadata.labels.team'
    )


def test_a_shared_field_stays_when_one_owner_drops_it(core, node):
    apply(core, node, {"team": "blue"}, "argocd")
    apply(core, node, {"team": "blue"}, "console")
    applied = apply(core, node, {"shift": "night"}, "console")
    assert applied.metadata.labels["team"] == "blue"
    assert fields_of(applied, "argocd") == {"f:metadata": {"f:labels": {"f:team": {}}}}


def test_taints_are_one_atomic_field(core, node):
    def taints(manager: str, key: str, **options):
        body = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": node},
            "spec": {"taints": [{"key": key, "effect": "NoSchedule"}]},
        }
        return core.patch_node(node, body, field_manager=manager, _content_type=APPLY, **options)

    with pytest.raises(ApiException) as caught:
        taints("console", "mine")
    assert ".spec.taints" in caught.value.body
    applied = taints("console", "mine", force=True)
    assert [t.key for t in applied.spec.taints] == ["mine"]
    assert fields_of(applied, "console") == {"f:spec": {"f:taints": {}}}


def test_a_dropped_container_goes_and_others_stay(apps, space):
    apps.create_namespaced_deployment(space, objects.deployment(), field_manager="kubectl")

    def containers(*names: str):
        listed = [{"name": name, "image": "side:1"} for name in names]
        return apply_deployment(apps, space, "console", template={"spec": {"containers": listed}})

    assert len(containers("side", "other").spec.template.spec.containers) == 3
    left = containers("side").spec.template.spec.containers
    assert {c.name for c in left} == {"server", "side"}


def test_an_applied_element_is_owned_with_its_fields(apps, space):
    apps.create_namespaced_deployment(space, objects.deployment(), field_manager="kubectl")
    side = {"name": "side", "image": "side:1", "ports": [{"containerPort": 80}]}
    applied = apply_deployment(apps, space, "console", template={"spec": {"containers": [side]}})
    inner = fields_of(applied, "console")["f:spec"]["f:template"]["f:spec"]["f:containers"]
    assert inner['k:{"name":"side"}'] == {
        ".": {},
        "f:image": {},
        "f:name": {},
        "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
    }


def test_a_create_owns_maps_and_selectors_whole(apps, space):
    made = apps.create_namespaced_deployment(space, objects.deployment(), field_manager="kubectl")
    spec = fields_of(made, "kubectl")["f:spec"]
    assert spec["f:selector"] == {}
    assert spec["f:template"]["f:metadata"] == {"f:labels": {".": {}, "f:app": {}}}
    assert spec["f:template"]["f:spec"]["f:nodeSelector"] == {}
    assert "." not in spec


def test_apply_through_scale_owns_replicas_there(apps, space):
    apps.create_namespaced_deployment(space, objects.deployment(), field_manager="kubectl")
    body = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "chat"},
        "spec": {"replicas": 7},
    }

    def scale(**options):
        return apps.patch_namespaced_deployment_scale(
            "chat", space, body, field_manager="console", _content_type=APPLY, **options
        )

    with pytest.raises(ApiException) as caught:
        scale()
    assert (
        'conflict with "kubectl" using apps/v1: .spec.replicas'
        in json.loads(caught.value.body)["message"]
    )
    assert scale(force=True).spec.replicas == 7
    held = apps.read_namespaced_deployment("chat", space)
    assert fields_of(held, "console", "scale") == {"f:spec": {"f:replicas": {}}}
    with pytest.raises(ApiException) as caught:
        apply_deployment(apps, space, "argocd", replicas=3)
    assert (
        'conflict with "console" with subresource "scale": .spec.replicas'
        in json.loads(caught.value.body)["message"]
    )


def test_status_is_applied_by_its_subresource_alone(core, node):
    condition = {"type": "GpuHealthy", "status": "False", "reason": "Xid"}
    body = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node},
        "spec": {"unschedulable": True},
        "status": {"conditions": [condition]},
    }
    applied = core.patch_node_status(node, body, field_manager="health", _content_type=APPLY)
    assert {c.type for c in applied.status.conditions} == {"Ready", "GpuHealthy"}
    assert applied.spec.unschedulable is None
    assert fields_of(applied, "health", "status")["f:status"]["f:conditions"] == {
        'k:{"type":"GpuHealthy"}': {".": {}, "f:reason": {}, "f:status": {}, "f:type": {}}
    }


def test_owners_can_be_forgotten(core, node):
    body = {"metadata": {"managedFields": [{}]}}
    core.patch_node(node, body, _content_type="application/merge-patch+json")
    assert core.read_node(node).metadata.managed_fields is None
    with pytest.raises(ApiException) as caught:
        apply(core, node, {KEY: "training"}, "console")
    assert 'conflict with \\"before-first-apply\\" using v1' in caught.value.body


def test_a_manager_can_be_named_away(core, node):
    apply(core, node, {"team": "blue"}, "console")
    held = core.read_node(node)
    held.metadata.managed_fields = [
        e for e in held.metadata.managed_fields if e.manager != "console"
    ]
    core.replace_node(node, held)
    assert "console" not in {e.manager for e in core.read_node(node).metadata.managed_fields}


def test_the_manager_is_the_user_agents_first_word(running, node):
    api = running.api()
    api.user_agent = "argocd-controller/v3.1 (linux/amd64)"
    from kubernetes.client import CoreV1Api

    done = CoreV1Api(api).patch_node(node, {"metadata": {"labels": {"a": "b"}}})
    assert "argocd-controller" in {e.manager for e in done.metadata.managed_fields}


def test_a_dry_run_apply_shows_and_stores_nothing(core, node):
    applied = apply(core, node, {"team": "blue"}, "console", dry_run="All")
    assert applied.metadata.labels["team"] == "blue"
    assert "team" not in core.read_node(node).metadata.labels


def test_an_apply_with_a_stale_version_is_a_conflict(core, node):
    stale = core.read_node(node).metadata.resource_version
    core.patch_node(node, {"metadata": {"labels": {"x": "y"}}})
    body = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node, "resourceVersion": stale, "labels": {"team": "blue"}},
    }
    with pytest.raises(ApiException) as caught:
        core.patch_node(node, body, field_manager="console", _content_type=APPLY)
    assert caught.value.status == 409
    assert "the object has been modified" in caught.value.body


def test_force_is_for_apply_alone(core, node):
    with pytest.raises(ApiException) as caught:
        core.patch_node(node, {"metadata": {"labels": {"a": "b"}}}, force=True)
    assert caught.value.status == 422
    assert "may not be specified for non-apply patch" in caught.value.body
