"""Who is let in, what is refused and how, what the server says of itself, and the log of it."""

import json

import pytest
import urllib3
from kubernetes import client
from kubernetes.client import ApiException

from tests.tiers.twin.kube import objects


def body(error: ApiException) -> dict:
    status = json.loads(error.body)
    assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", error.status)
    return status


@pytest.mark.parametrize("token", ["", "wrong", "viewer-toke"])
def test_no_or_a_wrong_token_is_unauthorized(running, token):
    api = running.api()
    api.configuration.refresh_api_key_hook = None
    api.configuration.api_key = {"BearerToken": token} if token else {}
    with pytest.raises(ApiException) as caught:
        client.CoreV1Api(api).list_node()
    assert caught.value.status == 401
    assert body(caught.value)["reason"] == "Unauthorized"


def test_the_viewer_reads_and_cannot_write(running, core, node):
    viewer = client.CoreV1Api(running.api("viewer"))
    assert node in {n.metadata.name for n in viewer.list_node().items}
    with pytest.raises(ApiException) as caught:
        viewer.patch_node(node, {"spec": {"unschedulable": True}}, dry_run="All")
    assert caught.value.status == 403
    message = body(caught.value)["message"]
    assert message.startswith(f'nodes "{node}" is forbidden: User "viewer" cannot patch')


@pytest.mark.parametrize(("account", "allowed"), [("viewer", False), ("executor", True)])
def test_an_access_review_says_what_the_account_may(running, account, allowed):
    review = client.V1SelfSubjectAccessReview(
        spec=client.V1SelfSubjectAccessReviewSpec(
            resource_attributes=client.V1ResourceAttributes(verb="patch", resource="nodes")
        )
    )
    api = client.AuthorizationV1Api(running.api(account))
    assert api.create_self_subject_access_review(review).status.allowed is allowed


def test_an_absent_object_is_named(core):
    with pytest.raises(ApiException) as caught:
        core.read_node("nobody")
    status = body(caught.value)
    assert (status["code"], status["reason"]) == (404, "NotFound")
    assert status["details"] == {"name": "nobody", "kind": "nodes"}


def test_a_namespace_must_exist(core):
    with pytest.raises(ApiException) as caught:
        core.create_namespaced_pod("nowhere", objects.pod())
    assert caught.value.status == 404
    assert body(caught.value)["details"]["kind"] == "namespaces"


def test_a_kind_that_is_not_served_is_not_found(running, core, space):
    with pytest.raises(ApiException) as caught:
        client.AppsV1Api(running.api()).list_daemon_set_for_all_namespaces()
    assert caught.value.status == 404
    with pytest.raises(ApiException) as caught:
        core.connect_get_namespaced_pod_exec("p1", space)
    assert caught.value.status == 404
    body(caught.value)


def test_a_call_that_the_resource_lacks_is_not_allowed(running):
    answer = running.raw("DELETE", "/api/v1/namespaces")
    assert answer.status == 405
    assert answer.json()["reason"] == "MethodNotAllowed"


def test_discovery_lists_what_is_served(running, core):
    assert client.VersionApi(running.api()).get_code().major == "1"
    assert "v1" in client.CoreApi(running.api()).get_api_versions().versions
    groups = {g.name for g in client.ApisApi(running.api()).get_api_versions().groups}
    assert groups >= {"apps", "batch", "policy", "coordination.k8s.io", "authorization.k8s.io"}
    names = {r.name for r in core.get_api_resources().resources}
    assert names >= {"nodes", "pods/eviction", "namespaces"}


def test_health_needs_no_token(running, core):
    url = running.servers.urls()["eastus"] + "/readyz"
    ca = str(running.folder / "ca.crt")
    with urllib3.PoolManager(ca_certs=ca) as pool:
        assert pool.request("GET", url).status == 200


def test_secrets_are_readable_by_their_owner_alone(running):
    for name in ("viewer", "executor", "server.key"):
        assert (running.folder / name).stat().st_mode & 0o777 == 0o600


def test_a_request_as_another_has_the_rights_of_the_other_and_is_logged_so(running, node):
    path = f"/api/v1/nodes/{node}"
    as_viewer = running.raw("DELETE", path, Impersonate_User="viewer")
    assert (as_viewer.status, 'User "viewer" cannot' in as_viewer.json()["message"]) == (403, True)
    as_nobody = running.raw("GET", path, Impersonate_User="nobody", Impersonate_Group="night")
    assert 'User "nobody" cannot get' in as_nobody.json()["message"]
    event = running.log.recent[-1].event()
    assert event["user"]["username"] == "executor"
    assert event["impersonatedUser"] == {"username": "nobody"}


def test_who_may_not_impersonate_is_refused_as_itself(running, node):
    answer = running.raw("GET", f"/api/v1/nodes/{node}", account="viewer", Impersonate_User="a")
    assert answer.status == 403
    assert answer.json()["message"] == (
        'users "a" is forbidden: User "viewer" cannot impersonate resource "users" in API group '
        '"" at the cluster scope'
    )


def test_a_failure_inside_is_told_as_a_status(running, node, monkeypatch, caplog):
    monkeypatch.setattr(running.store, "get", lambda *_: {}["gone"])
    answer = running.raw("GET", f"/api/v1/nodes/{node}")
    assert (answer.status, answer.json()["reason"]) == (500, "InternalError")
    assert "twin API of eastus" in caplog.text
