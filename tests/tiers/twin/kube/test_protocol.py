"""What every answer carries, and how requests that cannot be read are refused."""

import json

import pytest
import urllib3
from kubernetes import dynamic
from kubernetes.client import ApiException

from tests.tiers.twin.kube import objects


def test_every_answer_carries_the_servers_headers(running):
    answer = running.raw("GET", "/api/v1/nodes")
    assert len(answer.headers["Audit-Id"]) == 36
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["X-Kubernetes-Pf-Flowschema-Uid"]
    assert answer.headers["Cache-Control"] == "no-cache, private"


def test_an_answer_in_a_form_we_do_not_write_is_not_acceptable(running):
    answer = running.raw("GET", "/api/v1/nodes", Accept="application/vnd.kubernetes.protobuf")
    assert (answer.status, answer.json()["reason"]) == (406, "NotAcceptable")


def test_a_body_in_a_form_we_do_not_read_is_unsupported(running, space):
    path = f"/api/v1/namespaces/{space}/pods"
    answer = running.raw("POST", path, objects.pod(), Content_Type="text/plain")
    assert (answer.status, answer.json()["reason"]) == (415, "UnsupportedMediaType")


def test_a_path_of_nobody_is_plain_text(running):
    answer = running.raw("GET", "/apis/nobody.example/v1/things")
    assert (answer.status, answer.data) == (404, b"404 page not found\n")


def test_a_bad_body_names_kind_and_field(running, space):
    wrong = objects.deployment()
    wrong["spec"]["replicas"] = "three"
    answer = running.raw("POST", f"/apis/apps/v1/namespaces/{space}/deployments", wrong)
    message = answer.json()["message"]
    assert answer.status == 400
    assert message.startswith('Deployment in version "v1" cannot be handled as a Deployment: ')
    assert "cannot unmarshal string into Go struct field Deployment.spec.replicas" in message


def test_another_api_version_in_the_body_is_a_bad_request(core, node):
    body = {"apiVersion": "v2", "kind": "Node", "metadata": {"name": node}}
    with pytest.raises(ApiException) as caught:
        core.replace_node(node, body)
    assert caught.value.status == 400
    assert (
        "does not match the expected API version (v1)" in json.loads(caught.value.body)["message"]
    )


def test_an_unknown_dry_run_is_refused(running, node):
    answer = running.raw("DELETE", f"/api/v1/nodes/{node}?dryRun=Some")
    assert answer.status == 422
    assert 'dryRun: Unsupported value: ["Some"]' in answer.json()["message"]
    assert running.raw("GET", f"/api/v1/nodes/{node}").status == 200


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/version"])
def test_health_and_version_need_no_rights(running, path):
    with urllib3.PoolManager(ca_certs=str(running.folder / "ca.crt")) as pool:
        assert pool.request("GET", running.servers.urls()["eastus"] + path).status == 200


def test_the_dynamic_client_finds_every_kind(running, space):
    found = dynamic.DynamicClient(running.api())
    queues = found.resources.get(api_version="kueue.x-k8s.io/v1beta2", kind="ClusterQueue")
    assert not queues.namespaced
    queues.create(body={"metadata": {"name": f"cq-{space}"}, "spec": {}})
    assert queues.get(name=f"cq-{space}").spec.queueingStrategy == "BestEffortFIFO"
    stateful = found.resources.get(api_version="apps/v1", kind="StatefulSet")
    assert "scale" in stateful.subresources


def test_the_dynamic_client_applies(running, space):
    leases = dynamic.DynamicClient(running.api()).resources.get(
        api_version="coordination.k8s.io/v1", kind="Lease"
    )
    body = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "owner", "namespace": space},
        "spec": {"holderIdentity": "one"},
    }
    made = leases.server_side_apply(body=body, namespace=space, field_manager="console")
    assert made.metadata.managedFields[0].manager == "console"
