"""The request log: who asked for what, when, and what came of it, as kube-apiserver audits it."""

import json
from datetime import datetime

import pytest
from kubernetes.client import ApiException

from tests.tiers.twin.kube import objects


def events(running) -> list[dict]:
    lines = (running.folder / "requests.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_write_is_logged_with_who_what_and_the_body(running, core, node):
    body = {"spec": {"unschedulable": True}}
    core.patch_node(node, body, dry_run="All", field_manager="me")
    event = events(running)[-1]
    assert (event["kind"], event["apiVersion"]) == ("Event", "audit.k8s.io/v1")
    assert (event["level"], event["stage"], event["verb"]) == (
        "Request", "ResponseComplete", "patch",
    )  # fmt: skip
    assert event["requestURI"] == f"/api/v1/nodes/{node}?dryRun=All&fieldManager=me"
    assert event["user"] == {"username": "executor", "groups": ["system:authenticated"]}
    assert event["objectRef"] == {"resource": "nodes", "name": node, "apiVersion": "v1"}
    assert event["requestObject"] == body
    assert event["responseStatus"] == {"metadata": {}, "code": 200}
    assert event["sourceIPs"] == ["127.0.0.1"]
    assert event["annotations"]["authorization.k8s.io/decision"] == "allow"
    took = [
        datetime.fromisoformat(event[key]) for key in ("requestReceivedTimestamp", "stageTimestamp")
    ]
    assert took[0] <= took[1]
    assert len(event["stageTimestamp"]) == len("2026-11-24T00:00:00.000000Z")
    entry = running.log.recent[-1]
    assert (entry.cluster, entry.dry_run, entry.field_manager) == ("eastus", True, "me")


def test_a_read_is_logged_without_a_body(running, core, node):
    core.read_node(node)
    event = events(running)[-1]
    assert (event["level"], event["verb"]) == ("Metadata", "get")
    assert "requestObject" not in event


def test_the_audit_id_of_the_answer_finds_the_entry(running):
    answer = running.raw("GET", "/api/v1/nodes/nobody")
    event = events(running)[-1]
    assert event["auditID"] == answer.headers["Audit-Id"]
    assert event["responseStatus"]["reason"] == "NotFound"


def test_a_generated_name_and_an_evictions_subresource_are_in_it(running, core, space):
    body = objects.pod()
    body["metadata"] = {"generateName": "job-"}
    made = core.create_namespaced_pod(space, body)
    assert events(running)[-1]["objectRef"]["name"] == made.metadata.name
    name = made.metadata.name
    core.create_namespaced_pod_eviction(name, space, objects.eviction(name))
    reference = events(running)[-1]["objectRef"]
    assert (reference["resource"], reference["subresource"]) == ("pods", "eviction")


def test_a_refusal_is_logged_with_its_decision(running, node):
    from kubernetes.client import CoreV1Api

    with pytest.raises(ApiException):
        CoreV1Api(running.api("viewer")).delete_node(node)
    event = events(running)[-1]
    assert event["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert event["responseStatus"]["code"] == 403


def test_a_stranger_is_logged_as_anonymous(running):
    running.raw("GET", "/api/v1/nodes", account="nobody")
    event = events(running)[-1]
    assert event["user"]["username"] == "system:anonymous"
    assert event["responseStatus"]["code"] == 401
