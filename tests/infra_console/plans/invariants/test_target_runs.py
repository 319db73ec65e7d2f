"""The checker over a plan that changes every kind of object but nodes, forward and back."""

import pytest
from django.utils import timezone

from infra_console.plans.invariants.api_log import request_of
from infra_console.plans.invariants.authority import authorised
from infra_console.plans.invariants.checker import check
from infra_console.plans.invariants.history import Request
from infra_console.plans.invariants.reading import read_history
from infra_console.plans.models import Execution, Step
from infra_console.plans.safety import disarm
from infra_console.plans.taking_back.handing import hand_back_due
from infra_console.plans.taking_back.rollback import roll_back
from tests.infra_console.kube import CLUSTER, audit_event
from tests.infra_console.plans.invariants.test_real_runs import judge, nodes_file
from tests.infra_console.plans.steps.test_machines import BURST, burst
from tests.infra_console.plans.taking_back.test_handing import taken_by_a_plan
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


def our_requests(twin) -> list[Request]:
    """The writes under our name; the test writes as others through the same client."""
    events = [audit_event(r) for r in list(twin.log.recent)]
    ours = [e for e in events if "fieldManager=infra-console" in e["requestURI"]]
    return [request_of(e) for e in ours if e["verb"] == "patch"]


def test_a_field_handed_back_after_its_plan_ended_breaks_nothing(twin, armed, approved, operator):
    plan, *_ = taken_by_a_plan(twin, approved, "ResourceQuota")
    Execution.objects.filter(plan=plan).update(finished_at=timezone.now())
    disarm(CLUSTER, "inference", by=operator)
    assert hand_back_due(CLUSTER) == 1
    verdicts = check(read_history(requests=our_requests(twin)))
    assert not [v for verdict in verdicts.values() for v in verdict.violations]
    assert verdicts["I5"].checked == 2  # the limit, and whose it is


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": "/spec/hard/pods", "value": "1"}, "changed /spec/hard/pods, and not only whose"),
        (None, "hands back what plan 1 never took over"),
    ],
)
def test_the_checker_finds_a_hand_back_that_did_more_or_had_no_right(
    twin, armed, approved, operator, change, words
):
    taken_by_a_plan(twin, approved, "ResourceQuota")
    disarm(CLUSTER, "inference", by=operator)
    hand_back_due(CLUSTER)
    requests = our_requests(twin)
    if change:
        requests[-1].body.append({"op": "add", **change})
    else:
        Step.objects.update(prior={"limit": "64", "owners": []})
    verdict = authorised(read_history(requests=requests))
    assert any(words in found for found in verdict.violations), verdict
