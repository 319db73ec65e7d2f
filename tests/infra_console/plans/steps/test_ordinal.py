"""StatefulSets and LeaderWorkerSets scaled on a served cluster: who leaves, who comes, who not."""

import pytest

from infra_console.plans.looking.rollback_preview import objects_back
from infra_console.plans.models import Step
from infra_console.plans.spec import Precondition
from infra_console.plans.taking_back.rollback import roll_back
from tests.infra_console.plans.targets import (
    DEATHS,
    SPACE,
    held,
    leader_worker_set,
    plan_of,
    ref,
    room,
    stateful_set,
    step,
    survive,
    until,
    work,
)
from tiers.twin.kube.resources import LEADER_WORKER_SETS, PODS, STATEFUL_SETS

SET, GROUPS = ref("StatefulSet", "embed"), ref("LeaderWorkerSet", "wide")


def scale(target, before: int, after: int, **more):
    return step("workload.scale_ordinal", target, **{"from": before, "to": after}, **more)


def ready(twin, resource, name: str) -> int:
    status = held(twin, resource, name).get("status") or {}
    return status.get("readyReplicas", 0)


def pods_of(twin, name: str) -> list[str]:
    every = (p["metadata"]["name"] for p in twin.call(twin.store.all, PODS, SPACE))
    return sorted(p for p in every if p.startswith(f"{name}-"))


@pytest.fixture
def embed(twin):
    room(twin)
    stateful_set(twin, 3)
    until(lambda: ready(twin, STATEFUL_SETS, "embed") == 3)


@pytest.fixture
def wide(twin):
    room(twin)
    leader_worker_set(twin, 2)
    until(lambda: ready(twin, LEADER_WORKER_SETS, "wide") == 2)


def test_a_set_loses_its_highest_pod_and_gets_it_back(twin, embed, armed, approved, operator):
    plan = approved(plan_of(scale(SET, 3, 2, leaves=["embed-2"])))
    assert work(plan).state == "verified", plan.state_reason
    assert pods_of(twin, "embed") == ["embed-0", "embed-1"]
    roll_back(plan.id, by=operator, reason="slower")
    assert work(plan).state == "rolled_back"
    assert ready(twin, STATEFUL_SETS, "embed") == 3
    assert twin.mutations() == ["update statefulsets/scale embed"] * 2


@pytest.mark.parametrize(("way", "where"), DEATHS)
def test_killed_at_any_boundary_a_group_comes_and_goes_once(
    twin, wide, armed, approved, operator, monkeypatch, where, way
):
    plan = approved(plan_of(scale(GROUPS, 2, 3)))
    plan = survive(monkeypatch, plan, where) if way == "there" else work(plan)
    assert plan.state == "verified", plan.state_reason
    assert pods_of(twin, "wide")[-2:] == ["wide-2", "wide-2-1"]
    roll_back(plan.id, by=operator, reason="slower")
    plan = survive(monkeypatch, plan, where) if way == "back" else work(plan)
    assert plan.state == "rolled_back", plan.state_reason
    assert pods_of(twin, "wide") == ["wide-0", "wide-0-1", "wide-1", "wide-1-1"]
    assert twin.mutations() == ["update leaderworkersets/scale wide"] * 2


def test_a_shrink_of_others_than_it_names_is_refused(twin, embed, armed, approved):
    plan = work(approved(plan_of(scale(SET, 3, 2, leaves=["embed-0"]))))
    assert plan.state == "failed"
    assert "would lose embed-2; the plan names embed-0" in plan.state_reason
    assert twin.mutations() == []


def test_a_victim_that_runs_elsewhere_by_now_stops_the_plan(twin, wide, armed, approved):
    nodes = {"wide-1": ["eastus-nowhere"]}
    plan = work(approved(plan_of(scale(GROUPS, 2, 1, leaves=["wide-1"], nodes=nodes))))
    assert plan.state == "failed"
    assert "the plan frees eastus-nowhere" in plan.state_reason
    assert twin.mutations() == []


def test_the_node_that_follows_its_victim_is_accepted(twin, wide, armed, approved):
    pods = twin.call(twin.store.all, PODS, SPACE)
    nodes = {p["spec"]["nodeName"] for p in pods if p["metadata"]["name"].startswith("wide-1")}
    shrink = scale(GROUPS, 2, 1, leaves=["wide-1"], nodes={"wide-1": sorted(nodes)})
    assert work(approved(plan_of(shrink))).state == "verified"
    assert pods_of(twin, "wide") == ["wide-0", "wide-0-1"]


def test_a_floor_and_a_foreign_count_are_respected(twin, embed, armed, approved):
    low = work(approved(plan_of(scale(SET, 3, 1, floor=2))))
    assert (low.state, "below its floor of 2" in low.state_reason) == ("failed", True)
    other = work(approved(plan_of(scale(SET, 4, 5))))
    assert "has 3 replicas, set by somebody else" in other.state_reason
    assert twin.mutations() == []


def test_unarmed_the_server_checks_and_keeps_nothing(twin, embed, approved):
    assert work(approved(plan_of(scale(SET, 3, 2, leaves=["embed-2"])))).state == "rehearsed"
    assert twin.mutations() == []
    assert any(r.dry_run and r.subresource == "scale" for r in twin.log.recent)


def test_a_scale_that_somebody_takes_back_is_a_state_and_no_loop(
    twin, wide, armed, approved, monkeypatch
):
    """A new group cannot start; meanwhile somebody sets the old count again."""
    plan = approved(plan_of(scale(GROUPS, 2, 40)))
    from infra_console.plans.executing import runner

    monkeypatch.setattr(runner, "WORK_S", 0.3)
    work(plan, turns=1)
    assert plan.state == "executing"
    twin.edit(LEADER_WORKER_SETS, SPACE, "wide", {"spec": {"replicas": 2}})
    assert work(plan).state == "paused"
    assert "reverted by somebody else" in plan.state_reason
    assert twin.count("update leaderworkersets/scale") == 1


def test_drift_of_replicas_voids_the_plan(twin, embed, armed, approved):
    uid = held(twin, STATEFUL_SETS, "embed")["metadata"]["uid"]
    facts = {"uid": uid, "replicas": 3, "group_size": 1, "owners": []}
    plan = approved(
        plan_of(scale(SET, 3, 2), preconditions=(Precondition(target=SET, facts=facts),))
    )
    twin.edit(STATEFUL_SETS, SPACE, "embed", {"spec": {"replicas": 4}})
    work(plan)
    assert plan.state == "void"
    assert "replicas is 4, was 3" in plan.state_reason


def test_the_preview_says_who_would_leave(twin, wide, armed, approved):
    plan = work(approved(plan_of(scale(GROUPS, 2, 3))))
    (back,) = objects_back(plan)
    assert (back.now, back.then, back.evicts) == ("3 replicas", "2 replicas", ("wide-2",))
    twin.edit(LEADER_WORKER_SETS, SPACE, "wide", {"spec": {"replicas": 5}})
    (back,) = objects_back(plan)
    assert back.stops == ("replicas were set by somebody else: the way back would pause",)
    assert [s.undo[0]["kind"] for s in Step.objects.filter(plan=plan)] == ["workload.scale_ordinal"]
