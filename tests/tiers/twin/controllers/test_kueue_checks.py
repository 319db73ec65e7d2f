"""Kueue's admission checks and its own priority classes."""

import pytest

from tests.tiers.twin.controllers.test_kueue import get_job, job, kueue, queue, workload
from tiers.twin.controllers.pods import condition
from tiers.twin.kube.resources import (
    ADMISSION_CHECKS,
    CLUSTER_QUEUES,
    JOBS,
    WORKLOAD_PRIORITY_CLASSES,
    WORKLOADS,
)

__all__ = ["kueue"]
STRATEGY = {"admissionChecks": [{"name": "machines"}]}


def check(world, *, active: str = "True") -> None:
    world.add(ADMISSION_CHECKS, {"metadata": {"name": "machines"},
                                 "spec": {"controllerName": "example.com/machines"}})  # fmt: skip
    held = world.store.get(ADMISSION_CHECKS, "", "machines")
    status = {"conditions": [{"type": "Active", "status": active}]}
    world.store.put(ADMISSION_CHECKS, {**held, "status": status})


def answer(world, state: str) -> None:
    held = workload(world, "one")
    checks = [c | {"state": state} for c in held["status"]["admissionChecks"]]
    world.store.put(WORKLOADS, {**held, "status": held["status"] | {"admissionChecks": checks}})


def status(world, kind: str) -> str:
    found = condition(workload(world, "one"), kind)
    return found["status"] if found else ""


@pytest.fixture
def asked(kueue):
    """A job that has its quota and waits for a check."""
    check(kueue)
    queue(kueue, "main", 16, admissionChecksStrategy=STRATEGY)
    job(kueue, "one", 1)
    kueue.live(4)
    return kueue


def test_quota_is_reserved_and_the_job_waits_for_the_check(asked):
    assert (status(asked, "QuotaReserved"), status(asked, "Admitted")) == ("True", "")
    assert get_job(asked, "one")["spec"]["suspend"]
    (held,) = workload(asked, "one")["status"]["admissionChecks"]
    assert (held["name"], held["state"]) == ("machines", "Pending")


def test_a_ready_check_admits(asked):
    answer(asked, "Ready")
    asked.live(4)
    assert status(asked, "Admitted") == "True"
    assert not get_job(asked, "one")["spec"]["suspend"]


def test_a_check_to_be_retried_gives_the_quota_back_and_queues_again(asked):
    answer(asked, "Retry")
    asked.live(2)
    assert condition(workload(asked, "one"), "Evicted")["reason"] == "AdmissionCheck"
    asked.live(6)
    assert status(asked, "QuotaReserved") == "True"
    assert workload(asked, "one")["status"]["admissionChecks"][0]["state"] == "Pending"


def test_a_rejected_check_deactivates(asked):
    answer(asked, "Rejected")
    asked.live(6)
    assert workload(asked, "one")["spec"]["active"] is False
    assert status(asked, "QuotaReserved") == "False"
    assert get_job(asked, "one")["spec"]["suspend"]


@pytest.mark.parametrize(
    ("there", "reason"), [(False, "AdmissionCheckNotFound"), (True, "AdmissionCheckInactive")]
)
def test_a_queue_whose_check_nobody_answers_admits_nobody(kueue, there, reason):
    if there:
        check(kueue, active="False")
    queue(kueue, "main", 16, admissionChecksStrategy=STRATEGY)
    job(kueue, "one", 1)
    kueue.live(4)
    found = condition(kueue.store.get(CLUSTER_QUEUES, "", "main"), "Active")
    assert (found["status"], found["reason"]) == ("False", reason)
    assert status(kueue, "QuotaReserved") == "False"


def test_kueues_own_class_sets_the_priority_of_the_workload_and_not_of_its_pods(kueue):
    kueue.add(WORKLOAD_PRIORITY_CLASSES, {"metadata": {"name": "urgent"}, "value": 500})
    queue(kueue, "main", 8, preemption={"withinClusterQueue": "LowerPriority"})
    job(kueue, "one", 1)
    kueue.live(10)
    job(kueue, "two", 1)
    held = get_job(kueue, "two")
    labels = held["metadata"]["labels"] | {"kueue.x-k8s.io/priority-class": "urgent"}
    kueue.store.put(JOBS, {**held, "metadata": held["metadata"] | {"labels": labels}})
    kueue.live(20)
    assert workload(kueue, "two")["spec"]["priority"] == 500
    assert status(kueue, "Evicted") == "True"
    assert not get_job(kueue, "two")["spec"]["suspend"]
    assert [p["spec"]["priority"] for p in kueue.pods("training")] == [0]
