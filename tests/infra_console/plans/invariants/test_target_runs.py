"""The checker over plans that change more than nodes, forward and back."""

from infra_console.plans.rollback import roll_back
from tests.infra_console.plans.invariants.test_real_runs import judge, nodes_file
from tests.infra_console.plans.targets import (
    BOUNDARIES,
    held,
    leader_worker_set,
    plan_of,
    ref,
    room,
    step,
    survive,
    until,
    work,
)
from tiers.twin.kube.resources import LEADER_WORKER_SETS

__all__ = ["judge", "nodes_file"]


def test_a_set_that_grew_and_shrank_breaks_nothing(
    twin, armed, approved, operator, judge, monkeypatch
):
    room(twin)
    leader_worker_set(twin, 1)
    until(lambda: held(twin, LEADER_WORKER_SETS, "wide").get("status", {}).get("readyReplicas"))
    grow = step("workload.scale_ordinal", ref("LeaderWorkerSet", "wide"), **{"from": 1, "to": 2})
    plan = survive(monkeypatch, approved(plan_of(grow)), BOUNDARIES[1])
    assert plan.state == "verified"
    roll_back(plan.id, by=operator, reason="slower")
    assert work(plan).state == "rolled_back"
    answer = judge()
    assert answer["ok"] is True, answer
    assert answer["I5"]["checked"] == 2
