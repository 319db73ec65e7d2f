"""The eviction subresource: a delete that asks the PodDisruptionBudgets first.

https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/ and
https://kubernetes.io/docs/concepts/workloads/pods/disruptions/
"""

import re

import pytest
from kubernetes.client.exceptions import ApiException

from tests.contract import objects
from tests.contract.kinds import PDB, POD
from tests.contract.kube import condition, refused, until

BLOCKED = "Cannot evict pod as it would violate the pod's disruption budget."


def test_a_pod_without_a_budget_is_evicted(cluster, kube, space, running_pods):
    running_pods(1)
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "chat-0"}}
    code, answer = kube.send("POST", POD.path(space, "chat-0", "eviction"), body)
    assert (code, answer["kind"], answer["status"]) == (201, "Status", "Success")
    until(lambda: not kube.find(POD, space, "chat-0"), "the pod is gone", within_s=cluster.wait_s)


def test_an_eviction_is_graceful_and_says_why_on_the_pod(kube, space, running_pods):
    running_pods(1)
    start = kube.listed(POD, space)["metadata"]["resourceVersion"]
    kube.evict(space, "chat-0")
    reasons = set()
    for event in kube.watch(POD, space, resourceVersion=start, timeout_s=20):
        reasons.add(condition(event["object"], "DisruptionTarget").get("reason"))
        if event["type"] == "DELETED":
            assert event["object"]["metadata"]["deletionTimestamp"]
            break
    assert "EvictionByEvictionAPI" in reasons


def test_a_budget_with_nothing_to_spare_blocks_with_429(kube, space, running_pods, guard):
    running_pods(2)
    guard(keep=2, healthy=2)
    with refused(429) as caught:
        kube.evict(space, "chat-0")
    answer = caught.value
    assert (answer.reason, answer.message) == ("TooManyRequests", BLOCKED)
    (cause,) = answer.causes
    assert cause["reason"] == "DisruptionBudget"
    assert cause["message"] == (
        "The disruption budget chat needs 2 healthy pods and has 2 currently"
    )
    assert "deletionTimestamp" not in kube.get(POD, space, "chat-0")["metadata"]


def test_a_budget_is_spent_one_eviction_at_a_time(kube, space, running_pods, guard):
    running_pods(2)
    guard(keep=1, healthy=2)
    kube.evict(space, "chat-0")
    with refused(429) as caught:
        kube.evict(space, "chat-1")
    said = caught.value.causes[0]["message"]
    assert re.search(r"The disruption budget chat (needs 1 healthy pods|is still being)", said)


def test_an_allowed_eviction_is_noted_in_the_budget(kube, space, running_pods, guard):
    running_pods(2)
    start = guard(keep=1, healthy=2)["metadata"]["resourceVersion"]
    kube.evict(space, "chat-0")
    events = kube.watch(PDB, space, resourceVersion=start, timeout_s=20)
    written = (event["object"]["status"] for event in events)
    status = next(status for status in written if status.get("disruptedPods"))
    events.close()
    assert status["disruptionsAllowed"] == 0
    assert list(status["disruptedPods"]) == ["chat-0"]


def test_two_budgets_over_one_pod_are_a_500(kube, space, running_pods, guard):
    running_pods(2)
    guard(keep=1, healthy=2, name="one")
    guard(keep=1, healthy=2, name="two")
    with refused(500) as caught:
        kube.evict(space, "chat-0")
    assert "more than one PodDisruptionBudget" in caught.value.message
    assert kube.find(POD, space, "chat-0")


def test_a_pending_pod_asks_no_budget(kube, space):
    pod = objects.pod("chat-0", "nowhere", labels={"app": "chat"})
    kube.create(POD, space, pod)
    kube.create(PDB, space, objects.budget("chat", app="chat", keep=1))
    kube.evict(space, "chat-0")
    assert kube.find(POD, space, "chat-0") is None


def test_a_budget_of_other_pods_does_not_matter(kube, space, running_pods):
    running_pods(1)
    kube.create(PDB, space, objects.budget("other", app="other", keep=1))
    kube.evict(space, "chat-0")


def test_evicting_a_missing_pod_is_a_404(kube, space):
    with refused(404) as caught:
        kube.evict(space, "gone")
    assert caught.value.details == {"name": "gone", "kind": "pods"}


def test_evicting_another_uid_is_a_409(kube, space, running_pods):
    running_pods(1)
    wrong = {"preconditions": {"uid": "00000000-0000-4000-8000-000000000005"}}
    with refused(409):
        kube.evict(space, "chat-0", wrong)
    assert "deletionTimestamp" not in kube.get(POD, space, "chat-0")["metadata"]


def test_an_eviction_of_another_name_is_a_400(kube, space, running_pods):
    running_pods(1)
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "chat-9"}}
    with refused(400) as caught:
        kube.send("POST", POD.path(space, "chat-0", "eviction"), body)
    assert "name in URL does not match name in Eviction object" in caught.value.message


def test_a_budget_counts_its_pods(kube, space, running_pods, guard):
    running_pods(3)
    status = guard(keep=2, healthy=3)["status"]
    wanted = {"expectedPods": 3, "currentHealthy": 3, "desiredHealthy": 2, "disruptionsAllowed": 1}
    assert {key: status[key] for key in wanted} == wanted
    assert status["observedGeneration"] == 1


@pytest.mark.needs("disruption")
def test_a_budget_says_by_a_condition_whether_it_allows(kube, space, running_pods, guard):
    running_pods(1)
    held = condition(guard(keep=1, healthy=1), "DisruptionAllowed")
    assert (held["status"], held["reason"]) == ("False", "InsufficientPods")


@pytest.mark.needs("disruption")
def test_a_budget_follows_its_pods(cluster, kube, space, node, running_pods, guard):
    running_pods(2)
    guard(keep=1, healthy=2)
    kube.delete(POD, space, "chat-1", {"gracePeriodSeconds": 0})

    def status() -> dict:
        return kube.get(PDB, space, "chat")["status"]

    until(lambda: status()["disruptionsAllowed"] == 0, "less to spare", within_s=cluster.wait_s)
    pod = objects.pod("chat-2", space, labels={"app": "chat"}, on=node)
    kube.create(POD, space, pod)
    until(lambda: status()["disruptionsAllowed"] == 1, "more again", within_s=cluster.wait_s)


def test_a_budget_is_of_one_kind_only(kube, space):
    body = objects.budget("chat", app="chat", keep=1)
    body["spec"]["maxUnavailable"] = 1
    with refused(422):
        kube.create(PDB, space, body)


@pytest.mark.parametrize("keep", ["most", -1, "101%"])
def test_a_budget_is_a_number_or_a_share(kube, space, keep):
    body = objects.budget("chat", app="chat", keep=1)
    body["spec"]["minAvailable"] = keep
    with refused(422) as caught:
        kube.create(PDB, space, body)
    assert {cause["field"] for cause in caught.value.causes} == {"spec.minAvailable"}


def test_the_official_client_sees_the_same_block(core, space, running_pods, guard):
    running_pods(1)
    guard(keep=1, healthy=1)
    body = {"metadata": {"name": "chat-0", "namespace": space}}
    with pytest.raises(ApiException) as caught:
        core.create_namespaced_pod_eviction("chat-0", space, body)
    assert (caught.value.status, '"DisruptionBudget"' in caught.value.body) == (429, True)
