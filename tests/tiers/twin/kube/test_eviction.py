"""Eviction through the official client, against budgets."""

import json

import pytest
from kubernetes import client
from kubernetes.client import ApiException

from tests.tiers.twin.kube import objects


@pytest.fixture
def policy(running) -> client.PolicyV1Api:
    return client.PolicyV1Api(running.api())


@pytest.fixture
def ready_pod(core, space, node) -> str:
    """A pod that runs and is ready."""
    body = objects.pod()
    body["spec"]["nodeName"] = node
    core.create_namespaced_pod(space, body)
    ready = [{"type": "Ready", "status": "True"}]
    core.patch_namespaced_pod_status(
        "p1", space, {"status": {"phase": "Running", "conditions": ready}}
    )
    return "p1"


def guard(policy, space: str, allowed: int, name: str = "chat") -> None:
    policy.create_namespaced_pod_disruption_budget(space, objects.budget(name))
    status = {
        "disruptionsAllowed": allowed,
        "currentHealthy": 1,
        "desiredHealthy": 1 - allowed,
        "expectedPods": 1,
        "observedGeneration": 1,
    }
    policy.patch_namespaced_pod_disruption_budget_status(name, space, {"status": status})


def evict(core, space: str, name: str, **options):
    return core.create_namespaced_pod_eviction(name, space, objects.eviction(name, **options))


def test_an_exhausted_budget_says_wait_and_why(core, policy, space, ready_pod):
    guard(policy, space, allowed=0)
    with pytest.raises(ApiException) as caught:
        evict(core, space, ready_pod)
    body = json.loads(caught.value.body)
    assert (caught.value.status, body["reason"]) == (429, "TooManyRequests")
    assert body["details"]["causes"][0]["reason"] == "DisruptionBudget"
    assert "needs 1 healthy pods and has 1 currently" in body["details"]["causes"][0]["message"]
    # Nobody knows how long: the real server names a delay only while it counts.
    assert "Retry-After" not in caught.value.headers
    assert core.read_namespaced_pod(ready_pod, space).metadata.deletion_timestamp is None


def test_a_budget_that_is_not_counted_yet_says_when_to_come_back(core, policy, space, ready_pod):
    policy.create_namespaced_pod_disruption_budget(space, objects.budget())
    with pytest.raises(ApiException) as caught:
        evict(core, space, ready_pod)
    assert caught.value.status == 429
    assert int(caught.value.headers["Retry-After"]) > 0
    assert "still being processed by the server" in caught.value.body


def test_of_two_rapid_evictions_one_budget_lets_one_pass(core, policy, space, node):
    for name in ("p1", "p2"):
        body = objects.pod(name)
        body["spec"]["nodeName"] = node
        core.create_namespaced_pod(space, body)
        ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        core.patch_namespaced_pod_status(name, space, {"status": ready})
    guard(policy, space, allowed=1)
    evict(core, space, "p1")
    with pytest.raises(ApiException) as caught:
        evict(core, space, "p2")
    assert caught.value.status == 429
    assert core.read_namespaced_pod("p2", space).metadata.deletion_timestamp is None


def test_an_eviction_within_budget_spends_it(core, policy, space, ready_pod):
    guard(policy, space, allowed=1)
    evict(core, space, ready_pod)
    pod = core.read_namespaced_pod(ready_pod, space)
    assert pod.metadata.deletion_timestamp is not None
    assert "DisruptionTarget" in {c.type for c in pod.status.conditions}
    budget = policy.read_namespaced_pod_disruption_budget("chat", space)
    assert budget.status.disruptions_allowed == 0
    assert ready_pod in budget.status.disrupted_pods


def test_dry_run_spends_nothing_but_is_refused_alike(core, policy, space, ready_pod):
    guard(policy, space, allowed=1)
    evict(core, space, ready_pod, dryRun=["All"])
    assert core.read_namespaced_pod(ready_pod, space).metadata.deletion_timestamp is None
    budget = policy.read_namespaced_pod_disruption_budget("chat", space)
    assert budget.status.disruptions_allowed == 1


def test_two_budgets_on_one_pod_are_a_server_error(core, policy, space, ready_pod):
    guard(policy, space, allowed=1)
    guard(policy, space, allowed=1, name="second")
    with pytest.raises(ApiException) as caught:
        evict(core, space, ready_pod)
    assert caught.value.status == 500
    assert "more than one PodDisruptionBudget" in caught.value.body


def test_an_eviction_of_another_incarnation_is_refused(core, space, ready_pod):
    with pytest.raises(ApiException) as caught:
        evict(core, space, ready_pod, preconditions={"uid": "other"})
    assert caught.value.status == 409


def test_an_absent_pod_is_not_found(core, space):
    with pytest.raises(ApiException) as caught:
        evict(core, space, "nobody")
    assert caught.value.status == 404
