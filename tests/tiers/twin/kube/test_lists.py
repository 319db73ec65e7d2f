"""Which moment a list or watch shows, and what cannot be asked together."""

import json

import pytest
from kubernetes import client, watch
from kubernetes.client import ApiException

from tests.tiers.twin.kube import objects


def names(found) -> list[str]:
    return [item.metadata.name for item in found.items]


@pytest.fixture
def two(core, space) -> str:
    """A moment at which the namespace held one pod; now it holds two."""
    core.create_namespaced_pod(space, objects.pod("p1"))
    at = core.list_namespaced_pod(space).metadata.resource_version
    core.create_namespaced_pod(space, objects.pod("p2", app="b"))
    return at


def test_an_exact_version_is_listed_as_it_was(core, space, two):
    options = {"resource_version": two, "resource_version_match": "Exact"}
    found = core.list_namespaced_pod(space, **options)
    assert (names(found), found.metadata.resource_version) == (["p1"], two)


@pytest.mark.parametrize("match", [None, "NotOlderThan"])
def test_any_newer_version_will_do_otherwise(core, space, two, match):
    found = core.list_namespaced_pod(space, resource_version=two, resource_version_match=match)
    assert names(found) == ["p1", "p2"]
    assert names(core.list_namespaced_pod(space, resource_version="0")) == ["p1", "p2"]


def test_a_version_to_come_is_a_timeout(core, space):
    with pytest.raises(ApiException) as caught:
        core.list_namespaced_pod(space, resource_version="999999999")
    assert caught.value.status == 504
    assert "Too large resource version" in caught.value.body


@pytest.mark.parametrize(
    "options",
    [
        {"resource_version_match": "Exact"},
        {"resource_version_match": "Exact", "resource_version": "0"},
        {"resource_version_match": "Newest", "resource_version": "5"},
        {"send_initial_events": True},
    ],
)
def test_options_that_contradict_are_invalid(core, space, options):
    with pytest.raises(ApiException) as caught:
        core.list_namespaced_pod(space, **options)
    assert caught.value.status == 422
    assert "ListOptions.meta.k8s.io" in json.loads(caught.value.body)["message"]


def test_a_streamed_list_marks_where_it_ends(core, space, two):
    stream = core.list_namespaced_pod(
        space, watch=True, send_initial_events=True, resource_version_match="NotOlderThan",
        allow_watch_bookmarks=True, timeout_seconds=1, _preload_content=False,
    )  # fmt: skip
    events = [json.loads(line) for line in b"".join(stream.stream()).splitlines()]
    assert [e["type"] for e in events[:3]] == ["ADDED", "ADDED", "BOOKMARK"]
    marked = events[2]["object"]["metadata"]["annotations"]
    assert marked == {"k8s.io/initial-events-end": "true"}


def test_one_object_is_watched_by_its_name(core, space, two):
    stream = watch.Watch().stream(
        core.list_namespaced_pod, space, field_selector="metadata.name=p2", timeout_seconds=1
    )
    assert [e["object"].metadata.name for e in stream] == ["p2"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app in (chat, b)", ["p1", "p2"]),
        ("app notin (chat)", ["p2"]),
        ("app,app!=b", ["p1"]),
        ("!app", []),
        ("app==b", ["p2"]),
        ("missing!=x", ["p1", "p2"]),
    ],
)
def test_label_selectors_of_every_form(core, space, two, selector, expected):
    assert names(core.list_namespaced_pod(space, label_selector=selector)) == expected


def test_a_label_is_compared_with_a_number(core, space):
    for count in (4, 8):
        body = objects.pod(f"p{count}")
        body["metadata"]["labels"]["gpus"] = str(count)
        core.create_namespaced_pod(space, body)
    assert names(core.list_namespaced_pod(space, label_selector="gpus>4")) == ["p8"]
    assert names(core.list_namespaced_pod(space, label_selector="gpus<8")) == ["p4"]


def test_field_selectors_are_those_of_the_kind(core, custom, space):
    with pytest.raises(ApiException) as caught:
        core.list_namespaced_pod(space, field_selector="spec.image=x")
    assert caught.value.status == 400
    assert json.loads(caught.value.body)["message"].endswith(
        "field label not supported: spec.image"
    )
    with pytest.raises(ApiException) as caught:
        custom.list_namespaced_custom_object(
            "kueue.x-k8s.io", "v1beta2", space, "workloads", field_selector="spec.queueName=x"
        )
    assert (
        '"spec.queueName" is not a known field selector' in json.loads(caught.value.body)["message"]
    )


def test_events_are_found_by_what_they_are_about(core, space):
    body = {
        "metadata": {"generateName": "p1."},
        "involvedObject": {"kind": "Pod", "name": "p1", "namespace": space},
        "reason": "Preempted",
        "type": "Warning",
        "message": "by a higher priority",
    }
    core.create_namespaced_event(space, body)
    about = "involvedObject.name=p1,type=Warning,reason!=Killing"
    assert len(core.list_namespaced_event(space, field_selector=about).items) == 1


def test_two_holders_of_a_lease_cannot_both_win(running, space):
    leases = client.CoordinationV1Api(running.api())
    leases.create_namespaced_lease(
        space, {"metadata": {"name": "owner"}, "spec": {"holderIdentity": "one"}}
    )
    seen = leases.read_namespaced_lease("owner", space)
    first, second = seen.to_dict(), leases.read_namespaced_lease("owner", space)
    assert first["metadata"]["resource_version"] == second.metadata.resource_version
    seen.spec.holder_identity = "two"
    leases.replace_namespaced_lease("owner", space, seen)
    second.spec.holder_identity = "three"
    with pytest.raises(ApiException) as caught:
        leases.replace_namespaced_lease("owner", space, second)
    assert caught.value.status == 409
    second.metadata.resource_version = None
    with pytest.raises(ApiException) as caught:
        leases.replace_namespaced_lease("owner", space, second)
    assert caught.value.status == 422
