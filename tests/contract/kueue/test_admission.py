"""Kueue at work: who is admitted, on which quota.

https://kueue.sigs.k8s.io/docs/concepts/ (ClusterQueue, Workload).
Jobs are created suspended, as every user of Kueue may; their pods need not run for any of this.
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import CLUSTER_QUEUE
from tests.contract.kube import condition, is_true, until
from tests.contract.kueue.sums import set_quota, suspended, usage

pytestmark = pytest.mark.needs("kueue", "kueue-jobs")
GPU = objects.GPU


def test_a_job_within_quota_is_admitted_and_unsuspended(
    cluster, kube, space, make_queue, submit, admitted, flavor
):
    queue = make_queue("training", 8)
    submit("one", "training", 4)
    held = admitted("one")
    assert is_true(held, "QuotaReserved")
    admission = held["status"]["admission"]
    assert admission["clusterQueue"] == queue
    (pod_set,) = admission["podSetAssignments"]
    assert pod_set["flavors"] == {GPU: flavor}
    assert pod_set["resourceUsage"] == {GPU: "4"}
    until(lambda: not suspended(kube, space, "one"), "it runs", within_s=cluster.wait_s)


def test_a_workload_says_what_it_asks_for(kube, make_queue, submit, workload):
    make_queue("training", 0)
    submit("one", "training", 3)
    held = workload("one")
    assert held["spec"]["queueName"] == "training"
    assert [pod_set["count"] for pod_set in held["spec"]["podSets"]] == [3]
    assert held["metadata"]["ownerReferences"][0]["kind"] == "Job"


def test_usage_is_counted_by_flavour(cluster, kube, make_queue, submit, admitted):
    queue = make_queue("training", 8)
    submit("one", "training", 3)
    admitted("one")
    until(
        lambda: usage(kube, queue) == {"total": 3, "borrowed": 0},
        "three GPUs are used",
        within_s=cluster.wait_s,
    )
    status = kube.get(CLUSTER_QUEUE, "", queue)["status"]
    assert (status["admittedWorkloads"], status["reservingWorkloads"]) == (1, 1)


def test_a_job_beyond_quota_waits_suspended(
    cluster, kube, space, make_queue, submit, admitted, waits
):
    queue = make_queue("training", 4)
    submit("one", "training", 3)
    admitted("one")
    submit("two", "training", 2)
    waits("two")
    assert suspended(kube, space, "two")
    until(
        lambda: kube.get(CLUSTER_QUEUE, "", queue)["status"].get("pendingWorkloads") == 1,
        "one workload is pending",
        within_s=cluster.wait_s,
    )


def test_a_raised_quota_admits_who_waited(kube, make_queue, submit, waits, admitted):
    queue = make_queue("training", 1)
    submit("one", "training", 2)
    waits("one")
    set_quota(kube, queue, 1, 2)
    admitted("one")


def test_lowering_a_quota_evicts_nobody(
    cluster, kube, space, make_queue, submit, admitted, workload, waits
):
    queue = make_queue("training", 4)
    submit("one", "training", 4)
    admitted("one")
    set_quota(kube, queue, 4, 2)
    submit("two", "training", 1)
    waits("two")
    assert is_true(workload("one"), "Admitted")
    assert not condition(workload("one"), "Evicted")
    until(lambda: not suspended(kube, space, "one"), "it still runs", within_s=cluster.wait_s)
    assert usage(kube, queue)["total"] == 4
