"""Server-side apply through the official client: ownership, conflicts, force, giving up."""

import pytest
from kubernetes.client import ApiException

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
