"""The store by itself: indexes, history, dump and load; and the server's faults."""

from datetime import UTC, datetime

import pytest
from kubernetes import client
from urllib3.exceptions import HTTPError

from tests.tiers.twin.kube import objects
from tiers.twin.kube.errors import ApiError
from tiers.twin.kube.resources import LEASES, NODES, PODS
from tiers.twin.kube.server import PortBusy, serve
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.tls import ensure_tls

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def bound(name: str, node: str) -> dict:
    pod = objects.pod(name)
    pod["metadata"]["namespace"] = "a"
    pod["spec"]["nodeName"] = node
    return pod


def test_pods_are_found_by_node_and_forgotten_when_gone():
    store = ClusterStore("eastus")
    store.create(PODS, bound("p1", "n1"), NOW)
    store.create(PODS, bound("p2", "n2"), NOW)
    assert [p["metadata"]["name"] for p in store.pods_on("n1")] == ["p1"]
    store.remove(PODS, "a", "p1")
    assert store.pods_on("n1") == []


def test_a_restart_keeps_uids_versions_and_failures():
    store = ClusterStore("eastus")
    made = store.create(NODES, objects.node(), NOW)
    store.create(PODS, bound("p1", "n1"), NOW)
    store.failed_nodes["n1"] = NOW.isoformat()
    back = ClusterStore.load(store.dump())
    assert back.get(NODES, "", "n1") == made
    assert (back.revision, back.failed_nodes) == (store.revision, store.failed_nodes)
    assert len(back.pods_on("n1")) == 1
    assert back.create(NODES, objects.node("n2"), NOW)["metadata"]["resourceVersion"] == str(
        store.revision + 1
    )


def test_history_before_a_restart_is_gone():
    store = ClusterStore("eastus")
    store.create(NODES, objects.node(), NOW)
    back = ClusterStore.load(store.dump())
    assert back.changes_since(NODES, back.revision) == []
    with pytest.raises(ApiError) as caught:
        back.changes_since(NODES, back.revision - 1)
    assert caught.value.code == 410


def renewed(store: ClusterStore, times: int) -> None:
    for count in range(times):
        held = store.get(LEASES, "a", "held")
        store.put(LEASES, {**held, "spec": {"leaseTransitions": count}})


def test_renewed_leases_push_no_other_change_out():
    store = ClusterStore("eastus", history=10)
    store.create(NODES, objects.node(), NOW)
    store.create(LEASES, {"metadata": {"name": "held", "namespace": "a"}}, NOW)
    renewed(store, 50)
    assert [c.key for c in store.changes_since(NODES, 1)] == [("", "n1")]
    assert len(store.changes_since(LEASES, store.revision - 10)) == 10
    with pytest.raises(ApiError, match="too old resource version"):
        store.changes_since(LEASES, store.revision - 11)


def test_changes_of_the_last_minutes_are_kept_beyond_their_number():
    now_s = [0.0]
    store = ClusterStore("eastus", history=3, clock=lambda: now_s[0])
    held = store.create(NODES, objects.node(), NOW)
    for beat in range(1, 9):
        now_s[0] += 60.0
        held = store.put(NODES, {**held, "status": {"beat": beat}})
    assert [c.after["status"]["beat"] for c in store.changes_since(NODES, 5)] == [4, 5, 6, 7, 8]
    with pytest.raises(ApiError):
        store.changes_since(NODES, 4)


def test_a_storm_of_changes_is_bounded_all_the_same():
    store = ClusterStore("eastus", history=3, clock=lambda: 0.0)
    held = store.create(NODES, objects.node(), NOW)
    for beat in range(100):
        held = store.put(NODES, {**held, "status": {"beat": beat}})
    assert len(store.changes_since(NODES, store.revision - 30)) == 30
    with pytest.raises(ApiError):
        store.changes_since(NODES, store.revision - 31)


def test_a_foreign_dump_is_refused():
    with pytest.raises(ValueError, match="twin-store/1"):
        ClusterStore.load({"schema": "else/1"})


def test_the_past_can_be_listed_while_history_lasts():
    store = ClusterStore("eastus")
    store.create(NODES, objects.node("n1"), NOW)
    then = store.revision
    store.create(NODES, objects.node("n2"), NOW)
    store.remove(NODES, "", "n1")
    assert [n["metadata"]["name"] for n in store.all_at(NODES, then)] == ["n1"]


def test_a_partitioned_cluster_refuses_and_comes_back_at_its_address(running, core):
    url = running.servers.urls()["eastus"]
    assert core.list_namespace(_request_timeout=2)
    running.run(running.servers.partition("eastus"))
    assert running.servers.partitioned() == {"eastus"}
    api = running.api()
    api.configuration.retries = 0
    cut_off = client.CoreV1Api(client.ApiClient(api.configuration))
    running.opened.append(cut_off.api_client)
    with pytest.raises(HTTPError):
        cut_off.list_namespace(_request_timeout=2)
    running.run(running.servers.heal("eastus"))
    assert running.servers.urls()["eastus"] == url
    assert core.list_namespace(_request_timeout=2)


async def test_a_busy_port_is_named_and_nothing_is_left_running(tmp_path):
    context = ensure_tls(tmp_path).server_context()
    first = await serve({"a": ClusterStore("a")}, {}, context, ())
    clusters = {"b": ClusterStore("b"), "c": ClusterStore("c")}
    with pytest.raises(PortBusy, match=str(first.ports["a"])):
        await serve(clusters, {"c": first.ports["a"]}, context, ())
    await first.close()


def test_certificates_are_kept_once_made(tmp_path):
    made = ensure_tls(tmp_path).ca.read_bytes()
    assert ensure_tls(tmp_path).ca.read_bytes() == made
