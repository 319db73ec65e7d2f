"""Kueue: gangs are admitted whole, and within one block where they must be.

https://kueue.sigs.k8s.io/docs/concepts/ (Workload, Topology Aware Scheduling).
Jobs are created suspended, as every user of Kueue may; their pods need not run for any of this.
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import CLUSTER_QUEUE, FLAVOR, LOCAL_QUEUE, TOPOLOGY
from tests.contract.kube import condition, is_true, until
from tests.contract.kueue.sums import suspended, usage

pytestmark = pytest.mark.needs("kueue", "kueue-jobs")
BLOCK = "cloud.example.com/block"
REQUIRED = "kueue.x-k8s.io/podset-required-topology"
PREFERRED = "kueue.x-k8s.io/podset-preferred-topology"


def test_a_gang_that_fits_in_part_is_not_admitted_in_part(
    cluster, kube, space, make_queue, submit, waits
):
    queue = make_queue("training", 3)
    submit("gang", "training", 4)
    waits("gang")
    assert suspended(kube, space, "gang")
    assert usage(kube, queue).get("total", 0) == 0


def test_a_smaller_gang_behind_one_that_waits_is_let_in(make_queue, submit, waits, admitted):
    """BestEffortFIFO, the default."""
    make_queue("training", 3)
    submit("gang", "training", 4)
    waits("gang")
    submit("small", "training", 2)
    admitted("small")


def test_in_strict_order_nobody_overtakes(make_queue, submit, waits, workload):
    make_queue("training", 3, queueingStrategy="StrictFIFO")
    submit("gang", "training", 3)
    submit("second", "training", 3)
    submit("small", "training", 1)
    waits("second")
    assert not is_true(workload("small"), "QuotaReserved")


@pytest.fixture
def blocks(cluster, kube, space, unique, make_custom, make_node):
    """Two blocks of one node with four GPUs each, and a queue for all eight."""
    topology, flavor, queue = unique("topology"), unique("blocks"), unique("training")
    levels = [{"nodeLabel": BLOCK}, {"nodeLabel": "kubernetes.io/hostname"}]
    make_custom(TOPOLOGY, {"metadata": objects.meta(topology), "spec": {"levels": levels}})
    for block in ("a", "b"):
        make_node(gpus=4, labels={BLOCK: f"{space}-{block}"})
    spec = {"nodeLabels": {objects.SPACE_KEY: space}, "topologyName": topology}
    make_custom(FLAVOR, {"metadata": objects.meta(flavor), "spec": spec})
    make_custom(CLUSTER_QUEUE, objects.cluster_queue(queue, {flavor: 8}))
    kube.create(LOCAL_QUEUE, space, objects.local_queue("training", queue))
    until(
        lambda: is_true(kube.get(CLUSTER_QUEUE, "", queue), "Active"),
        "the queue is active",
        within_s=cluster.wait_s,
    )


@pytest.mark.needs("kueue-topology")
def test_a_gang_that_must_share_a_block_is_let_in_where_one_takes_it(blocks, submit, admitted):
    submit("gang", "training", 4, **{REQUIRED: BLOCK})
    admitted("gang")


@pytest.mark.needs("kueue-topology")
def test_a_gang_that_no_single_block_takes_waits(blocks, submit, waits):
    submit("gang", "training", 6, **{REQUIRED: BLOCK})
    assert "topology" in condition(waits("gang"), "QuotaReserved")["message"]


@pytest.mark.needs("kueue-topology")
def test_a_gang_that_would_rather_share_a_block_is_let_in_across_two(blocks, submit, admitted):
    submit("gang", "training", 6, **{PREFERRED: BLOCK})
    admitted("gang")
