"""Watches: every change after a version, in order, once; bookmarks; what is too old.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes and
#watch-bookmarks, #streaming-lists below it.
"""

import itertools
import time

import pytest

from tests.contract import objects
from tests.contract.kinds import LEASE, POD
from tests.contract.kube import Refused, refused

INITIAL_END = "k8s.io/initial-events-end"


def version(kube, space) -> str:
    return kube.listed(LEASE, space)["metadata"]["resourceVersion"]


def change(kube, space, name="held", **labels):
    return kube.patch(LEASE, space, name, {"metadata": {"labels": labels}})


def take(events, count: int) -> list[tuple[str, str]]:
    """The first events: type and name of each."""
    found = [(e["type"], e["object"]["metadata"]["name"]) for e in itertools.islice(events, count)]
    events.close()
    return found


def test_changes_come_in_their_order(kube, space):
    start = version(kube, space)
    kube.create(LEASE, space, objects.lease("held"))
    kube.create(LEASE, space, objects.lease("other"))
    change(kube, space, team="blue")
    kube.delete(LEASE, space, "held")
    assert take(kube.watch(LEASE, space, resourceVersion=start), 4) == [
        ("ADDED", "held"),
        ("ADDED", "other"),
        ("MODIFIED", "held"),
        ("DELETED", "held"),
    ]


def test_an_event_carries_the_whole_object_as_it_then_was(kube, space, lease):
    start = version(kube, space)
    changed = change(kube, space, team="blue")
    change(kube, space, team="red")
    events = kube.watch(LEASE, space, resourceVersion=start)
    assert next(events) == {"type": "MODIFIED", "object": changed}
    events.close()


def test_a_deletion_has_a_version_of_its_own(kube, space, lease):
    start = version(kube, space)
    kube.delete(LEASE, space, "held")
    events = kube.watch(LEASE, space, resourceVersion=start)
    gone = next(events)["object"]
    events.close()
    assert int(gone["metadata"]["resourceVersion"]) > int(lease["metadata"]["resourceVersion"])
    assert gone["metadata"]["uid"] == lease["metadata"]["uid"]


def test_a_watch_goes_on_where_the_last_event_was(kube, space):
    start = version(kube, space)
    made = kube.create(LEASE, space, objects.lease("held"))
    change(kube, space, team="blue")
    events = kube.watch(LEASE, space, resourceVersion=start)
    assert (
        next(events)["object"]["metadata"]["resourceVersion"]
        == (made["metadata"]["resourceVersion"])
    )
    events.close()
    again = kube.watch(LEASE, space, resourceVersion=made["metadata"]["resourceVersion"])
    assert take(again, 1) == [("MODIFIED", "held")]


def test_a_watch_tells_of_what_happens_while_it_is_open(kube, space, lease):
    events = kube.watch(LEASE, space)
    assert next(events)["type"] == "ADDED"
    change(kube, space, team="blue")
    assert next(events)["object"]["metadata"]["labels"] == {"team": "blue"}
    events.close()


def test_a_watch_from_nowhere_begins_with_what_is_there(kube, space):
    for name in ("a", "b"):
        kube.create(LEASE, space, objects.lease(name))
    assert sorted(take(kube.watch(LEASE, space), 2)) == [("ADDED", "a"), ("ADDED", "b")]


def test_a_write_that_changes_nothing_is_no_event(kube, space, lease):
    start = version(kube, space)
    kube.replace(LEASE, space, "held", lease)
    change(kube, space, team="blue")
    events = kube.watch(LEASE, space, resourceVersion=start)
    assert next(events)["object"]["metadata"]["labels"] == {"team": "blue"}
    events.close()


def test_entering_a_selection_is_added_and_leaving_it_is_deleted(kube, space, lease):
    start = version(kube, space)
    change(kube, space, team="blue")
    change(kube, space, team="blue", gpu="yes")
    change(kube, space, team="red")
    kube.delete(LEASE, space, "held")
    events = kube.watch(LEASE, space, resourceVersion=start, labelSelector="team=blue", timeout_s=2)
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]


def test_a_watch_of_one_name_sees_no_other(kube, space):
    start = version(kube, space)
    for name in ("a", "held"):
        kube.create(LEASE, space, objects.lease(name))
    events = kube.watch(
        LEASE, space, resourceVersion=start, fieldSelector="metadata.name=held", timeout_s=1
    )
    assert [e["object"]["metadata"]["name"] for e in events] == ["held"]


def test_a_watch_of_one_namespace_sees_no_other(kube, space, unique):
    start = version(kube, space)
    elsewhere = unique("lease")
    kube.create(LEASE, "default", objects.lease(elsewhere))
    kube.delete(LEASE, "default", elsewhere)
    kube.create(LEASE, space, objects.lease("held"))
    events = kube.watch(LEASE, space, resourceVersion=start, timeout_s=1)
    assert [e["object"]["metadata"]["name"] for e in events] == ["held"]


def test_a_watch_ends_when_its_time_is_over(kube, space):
    began = time.monotonic()
    events = kube.watch(LEASE, space, resourceVersion=version(kube, space), timeout_s=1)
    assert list(events) == []
    assert 0.5 < time.monotonic() - began < 10


def test_bookmarks_carry_a_kind_and_a_version_alone(kube, space, lease):
    """None need come within a second; any that does has this form."""
    events = kube.watch(
        LEASE, space, resourceVersion=version(kube, space), allowWatchBookmarks=True, timeout_s=1
    )
    for event in events:
        assert event["type"] == "BOOKMARK"
        assert (event["object"]["kind"], event["object"].get("spec") or {}) == ("Lease", {})
        assert event["object"]["metadata"]["resourceVersion"]


def test_no_bookmark_comes_unasked(kube, space, lease):
    events = kube.watch(LEASE, space, resourceVersion=version(kube, space), timeout_s=1)
    assert list(events) == []


def test_a_streamed_list_ends_with_a_marked_bookmark(kube, space):
    for name in ("a", "b"):
        kube.create(LEASE, space, objects.lease(name))
    asked = {"sendInitialEvents": True, "allowWatchBookmarks": True}
    events = kube.watch(LEASE, space, resourceVersionMatch="NotOlderThan", **asked)
    try:
        first = list(itertools.islice(events, 3))
    except Refused as answer:
        if "WatchList" in answer.text:
            pytest.skip("streaming lists: the server's WatchList feature gate is off")
        raise
    assert sorted((e["type"], e["object"]["metadata"].get("name", "")) for e in first[:2]) == [
        ("ADDED", "a"),
        ("ADDED", "b"),
    ]
    assert first[2]["type"] == "BOOKMARK"
    assert first[2]["object"]["metadata"]["annotations"][INITIAL_END] == "true"
    change(kube, space, "a", team="blue")
    assert next(events)["type"] == "MODIFIED"
    events.close()


def test_a_streamed_list_must_say_how_new_it_is_to_be(kube, space):
    with refused(422):
        list(kube.watch(LEASE, space, sendInitialEvents=True, timeout_s=1))


def test_renewed_leases_end_no_watch_of_pods(cluster, kube, space):
    """Changes are kept kind by kind, so the busiest kind does not push out the others'."""
    start = kube.listed(POD, space)["metadata"]["resourceVersion"]
    kube.create(POD, space, objects.pod("one", "nowhere"))
    cluster.forget_history()
    assert take(kube.watch(POD, space, resourceVersion=start), 1) == [("ADDED", "one")]


def test_a_version_too_old_is_a_410(cluster, kube, space, lease):
    """As an ERROR event, or at once as the answer; a young server may still know version 1."""
    forgotten = cluster.forget_history()
    try:
        events = kube.watch(LEASE, space, resourceVersion="1", timeout_s=2)
        first = next(events, None)
        events.close()
    except Refused as answer:
        assert (answer.code, answer.reason) == (410, "Expired")
        return
    if first and first["type"] == "ERROR":
        assert (first["object"]["code"], first["object"]["reason"]) == (410, "Expired")
        assert first["object"]["kind"] == "Status"
    else:
        assert not forgotten, f"version 1 is gone, and the watch went on with {first}"


def test_a_version_that_is_no_number_is_refused(kube, space):
    with pytest.raises(Refused) as caught:
        list(kube.watch(LEASE, space, resourceVersion="yesterday", timeout_s=1))
    assert caught.value.code in (400, 422)
