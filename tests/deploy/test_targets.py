"""The optional roles in deploy/kubernetes/targets.yaml: each grants what its steps use, no more."""

import pytest

from infra_console.plans.taking_back.rollback import roll_back
from tests.deploy.test_manifests import documents, found, granted, used
from tests.infra_console.conftest import named_cluster, tls, twin
from tests.infra_console.plans.conftest import _short_waits, approved, approver, armed, operator
from tests.infra_console.plans.steps.test_machines import BURST, CLASS, STATIC, burst, fixed
from tests.infra_console.plans.targets import (
    add,
    handed_over,
    held,
    leader_worker_set,
    plan_of,
    ref,
    room,
    stateful_set,
    step,
    until,
    work,
)
from tests.tiers.twin.kube import objects
from tiers.twin.kube.resources import (
    DEPLOYMENTS,
    HPAS,
    LEADER_WORKER_SETS,
    NODE_POOLS,
    QUOTAS,
    SCALED_OBJECTS,
    STATEFUL_SETS,
)

__all__ = [
    "_short_waits", "approved", "approver", "armed", "burst", "fixed", "named_cluster", "operator",
    "tls", "twin",
]  # fmt: skip

ELSEWHERE = ("infra-console-executor", "infra-console-owner")


def used_beyond_nodes(twin) -> set[tuple[str, str]]:
    """What an execution used that the roles of every executor do not grant, namespaces apart."""
    kinds = ("ClusterRole", "Role")
    roles = [found(kind, name) for kind, name in zip(kinds, ELSEWHERE, strict=True)]
    return {(r, v) for r, v in used(twin) - granted(*roles) if r != "namespaces"}


@pytest.fixture
def carry_out(twin, armed, approved, operator):
    """A whole plan and its way back."""

    def run(*steps) -> None:
        plan = work(approved(plan_of(*steps)))
        assert plan.state == "verified", plan.state_reason
        roll_back(plan.id, by=operator, reason="slower")
        assert work(plan).state == "rolled_back"

    return run


def test_autoscalers_are_bounded_with_their_role(twin, carry_out):
    room(twin)
    add(twin, DEPLOYMENTS, objects.deployment("embed", replicas=1))
    aim = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "embed"}
    body = {"metadata": {"name": "embed"}, "spec": {"minReplicas": 1, "maxReplicas": 3}}
    add(twin, HPAS, handed_over(HPAS, body, scaleTargetRef=aim))
    body = {"metadata": {"name": "idle"}, "spec": {"minReplicaCount": 0}}
    cron = {"timezone": "Etc/UTC", "start": "0 0 1 1 *", "end": "1 0 1 1 *", "desiredReplicas": "0"}
    keeps = {
        "scaleTargetRef": {"name": "chat-70b"},
        "triggers": [{"type": "cron", "metadata": cron}],
    }
    add(twin, SCALED_OBJECTS, handed_over(SCALED_OBJECTS, body, **keeps))
    hpa, keda = ref("HorizontalPodAutoscaler", "embed"), ref("ScaledObject", "idle")
    carry_out(
        step("workload.bound", hpa, **{"from": {"min": 1, "max": 3}, "to": {"min": 2, "max": 3}}),
        step(
            "workload.bound",
            keda,
            **{"from": {"min": 0, "max": None}, "to": {"min": 1, "max": None}},
        ),
    )
    assert used_beyond_nodes(twin) == granted(found("ClusterRole", "infra-console-bounds"))


def test_machines_and_pools_are_changed_with_their_role(twin, carry_out, burst, fixed):
    add(twin, NODE_POOLS, pool_without_limit())
    carry_out(
        step("machines.scale", BURST, **{"from": 2, "to": 3}),
        step("machines.scale", STATIC, **{"from": 1, "to": 2}),
        step("quota.cap", ref("NodePool", "open", ""), **{"from": None, "to": 16}),
    )
    assert used_beyond_nodes(twin) == granted(found("ClusterRole", "infra-console-machines"))


def pool_without_limit():
    body = {"metadata": {"name": "open"}, "spec": {"template": {"spec": CLASS}}}
    return handed_over(NODE_POOLS, body)


def test_quotas_are_set_with_their_role(twin, carry_out):
    body = {"metadata": {"name": "gpus"}, "spec": {"hard": {"requests.nvidia.com/gpu": "64"}}}
    add(twin, QUOTAS, handed_over(QUOTAS, body))
    carry_out(step("quota.cap", ref("ResourceQuota", "gpus"), **{"from": 64, "to": 72}))
    assert used_beyond_nodes(twin) == granted(found("ClusterRole", "infra-console-quotas"))


def test_every_policy_speaks_of_the_executor_and_keeps_other_annotations():
    policies = [d for d in documents() if d["kind"] == "ValidatingAdmissionPolicy"]
    assert len(policies) >= 7
    for policy in policies:
        assert policy["spec"]["failurePolicy"] == "Fail"
        condition = policy["spec"]["matchConditions"][0]["expression"]
        assert "'system:serviceaccount:infra-console:executor'" in condition
        rules = [v["expression"] for v in policy["spec"]["validations"]]
        assert "variables.foreignNotes.size() == 0" in rules


def test_sets_are_scaled_with_their_role(twin, carry_out):
    room(twin)
    stateful_set(twin, 1)
    leader_worker_set(twin, 1)
    for resource, name in ((STATEFUL_SETS, "embed"), (LEADER_WORKER_SETS, "wide")):
        until(lambda r=resource, n=name: held(twin, r, n).get("status", {}).get("readyReplicas"))
    both = (ref("StatefulSet", "embed"), ref("LeaderWorkerSet", "wide"))
    carry_out(*(step("workload.scale_ordinal", t, **{"from": 1, "to": 2}) for t in both))
    assert used_beyond_nodes(twin) == granted(found("ClusterRole", "infra-console-sets"))
