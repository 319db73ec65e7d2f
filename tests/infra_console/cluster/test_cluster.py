"""Reads and conditional writes against a served cluster, and failures in our words."""

import socket
from dataclasses import replace

import pytest
from kubernetes.client import CoreV1Api

from infra_console.cluster import client as factory
from infra_console.cluster.doctor import check_clusters
from infra_console.cluster.errors import (
    ClusterForbidden,
    ClusterNotConfigured,
    ClusterUnavailable,
    EvictionBlocked,
    InvalidRequest,
    ObjectConflict,
    ObjectMissing,
    translated,
)
from infra_console.cluster.objects import Taint
from infra_console.cluster.reads import (
    list_nodes,
    list_pods,
    read_deployment,
    read_node,
    read_pod,
    read_version,
)
from infra_console.cluster.scaling import list_scaled
from infra_console.cluster.writes import (
    DELETION_COST,
    change_node,
    evict_pod,
    scale_deployment,
    set_deletion_cost,
)
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.specs import NODE, TIER_KEY
from tiers.twin.kube.faults import Match
from tiers.twin.kube.kubeconfig import write_kubeconfig
from tiers.twin.kube.resources import NODES


def serving_pods():
    return [p for p in list_pods(CLUSTER, namespace="inference") if p.ready]


def test_the_fleet_is_read_whole(twin):
    nodes = list_nodes(CLUSTER)
    assert (len(nodes), sum(n.gpus_allocatable for n in nodes)) == (14, 112)
    assert {n.labels[TIER_KEY] for n in nodes} == {"inference", "training", "operational"}
    assert all(n.ready and not n.unschedulable and n.uid for n in nodes)
    assert {d.name for d in list_scaled(CLUSTER, "Deployment")} >= {"chat-7b", "chat-405b"}
    pod = serving_pods()[0]
    assert pod.gpus > 0
    assert pod.node in {n.name for n in nodes}
    assert read_version(CLUSTER).startswith("v1.")


def test_long_lists_come_page_by_page(twin, monkeypatch):
    monkeypatch.setattr("infra_console.cluster.answers.PAGE_OBJECTS", 5)
    assert len({n.name for n in list_nodes(CLUSTER)}) == 14
    assert sum(r.resource == "nodes" for r in twin.log.recent) == 3


def test_pods_of_one_node_are_its_own(twin):
    node = serving_pods()[0].node
    assert {p.name for p in list_pods(CLUSTER, node=node)} == set(twin.pods_on(node))


def test_a_node_is_closed_marked_labelled_and_tainted_in_one_write(twin):
    before = read_node(CLUSTER, NODE)
    foreign = Taint("vendor/maintenance", "soon", "NoExecute", "2026-11-24T00:00:00Z")
    taints = [foreign, Taint(TIER_KEY, "inference", "NoSchedule")]
    after = change_node(
        CLUSTER,
        before,
        unschedulable=True,
        labels={TIER_KEY: "inference"},
        annotations={"infra-console.dev/plan": "p~1/2"},
        taints=taints,
        dry_run=False,
    )
    held = read_node(CLUSTER, NODE)
    assert after.name == NODE
    assert held.unschedulable
    assert held.labels == {**before.labels, TIER_KEY: "inference"}
    assert held.annotations["infra-console.dev/plan"] == "p~1/2"
    assert set(taints) <= set(held.taints)
    assert twin.mutations() == [f"patch nodes {NODE}"]
    assert twin.log.recent[0].user_agent == "infra-console"
    assert {r.field_manager for r in twin.log.recent if r.verb == "patch"} == {"infra-console"}


def test_an_annotation_is_removed(twin):
    change_node(CLUSTER, read_node(CLUSTER, NODE), annotations={"a/b": "1"}, dry_run=False)
    change_node(CLUSTER, read_node(CLUSTER, NODE), annotations={"a/b": None}, dry_run=False)
    assert "a/b" not in read_node(CLUSTER, NODE).annotations


def test_a_write_on_a_changed_node_is_a_conflict_and_writes_nothing(twin):
    seen = read_node(CLUSTER, NODE)
    twin.edit_node(NODE, metadata={"annotations": {"someone": "else"}})
    with pytest.raises(ObjectConflict):
        change_node(CLUSTER, seen, unschedulable=True, dry_run=False)
    assert not read_node(CLUSTER, NODE).unschedulable


def test_a_change_that_the_server_refuses_is_no_conflict(twin):
    with pytest.raises(InvalidRequest, match="no label value"):
        change_node(
            CLUSTER, read_node(CLUSTER, NODE), labels={"tier": "no label value!"}, dry_run=False
        )


def test_dry_runs_persist_nothing(twin):
    change_node(CLUSTER, read_node(CLUSTER, NODE), unschedulable=True, dry_run=True)
    deployment = read_deployment(CLUSTER, "inference", "chat-7b")
    scale_deployment(CLUSTER, deployment, 9, dry_run=True)
    pod = serving_pods()[0]
    set_deletion_cost(CLUSTER, pod, -1000, dry_run=True)
    evict_pod(CLUSTER, pod, dry_run=True)
    assert not read_node(CLUSTER, NODE).unschedulable
    assert read_deployment(CLUSTER, "inference", "chat-7b").replicas == deployment.replicas
    assert not read_pod(CLUSTER, pod.namespace, pod.name).deleting
    assert twin.mutations() == []


def test_replicas_are_set_on_the_deployment_as_it_was_read(twin):
    deployment = read_deployment(CLUSTER, "inference", "chat-7b")
    stale = replace(deployment, resource_version="1")
    with pytest.raises(ObjectConflict):
        scale_deployment(CLUSTER, stale, 5, dry_run=False)
    scale_deployment(CLUSTER, read_deployment(CLUSTER, "inference", "chat-7b"), 1, dry_run=False)
    assert read_deployment(CLUSTER, "inference", "chat-7b").replicas == 1


def test_a_victim_carries_the_lowest_cost(twin):
    pod = serving_pods()[0]
    set_deletion_cost(CLUSTER, pod, -1000, dry_run=False)
    assert read_pod(CLUSTER, pod.namespace, pod.name).annotations[DELETION_COST] == "-1000"


def test_a_budget_blocks_with_its_cause_and_our_own_wait(twin):
    def evict_all():
        for pod in [p for p in serving_pods() if p.name.startswith("chat-7b")]:
            evict_pod(CLUSTER, pod, dry_run=False)

    with pytest.raises(EvictionBlocked) as blocked:
        evict_all()
    # A server names no delay for a budget that is spent, so it is the console's.
    assert blocked.value.retry_after_s == 5
    assert "disruption budget" in str(blocked.value)
    assert blocked.value.cause


def test_a_server_in_trouble_is_no_budget_that_blocks(twin):
    twin.servers.apis[CLUSTER].faults.add("error", Match(subresource="eviction"))
    with pytest.raises(ClusterUnavailable) as trouble:
        evict_pod(CLUSTER, serving_pods()[0], dry_run=False)
    assert trouble.value.retryable


def test_what_is_not_there_is_missing(twin):
    with pytest.raises(ObjectMissing):
        read_node(CLUSTER, "no-such-node")


def test_a_token_without_rights_is_forbidden(twin, settings):
    settings.KUBECONFIG = twin.kubeconfig("viewer")
    node = read_node(CLUSTER, NODE)
    with pytest.raises(ClusterForbidden):
        change_node(CLUSTER, node, unschedulable=True, dry_run=False)


def test_a_cluster_cut_off_is_unavailable_and_retryable(twin):
    read_node(CLUSTER, NODE)
    twin.run(twin.servers.partition(CLUSTER))
    with pytest.raises(ClusterUnavailable) as away:
        read_node(CLUSTER, NODE)
    assert away.value.retryable
    assert [c.ok for c in check_clusters()] == [False]
    twin.run(twin.servers.heal(CLUSTER))
    assert read_node(CLUSTER, NODE).name == NODE


@pytest.mark.parametrize("given", [{}, {"_request_timeout": None}])
def test_a_server_that_never_answers_ends_in_a_timeout(
    named_cluster, settings, tmp_path, monkeypatch, given
):
    """A socket that accepts and says nothing, as a half-open connection does."""
    monkeypatch.setattr(factory, "READ_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        write_kubeconfig(tmp_path / "silent", {CLUSTER: address}, b"ca", "nobody", "token")
        settings.KUBECONFIG = str(tmp_path / "silent")
        api = CoreV1Api(factory.client_for(CLUSTER))
        with pytest.raises(ClusterUnavailable, match="timed out"), translated(CLUSTER, "list"):
            api.list_node(**given)
        factory.close_clients()


def test_without_a_kubeconfig_nothing_is_configured(named_cluster, settings, tmp_path):
    settings.KUBECONFIG = ""
    with pytest.raises(ClusterNotConfigured, match="INFRA_CONSOLE_KUBECONFIG"):
        list_nodes(CLUSTER)
    assert [c.ok for c in check_clusters()] == [True]
    settings.KUBECONFIG = str(tmp_path / "absent")
    with pytest.raises(ClusterNotConfigured, match="not there"):
        list_nodes(CLUSTER)


def test_a_cluster_that_the_fleet_does_not_name_is_not_configured(twin):
    with pytest.raises(ClusterNotConfigured, match="names no such cluster"):
        list_nodes("elsewhere")


def test_a_deleted_and_a_failed_node_are_told_apart(twin):
    twin.call(twin.store.remove, NODES, "", NODE)
    with pytest.raises(ObjectMissing):
        read_node(CLUSTER, NODE)
