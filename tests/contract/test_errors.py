"""Refusals: each is a `Status` object whose code, reason and details clients act on.

https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md
("Response Status Kind", "HTTP Status codes").
"""

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.contract import objects
from tests.contract.kinds import DEPLOYMENT, LEASE, POD
from tests.contract.kube import JSON, Refused, refused


def test_a_missing_object_is_a_404_that_names_it(kube, space):
    with refused(404) as caught:
        kube.get(LEASE, space, "gone")
    assert caught.value.body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'leases.coordination.k8s.io "gone" not found',
        "reason": "NotFound",
        "details": {"name": "gone", "group": "coordination.k8s.io", "kind": "leases"},
        "code": 404,
    }


def test_details_of_the_core_group_name_no_group(kube, space):
    with refused(404) as caught:
        kube.get(POD, space, "gone")
    assert caught.value.details == {"name": "gone", "kind": "pods"}


@pytest.mark.parametrize("how", ["merge", "strategic", "json"])
def test_a_patch_of_a_missing_object_is_a_404(kube, space, how):
    body = [{"op": "test", "path": "/kind", "value": "Pod"}] if how == "json" else {}
    with refused(404):
        kube.patch(POD, space, "gone", body, how)


def test_deleting_a_missing_object_is_a_404(kube, space):
    with refused(404):
        kube.delete(LEASE, space, "gone")


def test_nothing_can_be_created_in_a_missing_namespace(kube, unique):
    with refused(404) as caught:
        kube.create(LEASE, unique("nowhere"), objects.lease("held"))
    assert caught.value.details["kind"] == "namespaces"


@pytest.mark.parametrize("path", ["/apis/apps/v1/widgets", "/apis/nothing.invalid/v1/things"])
def test_what_is_not_served_is_a_404(kube, path):
    with refused(404):
        kube.send("GET", path)


def test_a_taken_name_is_a_409_already_exists(kube, space, lease):
    with refused(409) as caught:
        kube.create(LEASE, space, objects.lease("held"))
    assert caught.value.reason == "AlreadyExists"
    assert caught.value.message == 'leases.coordination.k8s.io "held" already exists'
    assert caught.value.details == {
        "name": "held",
        "group": "coordination.k8s.io",
        "kind": "leases",
    }


def test_an_invalid_field_is_a_422_with_its_cause(kube, space, deployed):
    with refused(422) as caught:
        kube.patch(DEPLOYMENT, space, "chat", {"spec": {"replicas": -1}})
    assert caught.value.reason == "Invalid"
    named = {"name": "chat", "group": "apps", "kind": "Deployment"}
    assert caught.value.details.items() >= named.items()
    (cause,) = caught.value.causes
    assert (cause["field"], cause["reason"]) == ("spec.replicas", "FieldValueInvalid")
    assert "must be greater than or equal to 0" in cause["message"]


def test_every_wrong_field_is_a_cause_of_its_own(kube, space):
    body = objects.deployment("chat", space, replicas=-1)
    body["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    with refused(422) as caught:
        kube.create(DEPLOYMENT, space, body)
    fields = {cause["field"] for cause in caught.value.causes}
    assert {"spec.replicas", "spec.template.metadata.labels"} <= fields


def test_an_owner_is_named_whole(kube, space):
    body = objects.lease("held")
    body["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "Pod", "name": "one"}]
    with refused(422) as caught:
        kube.create(LEASE, space, body)
    assert "uid must not be empty" in caught.value.message


def test_annotations_have_a_largest_size(kube, space):
    body = objects.lease("held")
    body["metadata"]["annotations"] = {"note": "x" * (256 * 1024 + 1)}
    with refused(422) as caught:
        kube.create(LEASE, space, body)
    assert {cause["reason"] for cause in caught.value.causes} == {"FieldValueTooLong"}


def test_a_body_has_a_largest_size(kube, space):
    body = objects.lease("held")
    body["metadata"]["annotations"] = {"note": "x" * (3 * 1024 * 1024)}
    with refused(413) as caught:
        kube.create(LEASE, space, body)
    assert caught.value.reason == "RequestEntityTooLarge"


def test_a_label_value_of_wrong_form_is_refused(kube, space, lease):
    with refused(422) as caught:
        kube.patch(LEASE, space, "held", {"metadata": {"labels": {"team": "no spaces"}}})
    assert caught.value.causes[0]["field"] == "metadata.labels"


def test_the_selector_of_a_deployment_is_immutable(kube, space, deployed):
    labels = {"app": "chat", "more": "x"}
    template = {"metadata": {"labels": labels}}
    body = {"spec": {"selector": {"matchLabels": labels}, "template": template}}
    with refused(422) as caught:
        kube.patch(DEPLOYMENT, space, "chat", body)
    assert "spec.selector" in {cause["field"] for cause in caught.value.causes}


def test_a_body_of_another_name_is_a_400(kube, space, lease):
    lease["metadata"]["name"] = "other"
    with refused(400) as caught:
        kube.replace(LEASE, space, "held", lease)
    assert caught.value.reason == "BadRequest"
    assert "does not match the name on the URL" in caught.value.message


def test_a_replace_without_a_name_is_a_400(kube, space, lease):
    del lease["metadata"]["name"]
    with refused(400) as caught:
        kube.replace(LEASE, space, "held", lease)
    assert "name must be provided" in caught.value.message


def test_a_delete_says_in_one_way_what_becomes_of_dependents(kube, space, lease):
    with refused(422):
        kube.delete(LEASE, space, "held", {"propagationPolicy": "Orphan", "orphanDependents": True})
    assert kube.find(LEASE, space, "held")


def test_a_body_of_another_namespace_is_a_400(kube, space):
    body = objects.lease("held")
    body["metadata"]["namespace"] = "default"
    with refused(400) as caught:
        kube.create(LEASE, space, body)
    assert "namespace" in caught.value.message


def test_a_body_of_another_kind_is_a_400(kube, space, deployed):
    body = {"apiVersion": "apps/v1", "kind": "Deployment", **objects.deployment("x", space)}
    with refused(400):
        kube.send("POST", LEASE.path(space), body)


def test_a_body_that_is_no_object_is_a_400(kube, space):
    with refused(400):
        kube.send("POST", LEASE.path(space), "not an object")


@pytest.mark.parametrize(("method", "name"), [("PUT", ""), ("PATCH", ""), ("POST", "held")])
def test_a_method_that_a_path_has_not_is_a_405(kube, space, lease, method, name):
    content_type = "application/merge-patch+json" if method == "PATCH" else JSON
    with refused(405):
        kube.send(method, LEASE.path(space, name), lease, content_type)


def test_an_unknown_kind_of_patch_is_a_415(kube, space, lease):
    with refused(415) as caught:
        kube.send("PATCH", LEASE.path(space, "held"), {}, "application/strange+json")
    assert caught.value.reason == "UnsupportedMediaType"


def test_the_official_client_shows_the_same_status(core, space):
    with pytest.raises(ApiException) as caught:
        core.read_namespaced_pod("gone", space)
    assert (caught.value.status, '"reason":"NotFound"' in caught.value.body) == (404, True)


def test_a_wrong_token_is_a_401(api):
    known = api.configuration
    stranger = client.Configuration()
    stranger.host, stranger.ssl_ca_cert = known.host, known.ssl_ca_cert
    stranger.verify_ssl = known.verify_ssl
    stranger.tls_server_name = known.tls_server_name
    stranger.api_key = {"BearerToken": "Bearer of-nobody"}
    with client.ApiClient(stranger) as unknown, pytest.raises(ApiException) as caught:
        client.CoreV1Api(unknown).list_node()
    assert caught.value.status == 401
    assert '"reason":"Unauthorized"' in caught.value.body


@pytest.mark.needs("rbac")
def test_what_an_account_may_not_do_is_a_403_that_says_so(cluster, kube, space, lease):
    with pytest.raises(Refused) as caught:
        cluster.limited().delete(LEASE, space, "held")
    answer = caught.value
    assert (answer.code, answer.reason) == (403, "Forbidden")
    assert (
        'cannot delete resource "leases" in API group "coordination.k8s.io" '
        f'in the namespace "{space}"'
    ) in answer.message
    assert answer.details == {"name": "held", "group": "coordination.k8s.io", "kind": "leases"}
    assert kube.find(LEASE, space, "held")
