"""Kueue at work: admission, quota, cohorts, and the ways a workload leaves.

https://kueue.sigs.k8s.io/docs/concepts/ (ClusterQueue, Workload, preemption). Jobs are created
suspended, as every user of Kueue may; their pods need not run for any of this.
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import CLUSTER_QUEUE, FLAVOR, JOB, LOCAL_QUEUE, WORKLOAD
from tests.contract.kube import condition, is_true, until

pytestmark = pytest.mark.needs("kueue", "kueue-jobs")
GPU = objects.GPU
QUOTA = "/spec/resourceGroups/0/flavors/0/resources/0/nominalQuota"


@pytest.fixture
def flavor(unique, make_custom) -> str:
    name = unique("flavor")
    make_custom(FLAVOR, objects.flavor(name))
    return name


@pytest.fixture
def make_queue(cluster, kube, space, unique, make_custom, flavor):
    """Makes a ClusterQueue and the LocalQueue of this name that leads to it; its own name."""

    def make(local: str, gpus: int, **spec) -> str:
        name = unique(local)
        make_custom(CLUSTER_QUEUE, objects.cluster_queue(name, {flavor: gpus}, **spec))
        kube.create(LOCAL_QUEUE, space, objects.local_queue(local, name))
        if spec.get("stopPolicy", "None") == "None":
            active = "the queue is active"
            until(
                lambda: is_true(kube.get(CLUSTER_QUEUE, "", name), "Active"),
                active,
                within_s=cluster.wait_s,
            )
        return name

    return make


@pytest.fixture
def submit(kube, space):
    """Submits a suspended Job of so many one-GPU pods."""

    def make(name: str, queue: str, gpus: int) -> None:
        body = objects.job(name, space, pods=gpus, queue=queue, suspend=True, gpus=1)
        kube.create(JOB, space, body)

    return make


@pytest.fixture
def workload(cluster, kube, space):
    """The Workload of a Job, once there is one."""

    def find(job: str) -> dict:
        uid = kube.get(JOB, space, job)["metadata"]["uid"]

        def owned() -> dict | None:
            for found in kube.items(WORKLOAD, space):
                owners = found["metadata"].get("ownerReferences") or ()
                if uid in {owner["uid"] for owner in owners}:
                    return found
            return None

        return until(owned, f"the Workload of {job}", within_s=cluster.wait_s)

    return find


@pytest.fixture
def admitted(cluster, workload):
    def wait(job: str) -> dict:
        def look() -> dict | None:
            held = workload(job)
            return held if is_true(held, "Admitted") else None

        return until(look, f"{job} is admitted", within_s=cluster.wait_s)

    return wait


@pytest.fixture
def waits(cluster, workload):
    """A Job's Workload has been looked at and has no quota."""

    def wait(job: str) -> dict:
        def look() -> dict | None:
            held = workload(job)
            return held if condition(held, "QuotaReserved").get("status") == "False" else None

        held = until(look, f"{job} waits", within_s=cluster.wait_s)
        assert not is_true(held, "Admitted")
        return held

    return wait


@pytest.fixture
def stopped(cluster, kube, space):
    def wait(job: str) -> None:
        def look() -> bool:
            held = kube.get(JOB, space, job)
            return held["spec"]["suspend"] and not held.get("status", {}).get("active")

        until(look, f"{job} is suspended again", within_s=cluster.wait_s)

    return wait


def suspended(kube, space, job: str) -> bool:
    return kube.get(JOB, space, job)["spec"]["suspend"]


def usage(kube, queue: str) -> dict[str, int]:
    """GPUs of a ClusterQueue's first flavour: used, and of these borrowed."""
    found = (kube.get(CLUSTER_QUEUE, "", queue).get("status") or {}).get("flavorsUsage")
    if not found:
        return {}
    (held,) = found[0]["resources"]
    return {"total": int(held["total"]), "borrowed": int(held.get("borrowed", 0))}


def set_quota(kube, queue: str, before: int, after: int) -> None:
    body = [
        {"op": "test", "path": QUOTA, "value": str(before)},
        {"op": "replace", "path": QUOTA, "value": str(after)},
    ]
    kube.patch(CLUSTER_QUEUE, "", queue, body, "json")


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


@pytest.fixture
def cohort(unique, make_queue) -> dict[str, str]:
    """Two queues of four GPUs each that lend to one another; `ours` takes back what it lent."""
    name = unique("cohort")
    reclaims = {"reclaimWithinCohort": "Any"}
    return {
        "ours": make_queue("ours", 4, cohortName=name, preemption=reclaims),
        "theirs": make_queue("theirs", 4, cohortName=name),
    }


def test_unused_quota_is_borrowed_within_a_cohort(cluster, kube, cohort, submit, admitted):
    submit("big", "theirs", 6)
    admitted("big")
    until(
        lambda: usage(kube, cohort["theirs"]) == {"total": 6, "borrowed": 2},
        "two of six GPUs are borrowed",
        within_s=cluster.wait_s,
    )


def test_nobody_borrows_beyond_the_limit(kube, unique, make_queue, submit, waits, flavor):
    name = unique("cohort")
    make_queue("ours", 4, cohortName=name)
    group = objects.resource_group({flavor: 4})
    group["flavors"][0]["resources"][0]["borrowingLimit"] = "1"
    make_queue("theirs", 4, cohortName=name, resourceGroups=[group])
    submit("big", "theirs", 6)
    waits("big")


def test_reclaiming_preempts_the_borrower(
    cluster, kube, space, cohort, submit, admitted, workload, stopped
):
    for job in ("first", "second"):
        submit(job, "theirs", 4)
        admitted(job)
    submit("owner", "ours", 4)
    admitted("owner")
    until(lambda: not suspended(kube, space, "owner"), "the owner runs", within_s=cluster.wait_s)
    evicted = [job for job in ("first", "second") if is_true(workload(job), "Preempted")]
    assert len(evicted) == 1, "just one borrower gives way"
    held = workload(evicted[0])
    assert condition(held, "Preempted")["reason"] == "InCohortReclamation"
    stopped(evicted[0])
    until(
        lambda: usage(kube, cohort["theirs"]) == {"total": 4, "borrowed": 0},
        "nothing is borrowed any more",
        within_s=cluster.wait_s,
    )
