"""Reads through the official client: every kind parses, selectors, pages, watches."""

import threading
from datetime import UTC, datetime

import numpy as np
import pytest
from kubernetes import client, watch
from kubernetes.client import ApiException

from tests.tiers.twin.kube import objects
from tiers.twin.controllers.cluster import warm_up
from tiers.twin.controllers.config import ControllerConfig
from tiers.twin.fleet import build_cluster


@pytest.fixture
def fleet(running):
    """A whole cluster of the twin behind the running server's address."""
    rng, now = np.random.default_rng(7), datetime.now(UTC)
    store = build_cluster("eastus", now, rng)
    warm_up(store, now, rng, ControllerConfig())
    before, running.servers.apis["eastus"].store = running.servers.apis["eastus"].store, store
    yield store
    running.servers.apis["eastus"].store = before


def test_every_kind_of_a_whole_cluster_parses(running, fleet, core, apps):
    batch, policy = client.BatchV1Api(running.api()), client.PolicyV1Api(running.api())
    lists = {
        "nodes": core.list_node(),
        "namespaces": core.list_namespace(),
        "pods": core.list_pod_for_all_namespaces(),
        "deployments": apps.list_deployment_for_all_namespaces(),
        "replica sets": apps.list_replica_set_for_all_namespaces(),
        "jobs": batch.list_job_for_all_namespaces(),
        "budgets": policy.list_pod_disruption_budget_for_all_namespaces(),
        "events": core.list_event_for_all_namespaces(),
    }
    empty = [kind for kind, found in lists.items() if not found.items]
    assert empty == []
    assert len(lists["nodes"].items) == 14
    assert core.list_resource_quota_for_all_namespaces().items == []


def test_selectors_pick_by_label_and_field(core, fleet):
    tier = core.list_node(label_selector="infra-console.dev/tier in (training)").items
    assert len(tier) == 6
    name = tier[0].metadata.name
    here = core.list_pod_for_all_namespaces(field_selector=f"spec.nodeName={name}").items
    assert here and {p.spec.node_name for p in here} == {name}
    pending = core.list_namespaced_pod("training", field_selector="status.phase!=Running").items
    assert pending and all(p.status.phase == "Pending" for p in pending)
    assert core.list_node(label_selector="!nvidia.com/gpu.present").items == []


def test_an_unindexed_field_is_a_bad_request(core):
    with pytest.raises(ApiException) as caught:
        core.list_node(field_selector="spec.providerID=x")
    assert caught.value.status == 400


def test_pages_show_one_moment(core, space):
    for number in range(5):
        core.create_namespaced_pod(space, objects.pod(f"p{number}"))
    first = core.list_namespaced_pod(space, limit=2)
    assert first.metadata.remaining_item_count == 3
    core.delete_namespaced_pod("p4", space)
    core.create_namespaced_pod(space, objects.pod("p9"))
    token = first.metadata._continue
    rest = core.list_namespaced_pod(space, _continue=token)
    assert [p.metadata.name for p in first.items + rest.items] == ["p0", "p1", "p2", "p3", "p4"]
    assert rest.metadata.resource_version == first.metadata.resource_version


def test_a_page_from_too_long_ago_is_gone(core, space, running):
    for number in range(3):
        core.create_namespaced_pod(space, objects.pod(f"p{number}"))
    token = core.list_namespaced_pod(space, limit=1).metadata._continue
    flood(core, space)
    with pytest.raises(ApiException) as caught:
        core.list_namespaced_pod(space, _continue=token)
    assert caught.value.status == 410


def flood(core, space: str) -> None:
    """More writes than the history of the store holds (400)."""
    core.create_namespaced_pod(space, objects.pod("flood"))
    for number in range(410):
        core.patch_namespaced_pod("flood", space, {"metadata": {"labels": {"n": str(number)}}})


def test_a_watch_tells_what_comes_changes_leaves_the_selection_and_goes(core, space):
    at = core.list_namespaced_pod(space).metadata.resource_version
    core.create_namespaced_pod(space, objects.pod("p1", app="a"))
    core.create_namespaced_pod(space, objects.pod("other", app="b"))
    core.patch_namespaced_pod("p1", space, {"metadata": {"annotations": {"x": "1"}}})
    core.patch_namespaced_pod("p1", space, {"metadata": {"labels": {"app": "b"}}})
    core.patch_namespaced_pod("p1", space, {"metadata": {"labels": {"app": "a"}}})
    core.delete_namespaced_pod("p1", space)
    stream = watch.Watch().stream(
        core.list_namespaced_pod, space, label_selector="app=a", resource_version=at,
        timeout_seconds=1,
    )  # fmt: skip
    seen = [(e["type"], e["object"].metadata.name) for e in stream]
    kinds = ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]
    assert seen == [(kind, "p1") for kind in kinds]


def test_a_watch_sees_what_is_written_while_it_waits(core, space, running):
    at, other = core.list_namespaced_pod(space).metadata.resource_version, running.api()
    writer = threading.Timer(
        0.2, client.CoreV1Api(other).create_namespaced_pod, (space, objects.pod())
    )
    writer.start()
    watcher = watch.Watch()
    for event in watcher.stream(
        core.list_namespaced_pod, space, resource_version=at, timeout_seconds=10
    ):
        assert (event["type"], event["object"].metadata.name) == ("ADDED", "p1")
        watcher.stop()
    writer.join()


def test_a_watch_without_a_version_begins_with_what_is_there(core, space):
    core.create_namespaced_pod(space, objects.pod())
    stream = watch.Watch().stream(core.list_namespaced_pod, space, timeout_seconds=1)
    assert [e["object"].metadata.name for e in stream] == ["p1"]


def test_a_watch_that_asks_for_bookmarks_ends_with_one(core, space, running):
    response = core.list_namespaced_pod(
        space, watch=True, allow_watch_bookmarks=True, timeout_seconds=1, _preload_content=False
    )
    text = b"".join(response.stream()).decode()
    assert '"type":"BOOKMARK"' in text
    assert f'"resourceVersion":"{running.store.revision}"' in text


def test_a_watch_from_too_long_ago_is_gone(core, space):
    at = core.list_namespaced_pod(space).metadata.resource_version
    flood(core, space)
    with pytest.raises(ApiException) as caught:
        list(
            watch.Watch().stream(
                core.list_namespaced_pod, space, resource_version=at, timeout_seconds=1
            )
        )
    assert caught.value.status == 410
