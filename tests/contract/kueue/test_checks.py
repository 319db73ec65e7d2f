"""Kueue: quota first, and then the word of whoever answers an admission check.

https://kueue.sigs.k8s.io/docs/concepts/ (AdmissionCheck).
Jobs are created suspended, as every user of Kueue may; their pods need not run for any of this.
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import ADMISSION_CHECK, CLUSTER_QUEUE, WORKLOAD
from tests.contract.kube import condition, is_true, until
from tests.contract.kueue.sums import suspended
from tests.contract.played import now

pytestmark = pytest.mark.needs("kueue", "kueue-jobs")


@pytest.fixture
def check(kube, unique, make_custom) -> str:
    """A check that this test answers; its name."""
    name = unique("check")
    spec = {"controllerName": "example.com/contract"}
    make_custom(ADMISSION_CHECK, {"metadata": objects.meta(name), "spec": spec})
    active = {
        "type": "Active", "status": "True", "reason": "Active", "message": "answered by the suite",
        "lastTransitionTime": now(),
    }  # fmt: skip
    kube.patch(ADMISSION_CHECK, "", name, {"status": {"conditions": [active]}}, "merge", "status")
    return name


@pytest.fixture
def asked(cluster, make_queue, submit, workload, check) -> str:
    """A job that has its quota and waits for its check; the check's name."""
    make_queue("training", 4, admissionChecksStrategy={"admissionChecks": [{"name": check}]})
    submit("one", "training", 4)

    def pending() -> bool:
        held = workload("one")
        return is_true(held, "QuotaReserved") and states(held) == {check: "Pending"}

    until(pending, "quota is reserved and the check is asked", within_s=cluster.wait_s)
    return check


def states(held: dict) -> dict[str, str]:
    checks = (held.get("status") or {}).get("admissionChecks") or ()
    return {check["name"]: check["state"] for check in checks}


@pytest.fixture
def answer(kube, space, workload):
    def give(check: str, state: str) -> None:
        said = {"name": check, "state": state, "message": "by the suite",
                "lastTransitionTime": now()}  # fmt: skip
        name = workload("one")["metadata"]["name"]
        body = {"status": {"admissionChecks": [said]}}
        kube.patch(WORKLOAD, space, name, body, "merge", "status")

    return give


def test_a_job_with_quota_waits_for_its_check(kube, space, asked, workload):
    assert not is_true(workload("one"), "Admitted")
    assert suspended(kube, space, "one")


def test_a_ready_check_lets_it_run(cluster, kube, space, asked, answer, admitted):
    answer(asked, "Ready")
    admitted("one")
    until(lambda: not suspended(kube, space, "one"), "it runs", within_s=cluster.wait_s)


def test_a_check_to_be_retried_takes_the_quota_back(cluster, asked, answer, workload):
    answer(asked, "Retry")
    until(
        lambda: condition(workload("one"), "Evicted").get("reason") == "AdmissionCheck",
        "it is sent back",
        within_s=cluster.wait_s,
    )


def test_a_rejected_check_deactivates_the_workload(cluster, asked, answer, workload):
    answer(asked, "Rejected")
    until(lambda: workload("one")["spec"]["active"] is False, "it is deactivated",
          within_s=cluster.wait_s)  # fmt: skip


def test_a_queue_whose_check_does_not_exist_is_not_active(
    cluster, kube, unique, make_custom, flavor
):
    name = unique("queue")
    strategy = {"admissionChecks": [{"name": unique("none")}]}
    body = objects.cluster_queue(name, {flavor: 4}, admissionChecksStrategy=strategy)
    make_custom(CLUSTER_QUEUE, body)

    def inactive() -> bool:
        found = condition(kube.get(CLUSTER_QUEUE, "", name), "Active")
        return (found.get("status"), found.get("reason")) == ("False", "AdmissionCheckNotFound")

    until(inactive, "the queue is not active", within_s=cluster.wait_s)
