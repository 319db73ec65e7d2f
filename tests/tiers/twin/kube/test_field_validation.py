"""Unknown fields: dropped with a warning, refused when strict, pruned from custom objects."""

import pytest
from kubernetes.client import ApiException

from tests.tiers.twin.kube import objects

GROUP = ("kueue.x-k8s.io", "v1beta2")


def misspelt() -> dict:
    body = objects.deployment()
    body["spec"]["replica"] = 3
    body["spec"]["template"]["spec"]["containers"][0]["imagePullpolicy"] = "Always"
    return body


def test_strict_validation_names_every_unknown_field(running, space):
    path = f"/apis/apps/v1/namespaces/{space}/deployments?fieldValidation=Strict"
    answer = running.raw("POST", path, misspelt())
    assert answer.status == 400
    assert answer.json()["message"] == (
        'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: '
        'unknown field "spec.template.spec.containers[0].imagePullpolicy", '
        'unknown field "spec.replica"'
    )


def test_without_a_word_unknown_fields_are_dropped_with_a_warning(running, space):
    path = f"/apis/apps/v1/namespaces/{space}/deployments"
    answer = running.raw("POST", path, misspelt())
    assert answer.status == 201
    assert answer.headers.getlist("Warning")[-1] == '299 - "unknown field \\"spec.replica\\""'
    assert "replica" not in answer.json()["spec"]
    assert not running.raw("POST", path + "?fieldValidation=Ignore", misspelt()).headers.get(
        "Warning"
    )


def test_a_strict_patch_with_an_unknown_field_is_invalid(core, node):
    with pytest.raises(ApiException) as caught:
        core.patch_node(node, {"spec": {"cordoned": True}}, field_validation="Strict")
    assert caught.value.status == 422
    assert 'strict decoding error: unknown field \\"spec.cordoned\\"' in caught.value.body


def test_an_apply_of_an_undeclared_field_fails(core, node):
    body = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node},
        "spec": {"cordoned": True},
    }
    with pytest.raises(ApiException) as caught:
        core.patch_node(
            node, body, field_manager="console", _content_type="application/apply-patch+yaml"
        )
    assert caught.value.status == 500
    assert ".spec.cordoned: field not declared in schema" in caught.value.body


def test_a_custom_objects_unknown_fields_are_pruned(custom, space):
    body = {
        "metadata": {"name": "main"},
        "spec": {"clusterQueue": "all", "queue": "none"},
        "extra": {},
    }
    made = custom.create_namespaced_custom_object(*GROUP, space, "localqueues", body)
    assert made["spec"] == {"clusterQueue": "all", "stopPolicy": "None"}
    assert "extra" not in made
    with pytest.raises(ApiException) as caught:
        custom.create_namespaced_custom_object(
            *GROUP, space, "localqueues", body, field_validation="Strict"
        )
    assert caught.value.status == 400


def test_amounts_sent_as_numbers_are_told_as_text(running, space):
    body = objects.pod()
    body["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": 2}}
    made = running.raw("POST", f"/api/v1/namespaces/{space}/pods", body).json()
    assert made["spec"]["containers"][0]["resources"]["requests"] == {"nvidia.com/gpu": "2"}


def test_nulls_are_not_stored(running, space):
    body = objects.pod()
    body["spec"]["nodeName"] = None
    made = running.raw("POST", f"/api/v1/namespaces/{space}/pods", body).json()
    assert "nodeName" not in made["spec"]
