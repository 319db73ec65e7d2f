"""Events: notes on another object, found by what they are about.

Events are served twice: as core `v1`, and under newer names as `events.k8s.io/v1`.
https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

from datetime import UTC, datetime

import pytest

from tests.contract import objects
from tests.contract.kinds import EVENT, EVENT_V1
from tests.contract.kube import refused


def note(kube, space, name, **about):
    return kube.create(EVENT, space, objects.event(name, space, **about))


def test_an_event_is_kept_as_written(kube, space):
    made = note(kube, space, "chat.1", about="chat-0", reason="Moved")
    assert made["involvedObject"]["name"] == "chat-0"
    assert (made["reason"], made["type"]) == ("Moved", "Normal")
    assert kube.get(EVENT, space, "chat.1")["source"] == {"component": "infra-console"}


def test_events_are_found_by_what_they_are_about(kube, space):
    note(kube, space, "chat.1", about="chat-0", reason="Moved")
    note(kube, space, "chat.2", about="chat-1", reason="Moved")
    note(kube, space, "chat.3", about="chat-0", reason="Drained")
    found = kube.items(EVENT, space, fieldSelector="involvedObject.name=chat-0")
    assert {e["metadata"]["name"] for e in found} == {"chat.1", "chat.3"}
    both = "involvedObject.name=chat-0,reason=Drained"
    assert [e["metadata"]["name"] for e in kube.items(EVENT, space, fieldSelector=both)] == [
        "chat.3"
    ]


def test_events_are_found_by_kind_and_type(kube, space):
    note(kube, space, "chat.1", about="chat-0", reason="Moved")
    selector = "involvedObject.kind=Pod,type=Normal"
    assert len(kube.items(EVENT, space, fieldSelector=selector)) == 1
    assert kube.items(EVENT, space, fieldSelector="type=Warning") == []


def test_an_event_lies_in_the_namespace_of_what_it_is_about(kube, space):
    body = objects.event("chat.1", space, about="chat-0", reason="Moved")
    body["involvedObject"]["namespace"] = "default"
    with refused(422) as caught:
        kube.create(EVENT, space, body)
    assert caught.value.causes[0]["field"] == "involvedObject.namespace"


def report(name: str, namespace: str, **more) -> dict:
    """An event as the newer API wants it."""
    return {
        "metadata": objects.meta(name, namespace=namespace),
        "regarding": {"apiVersion": "v1", "kind": "Pod", "name": "chat-0", "namespace": namespace},
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": "infra-console.dev/executor",
        "reportingInstance": "console-a",
        "action": "Move",
        "reason": "Moved",
        "note": "moved by a plan",
        "type": "Normal",
        **more,
    }


def test_a_core_event_is_seen_under_newer_names(kube, space):
    made = note(kube, space, "chat.1", about="chat-0", reason="Moved")
    seen = kube.get(EVENT_V1, space, "chat.1")
    assert (seen["apiVersion"], seen["kind"]) == ("events.k8s.io/v1", "Event")
    assert seen["metadata"]["uid"] == made["metadata"]["uid"]
    assert (seen["regarding"]["name"], seen["note"]) == ("chat-0", "moved by a plan")
    assert seen["deprecatedSource"] == {"component": "infra-console"}
    assert "involvedObject" not in seen
    found = kube.items(EVENT_V1, space, fieldSelector="regarding.name=chat-0")
    assert [item["metadata"]["name"] for item in found] == ["chat.1"]


def test_a_newer_event_is_seen_under_core_names(kube, space):
    kube.create(EVENT_V1, space, report("chat.1", space))
    seen = kube.get(EVENT, space, "chat.1")
    assert (seen["apiVersion"], seen["involvedObject"]["name"]) == ("v1", "chat-0")
    assert (seen["message"], seen["reportingComponent"]) == (
        "moved by a plan",
        "infra-console.dev/executor",
    )


def test_newer_events_are_watched_under_newer_names(kube, space):
    start = kube.listed(EVENT_V1, space)["metadata"]["resourceVersion"]
    note(kube, space, "chat.1", about="chat-0", reason="Moved")
    events = kube.watch(EVENT_V1, space, resourceVersion=start)
    first = next(events)
    events.close()
    assert (first["type"], first["object"]["apiVersion"]) == ("ADDED", "events.k8s.io/v1")
    assert first["object"]["regarding"]["name"] == "chat-0"


@pytest.mark.parametrize(
    ("field", "value"),
    [("eventTime", None), ("reportingController", ""), ("action", ""), ("type", "Odd")],
)
def test_a_newer_event_says_who_did_what_and_when(kube, space, field, value):
    with refused(422) as caught:
        kube.create(EVENT_V1, space, report("chat.1", space, **{field: value}))
    assert field in {cause["field"] for cause in caught.value.causes}


def test_of_a_newer_event_only_the_series_changes(kube, space):
    kube.create(EVENT_V1, space, report("chat.1", space))
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    series = {"series": {"count": 2, "lastObservedTime": at}}
    assert kube.patch(EVENT_V1, space, "chat.1", series)["series"]["count"] == 2
    with refused(422):
        kube.patch(EVENT_V1, space, "chat.1", {"note": "another"})
