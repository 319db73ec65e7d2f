"""The checker over a plan that changes every kind of object but nodes, forward and back."""

from infra_console.plans.taking_back.rollback import roll_back
from tests.infra_console.plans.invariants.test_real_runs import judge, nodes_file
from tests.infra_console.plans.steps.test_machines import BURST, burst
from tests.infra_console.plans.targets import (
    BOUNDARIES,
    add,
    handed_over,
    held,
    leader_worker_set,
    plan_of,
    ref,
    step,
    survive,
    until,
)
from tiers.twin.kube.resources import HPAS, LEADER_WORKER_SETS, QUOTAS

__all__ = ["burst", "judge", "nodes_file"]


def test_machines_sets_bounds_and_quotas_both_ways_break_nothing(
    twin, armed, approved, operator, judge, burst, monkeypatch
):
    """A worker dies after the second of five writes, and after the second on the way back."""
    leader_worker_set(twin, 1)
    until(lambda: held(twin, LEADER_WORKER_SETS, "wide").get("status", {}).get("readyReplicas"))
    body = {"metadata": {"name": "gpus"}, "spec": {"hard": {"requests.nvidia.com/gpu": "64"}}}
    add(twin, QUOTAS, handed_over(QUOTAS, body))
    aim = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat-70b"}
    body = {"metadata": {"name": "chat"}, "spec": {"minReplicas": 1, "maxReplicas": 30}}
    add(twin, HPAS, handed_over(HPAS, body, scaleTargetRef=aim))
    bounds = {"from": {"min": 1, "max": 30}, "to": {"min": 1, "max": 40}}
    steps = (
        step("quota.cap", ref("ResourceQuota", "gpus"), **{"from": 64, "to": 72}),
        step("machines.scale", BURST, wave=1, **{"from": 2, "to": 3}),
        step("workload.bound", ref("HorizontalPodAutoscaler", "chat"), wave=2, **bounds),
        step("workload.scale_ordinal", ref("LeaderWorkerSet", "wide"), 2, **{"from": 1, "to": 2}),
    )
    plan = survive(monkeypatch, approved(plan_of(*steps)), BOUNDARIES[1], 2)
    assert plan.state == "verified", plan.state_reason
    roll_back(plan.id, by=operator, reason="slower")
    plan = survive(monkeypatch, plan, BOUNDARIES[1], 2)
    assert plan.state == "rolled_back", plan.state_reason
    answer = judge()
    assert answer["ok"] is True, answer
    assert answer["I5"]["checked"] == 9  # four there, four back, and the machine that goes first
