"""Kueue: borrowing within a cohort, reclaiming, and preemption by priority.

https://kueue.sigs.k8s.io/docs/concepts/ (Cohort, Preemption, WorkloadPriorityClass).
Jobs are created suspended, as every user of Kueue may; their pods need not run for any of this.
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import WORKLOAD_PRIORITY
from tests.contract.kube import condition, is_true, until
from tests.contract.kueue.sums import set_quota, suspended, usage

pytestmark = pytest.mark.needs("kueue", "kueue-jobs")


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


def test_what_nobody_lends_is_not_borrowed(unique, make_queue, submit, waits, flavor):
    name = unique("cohort")
    group = objects.resource_group({flavor: 4})
    group["flavors"][0]["resources"][0]["lendingLimit"] = "1"
    make_queue("ours", 4, cohortName=name, resourceGroups=[group])
    make_queue("theirs", 4, cohortName=name)
    submit("big", "theirs", 6)
    waits("big")


def test_a_lowered_quota_makes_a_borrower_and_evicts_nobody_by_itself(
    cluster, kube, cohort, submit, admitted, workload
):
    submit("mine", "theirs", 4)
    admitted("mine")
    set_quota(kube, cohort["theirs"], 4, 2)
    until(
        lambda: usage(kube, cohort["theirs"]) == {"total": 4, "borrowed": 2},
        "two are borrowed now",
        within_s=cluster.wait_s,
    )
    assert not condition(workload("mine"), "Evicted")


def test_who_may_not_reclaim_waits_for_what_it_lent(unique, make_queue, submit, admitted, waits,
                                                    workload):  # fmt: skip
    name = unique("cohort")
    make_queue("ours", 4, cohortName=name)
    make_queue("theirs", 4, cohortName=name)
    submit("big", "theirs", 8)
    admitted("big")
    submit("owner", "ours", 4)
    waits("owner")
    assert is_true(workload("big"), "Admitted")


@pytest.fixture
def rank(unique, make_custom):
    """Makes a WorkloadPriorityClass; its name."""

    def make(value: int) -> str:
        name = unique("rank")
        made = {"metadata": objects.meta(name), "value": value, "description": "of the contract"}
        make_custom(WORKLOAD_PRIORITY, made)
        return name

    return make


def test_a_class_of_kueues_own_ranks_a_workload(submit, make_queue, workload, rank):
    make_queue("training", 0)
    name = rank(700)
    submit("one", "training", 1, rank=name)
    spec = workload("one")["spec"]
    assert spec["priority"] == 700
    assert (spec["priorityClassRef"]["kind"], spec["priorityClassRef"]["name"]) == (
        "WorkloadPriorityClass",
        name,
    )


def test_a_lower_workload_of_the_same_queue_gives_way(
    cluster, kube, space, submit, make_queue, admitted, workload, rank, stopped
):
    make_queue("training", 4, preemption={"withinClusterQueue": "LowerPriority"})
    submit("low", "training", 4, rank=rank(1))
    admitted("low")
    submit("high", "training", 4, rank=rank(10))
    admitted("high")
    assert condition(workload("low"), "Preempted")["reason"] == "InClusterQueue"
    stopped("low")
    until(lambda: not suspended(kube, space, "high"), "it runs", within_s=cluster.wait_s)


def test_without_that_policy_a_higher_workload_waits(
    submit, make_queue, admitted, workload, rank, waits
):
    make_queue("training", 4)
    submit("low", "training", 4, rank=rank(1))
    admitted("low")
    submit("high", "training", 4, rank=rank(10))
    waits("high")
    assert is_true(workload("low"), "Admitted")


def test_the_higher_of_those_who_wait_is_next(
    cluster, kube, submit, make_queue, admitted, waits, rank
):
    queue = make_queue("training", 0)
    submit("first", "training", 1, rank=rank(1))
    submit("second", "training", 1, rank=rank(10))
    for name in ("first", "second"):
        waits(name)
    set_quota(kube, queue, 0, 1)
    admitted("second")
    waits("first")
