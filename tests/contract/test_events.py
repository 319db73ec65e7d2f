"""Events: notes on another object, found by what they are about.

https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

from tests.contract import objects
from tests.contract.kinds import EVENT
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
