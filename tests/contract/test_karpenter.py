"""Karpenter: machines for pods that fit nowhere, within limits, and given back when empty.

https://karpenter.sh/docs/concepts/nodepools/ and https://karpenter.sh/docs/concepts/disruption/

On a real cluster the machines are those of the NodeClass that CONTRACT_NODE_CLASS names, as
`group/kind/name`; KWOK's cost nothing. Pods ask for CPU, which every machine has.
"""

import contextlib
import os
import time
from functools import partial

import pytest

from tests.contract import objects
from tests.contract.kinds import DEPLOYMENT, EVENT, NODE, NODE_CLAIM, NODE_POOL, POD
from tests.contract.kube import Refused, is_true, until
from tests.contract.placing import bound, unschedulable
from tests.contract.probes import NODE_CLASS

pytestmark = pytest.mark.needs("karpenter", "scheduler")
POOL_KEY = "karpenter.sh/nodepool"
KEEP = "karpenter.sh/do-not-disrupt"


@pytest.fixture
def make_pool(cluster, kube, space, unique, make_custom):
    """Makes a NodePool whose nodes this test's pods select; its name."""
    made: list[str] = []

    def make(*, consolidate_after: str = "5s", **spec) -> str:
        name = unique("pool")
        group, kind, class_name = os.environ.get(NODE_CLASS, "example.com/NodeClass/any").split("/")
        inner = {
            "nodeClassRef": {"group": group, "kind": kind, "name": class_name},
            "requirements": [
                {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]},
            ],
        }
        template = {"metadata": {"labels": {objects.SPACE_KEY: space}}, "spec": inner}
        rules = {"consolidationPolicy": "WhenEmpty", "consolidateAfter": consolidate_after,
                 "budgets": [{"nodes": "100%"}]}  # fmt: skip
        body = {"template": template, "disruption": rules, **spec}
        make_custom(NODE_POOL, {"metadata": objects.meta(name), "spec": body})
        made.append(name)
        return name

    yield make
    for name in made:
        with contextlib.suppress(Refused):
            kube.delete(NODE_POOL, "", name)
    for name in made:
        until(partial(_is_empty, kube, name), "its nodes are gone", within_s=2 * cluster.looks_s)


def _is_empty(kube, pool: str) -> bool:
    return not nodes_of(kube, pool)


def hungry(name: str, space: str) -> dict:
    """A pod of which a machine takes one: two shun each other."""
    apart = {
        "labelSelector": {"matchLabels": {"app": "hungry"}},
        "topologyKey": "kubernetes.io/hostname",
    }
    rule = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart]}}
    body = objects.pod(name, space, labels={"app": "hungry"}, affinity=rule)
    body["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1"}}
    return body


def nodes_of(kube, pool: str) -> list[str]:
    found = kube.items(NODE, labelSelector=f"{POOL_KEY}={pool}")
    return [node["metadata"]["name"] for node in found]


@pytest.fixture
def one_node(cluster, kube, space, make_pool):
    """A pool with one node that has just lost its only pod; the pool's and the node's names."""

    def make(**options) -> tuple[str, str]:
        pool = make_pool(**options)
        kube.create(POD, space, hungry("one", space))
        node = bound(cluster, space, "one")
        return pool, node

    return make


def test_a_machine_comes_for_a_pod_that_fits_nowhere(cluster, kube, space, one_node):
    pool, node = one_node()
    labels = kube.get(NODE, "", node)["metadata"]["labels"]
    assert labels[POOL_KEY] == pool
    (claim,) = kube.items(NODE_CLAIM, labelSelector=f"{POOL_KEY}={pool}")
    until(
        lambda: is_true(kube.get(NODE_CLAIM, "", claim["metadata"]["name"]), "Ready"),
        "its claim is ready",
        within_s=cluster.wait_s,
    )
    assert kube.get(NODE_CLAIM, "", claim["metadata"]["name"])["status"]["nodeName"] == node


def test_no_machine_comes_for_a_pod_that_it_would_not_help(cluster, kube, space, make_pool):
    pool = make_pool()
    kube.create(POD, space, objects.pod("one", "elsewhere"))
    unschedulable(cluster, space, "one", "nodes")
    time.sleep(1.0 if cluster.is_twin else 15.0)
    assert kube.items(NODE_CLAIM, labelSelector=f"{POOL_KEY}={pool}") == []


def test_a_pool_stops_at_its_limit(cluster, kube, space, make_pool):
    pool = make_pool(limits={"nodes": "1"})
    for name in ("one", "two"):
        kube.create(POD, space, hungry(name, space))
    until(lambda: len(nodes_of(kube, pool)) == 1, "one node", within_s=cluster.looks_s)
    time.sleep(1.0 if cluster.is_twin else 15.0)
    assert len(nodes_of(kube, pool)) == 1
    waiting = [p for p in kube.items(POD, space) if not p["spec"].get("nodeName")]
    assert len(waiting) == 1


def test_an_empty_node_is_given_back(cluster, kube, space, one_node):
    pool, _ = one_node()
    kube.delete(POD, space, "one", {"gracePeriodSeconds": 0})
    until(lambda: not nodes_of(kube, pool), "the node is gone", within_s=2 * cluster.looks_s)
    assert kube.items(NODE_CLAIM, labelSelector=f"{POOL_KEY}={pool}") == []


def test_a_node_with_a_pod_is_kept(cluster, kube, space, one_node):
    pool, node = one_node()
    time.sleep(1.0 if cluster.is_twin else 20.0)
    assert nodes_of(kube, pool) == [node]


def test_a_node_that_must_not_be_disrupted_is_kept_empty(cluster, kube, space, one_node):
    """The mark that a move sets on a node before it empties it."""
    pool, node = one_node()
    kube.patch(NODE, "", node, {"metadata": {"annotations": {KEEP: "true"}}})
    kube.delete(POD, space, "one", {"gracePeriodSeconds": 0})
    time.sleep(1.0 if cluster.is_twin else 20.0)
    assert nodes_of(kube, pool) == [node]
    kube.patch(NODE, "", node, {"metadata": {"annotations": {KEEP: None}}})
    until(lambda: not nodes_of(kube, pool), "the node is gone", within_s=2 * cluster.looks_s)


def test_a_pool_that_never_consolidates_keeps_what_is_empty(cluster, kube, space, one_node):
    pool, node = one_node(consolidate_after="Never")
    kube.delete(POD, space, "one", {"gracePeriodSeconds": 0})
    time.sleep(1.0 if cluster.is_twin else 20.0)
    assert nodes_of(kube, pool) == [node]


def test_an_empty_budget_disrupts_nothing(cluster, kube, space, one_node):
    pool, node = one_node()
    rule = {"spec": {"disruption": {"budgets": [{"nodes": "0"}]}}}
    kube.patch(NODE_POOL, "", pool, rule)
    kube.delete(POD, space, "one", {"gracePeriodSeconds": 0})
    time.sleep(1.0 if cluster.is_twin else 20.0)
    assert nodes_of(kube, pool) == [node]


def test_a_deleted_claim_takes_its_node_along(cluster, kube, space, one_node):
    pool, node = one_node(consolidate_after="Never")
    (claim,) = kube.items(NODE_CLAIM, labelSelector=f"{POOL_KEY}={pool}")
    kube.delete(NODE_CLAIM, "", claim["metadata"]["name"])
    until(lambda: not kube.find(NODE, "", node), "its node is gone", within_s=2 * cluster.looks_s)


def test_a_deleted_pool_takes_its_nodes_along(cluster, kube, space, one_node):
    pool, _ = one_node(consolidate_after="Never")
    kube.delete(NODE_POOL, "", pool)
    until(lambda: not nodes_of(kube, pool), "its nodes are gone", within_s=2 * cluster.looks_s)


@pytest.mark.needs("capacity")
def test_without_capacity_it_says_so_makes_no_node_and_asks_again(cluster, kube, space, make_pool):
    pool = make_pool()
    cluster.hands.sell_out(pool, minutes=10)
    kube.create(DEPLOYMENT, space, objects.deployment("chat", space, replicas=1))

    def told() -> bool:
        return any(
            event["reason"] == "InsufficientCapacityError"
            and event["involvedObject"]["kind"] == "NodeClaim"
            and event["involvedObject"]["name"].startswith(pool)
            for event in kube.items(EVENT)
        )

    until(told, "an event tells of it", within_s=cluster.looks_s)
    assert nodes_of(kube, pool) == []
    cluster.hands.sell_out(pool, minutes=0)
    until(lambda: nodes_of(kube, pool), "a node at last", within_s=cluster.looks_s)
