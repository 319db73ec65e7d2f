"""Kueue: the ways a workload leaves its quota.

https://kueue.sigs.k8s.io/docs/concepts/ (Workload, ClusterQueue stopPolicy).
Jobs are created suspended, as every user of Kueue may; their pods need not run for any of this.
"""

import pytest

from tests.contract.kinds import CLUSTER_QUEUE, WORKLOAD
from tests.contract.kube import condition, is_true, until
from tests.contract.kueue.sums import suspended, usage

pytestmark = pytest.mark.needs("kueue", "kueue-jobs")


def deactivate(kube, space, held: dict) -> None:
    kube.patch(WORKLOAD, space, held["metadata"]["name"], {"spec": {"active": False}})


def test_a_deactivated_workload_is_evicted_and_its_job_stops(
    cluster, kube, space, make_queue, submit, admitted, workload, stopped
):
    queue = make_queue("training", 4)
    submit("one", "training", 4)
    deactivate(kube, space, admitted("one"))
    until(lambda: is_true(workload("one"), "Evicted"), "it is evicted", within_s=cluster.wait_s)
    assert condition(workload("one"), "Evicted")["reason"].startswith("Deactivated")
    stopped("one")
    until(
        lambda: condition(workload("one"), "QuotaReserved").get("status") == "False",
        "its quota is given back",
        within_s=cluster.wait_s,
    )
    until(lambda: usage(kube, queue).get("total") == 0, "nothing is used", within_s=cluster.wait_s)


def test_a_deactivated_workload_lets_the_next_one_in(
    kube, space, make_queue, submit, admitted, waits
):
    make_queue("training", 4)
    submit("one", "training", 4)
    first = admitted("one")
    submit("two", "training", 4)
    waits("two")
    deactivate(kube, space, first)
    admitted("two")


def test_a_reactivated_workload_queues_again(
    cluster, kube, space, make_queue, submit, admitted, stopped, workload
):
    make_queue("training", 4)
    submit("one", "training", 4)
    deactivate(kube, space, admitted("one"))
    stopped("one")
    until(lambda: not is_true(workload("one"), "Admitted"), "it is out", within_s=cluster.wait_s)
    name = workload("one")["metadata"]["name"]
    kube.patch(WORKLOAD, space, name, {"spec": {"active": True}})
    admitted("one")


def test_a_held_queue_keeps_who_runs_and_admits_nobody(
    cluster, kube, space, make_queue, submit, admitted, workload
):
    queue = make_queue("training", 8)
    submit("one", "training", 4)
    admitted("one")
    kube.patch(CLUSTER_QUEUE, "", queue, {"spec": {"stopPolicy": "Hold"}})

    def held() -> bool:
        found = condition(kube.get(CLUSTER_QUEUE, "", queue), "Active")
        return (found.get("status"), found.get("reason")) == ("False", "Stopped")

    until(held, "the queue is stopped", within_s=cluster.wait_s)
    submit("two", "training", 1)
    workload("two")
    assert is_true(workload("one"), "Admitted")
    assert suspended(kube, space, "two")
    kube.patch(CLUSTER_QUEUE, "", queue, {"spec": {"stopPolicy": "None"}})
    admitted("two")


def test_a_drained_queue_evicts_everybody(
    cluster, kube, space, make_queue, submit, admitted, workload, stopped
):
    queue = make_queue("training", 8)
    submit("one", "training", 4)
    admitted("one")
    kube.patch(CLUSTER_QUEUE, "", queue, {"spec": {"stopPolicy": "HoldAndDrain"}})
    until(lambda: is_true(workload("one"), "Evicted"), "it is evicted", within_s=cluster.wait_s)
    assert condition(workload("one"), "Evicted")["reason"] == "ClusterQueueStopped"
    stopped("one")
