"""One cycle from metrics to a proposed plan, and the reasons not to plan."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from infra_console.fleet.services import apply_fleet_config
from infra_console.plans.approving.approvals import reject_plan
from infra_console.plans.models import Approval, Plan
from tests.people import person
from tests.tiers.factories import fleet_config, fleet_document
from tiers import cycle as cycles
from tiers import proposals, snapshots, stages
from tiers.core.allocate import allocate
from tiers.core.fleet_state import FleetState
from tiers.core.region_problem import RegionProblem
from tiers.errors import CycleRunning, NoFleet
from tiers.models import Cycle, CycleState, WorkloadForecast


def now() -> datetime:
    return datetime.now(UTC)


def test_demand_above_what_runs_becomes_a_plan_that_takes_the_idle_node(run, metrics, north):
    metrics(now(), 19.0)  # two groups of 5 requests/s run: two more are needed
    cycle = run(FleetState({"north": north}), now=now())
    assert cycle.state == CycleState.DONE, cycle.verdict
    plan = Plan.objects.get()
    spec = plan.spec
    assert plan.authors == ["planner"]
    assert [(m.kind, m.target.name) for m in spec.moves] == [("node", "t2"), ("scale", "chat")]
    assert [s.kind for s in spec.steps] == [
        "node.cordon", "node.drain", "node.assign_tier", "node.uncordon", "workload.scale",
    ]  # fmt: skip
    relied_on = {"from": "training", "key": "infra-console.dev/tier"}
    assert all(s.params.items() >= relied_on.items() for s in spec.steps[:3])
    assert {(lock.cluster, lock.tier) for lock in spec.locks} == {
        ("north", "inference"), ("north", "training"),
    }  # fmt: skip
    assert spec.evidence.states["metrics"] == "live"
    assert {p.query for p in spec.promises} == {"tier_gpus", "ttft_within_slo"}
    assert {h.query for h in spec.harms} == {"tier_gpus", "gpus_requested"}
    assert WorkloadForecast.objects.count() == 2
    assert cycle.document["plans"][0]["hash"] == plan.hash


def test_evidence_from_metrics_is_as_old_as_they_are(run, metrics, north):
    metrics(now() - timedelta(seconds=100), 19.0)
    run(FleetState({"north": replace(north, source="prometheus")}), now=now())
    evidence = Plan.objects.get().spec.evidence
    assert evidence.ages_s["cluster"] == evidence.ages_s["metrics"] >= 100
    assert evidence.states["cluster"] == "delayed"


def test_an_empty_queue_does_not_freeze_the_cluster(run, metrics, north):
    source = metrics(now(), 19.0)
    asked = "cluster_namespace_phase:gpus_requested:sum"
    inference = [s for s in source.data[asked] if s.labels["namespace"] == "inference"]
    source.data = {**source.data, asked: inference}
    idle = replace(north, pods=north.pods[:2])
    cycle = run(FleetState({"north": idle}), now=now())
    assert cycle.document["frozen"] == {}
    assert Plan.objects.count() == 1


def test_steady_demand_is_no_change_worth_its_price(run, metrics, north):
    metrics(now(), 8.0)
    cycle = run(FleetState({"north": north}), now=now())
    assert cycle.verdict == "No change is worth its price."
    assert not Plan.objects.exists()


def test_the_same_moves_keep_the_plan_under_review_and_add_its_author(run, metrics, north):
    metrics(now(), 19.0)
    for who in ("system:cycle", "planner"):
        run(FleetState({"north": north}), by=who, now=now())
    assert Plan.objects.get().authors == ["system:cycle", "planner"]


@pytest.fixture
def rejected(run, metrics, north):
    """A plan that the approver said no to."""
    metrics(now(), 19.0)
    run(FleetState({"north": north}), now=now())
    approver = person("approver")
    return reject_plan(Plan.objects.get().id, by=approver, reason="the launch is off")


def test_what_a_person_rejected_is_not_proposed_again_and_the_cycle_says_whose_no_it_was(
    run, north, rejected
):
    cycle = run(FleetState({"north": north}), now=now())
    assert Plan.objects.count() == 1
    (said,) = cycle.document["withheld"]
    until = rejected.approvals.get().at + timedelta(hours=4)
    assert said == (
        f"north: not proposed again until {until:%H:%M} UTC: plan {rejected.number} with the same "
        "moves was rejected by approver, reason: the launch is off"
    )
    assert cycle.verdict == f"1 change held back; {said}."


def test_a_no_ends_with_its_time(run, north, rejected):
    Approval.objects.update(at=now() - timedelta(hours=4, seconds=1))
    run(FleetState({"north": north}), now=now())
    assert Plan.objects.count() == 2


@pytest.mark.parametrize(("percent", "plans"), [(15.0, 1), (25.0, 2)])
def test_a_no_ends_when_much_more_demand_is_expected(run, north, rejected, percent, plans):
    """The document that was rejected expected less by this share."""
    document = Plan.objects.get().document
    for row in document["evidence"]["demand"]:
        row |= {key: row[key] / (1 + percent / 100) for key in ("p95_2h", "p95_4h")}
    Plan.objects.update(document=document)
    run(FleetState({"north": north}), now=now())
    assert Plan.objects.count() == plans


def test_a_no_does_not_hold_what_restores_a_floor(run, north, rejected, monkeypatch):
    real = proposals.build_plan
    urgent = {"urgent": "inference is under its floor"}
    monkeypatch.setattr(proposals, "build_plan", lambda *a: real(*a).model_copy(update=urgent))
    run(FleetState({"north": north}), now=now())
    assert Plan.objects.count() == 2


def test_a_no_to_other_moves_holds_nothing(run, north, rejected):
    document = rejected.document
    document["moves"][0]["target"]["name"] = "t1"
    Plan.objects.update(document=document)
    run(FleetState({"north": north}), now=now())
    assert Plan.objects.count() == 2


def test_a_plan_that_nobody_rejected_but_ran_out_is_proposed_again(run, metrics, north):
    metrics(now(), 19.0)
    run(FleetState({"north": north}), now=now())
    Plan.objects.update(state="expired")
    run(FleetState({"north": north}), now=now())
    assert Plan.objects.count() == 2


def test_a_cluster_with_a_plan_at_work_gets_no_second_one(run, metrics, north):
    metrics(now(), 19.0)
    run(FleetState({"north": north}), now=now())
    Plan.objects.update(state="executing")
    metrics(now(), 30.0)
    cycle = run(FleetState({"north": north}), now=now())
    assert Plan.objects.count() == 1
    assert "goes first" in cycle.document["notes"][-1]


def test_spot_nodes_are_paid_for_anyway_and_stay_closed_to_who_may_not_use_them(
    run, metrics, north, monkeypatch
):
    seen = []
    monkeypatch.setattr(stages, "allocate", lambda s, **kw: seen.append(s) or allocate(s, **kw))
    document = fleet_document()
    document["pools"][0]["purchase"] = "spot"
    apply_fleet_config(fleet_config(pools=document["pools"]), by="tester")
    metrics(now(), 19.0)
    run(FleetState({"north": north}), now=now())
    (pool,) = seen[0].pools
    assert (pool.purchase, pool.paid_when_used) == ("spot", False)
    problem = RegionProblem.of(seen[0], "north")
    assert problem.eligible(pool.id, "training")
    assert not problem.eligible(pool.id, "chat")


def test_what_a_limit_refused_is_in_the_cycles_notes(run, metrics, north, monkeypatch):
    monkeypatch.setattr(snapshots, "MAX_GROUP_MOVES", 0)
    metrics(now(), 19.0)
    cycle = run(FleetState({"north": north}), now=now())
    assert any("the move limit is reached" in note for note in cycle.document["notes"])


def test_a_cluster_that_does_not_answer_is_frozen_and_named(run, metrics):
    metrics(now(), 19.0)
    cycle = run(FleetState({}, {"north": "timed out"}), now=now())
    assert cycle.document["frozen"] == {"north": "timed out"}
    assert not Plan.objects.exists()


def test_without_a_fleet_file_the_cycle_says_what_to_do(db):
    with pytest.raises(NoFleet, match="fleet_apply"):
        cycles.run_cycle(by="x", now=now(), load_model=lambda: (None, ""))


def test_a_second_cycle_at_the_same_time_is_refused(run, metrics, north, monkeypatch):
    metrics(now(), 8.0)
    monkeypatch.setattr(cycles, "_try_lock", lambda _: False)
    with pytest.raises(CycleRunning):
        run(FleetState({"north": north}), now=now())


def test_a_cycle_whose_reads_fail_does_not_stay_running(run, metrics, north, monkeypatch):
    def broken(*_args, **_kwargs):
        raise RuntimeError("the connection broke")

    monkeypatch.setattr(cycles, "read_metrics", broken)
    with pytest.raises(RuntimeError):
        run(FleetState({"north": north}), now=now())
    assert Cycle.objects.get().state == CycleState.FAILED


def test_a_cycle_whose_worker_was_killed_is_failed_by_the_next(run, metrics, north):
    killed = Cycle.objects.create(
        started_at=now() - timedelta(minutes=20), state=CycleState.RUNNING, requested_by="x"
    )
    metrics(now(), 8.0)
    assert run(FleetState({"north": north}), now=now()).state == CycleState.DONE
    killed.refresh_from_db()
    assert killed.state == CycleState.FAILED
    assert killed.finished_at is not None


class Stopped(Exception):
    """Ends the loop of the command under test."""


def test_the_loop_goes_on_when_another_cycle_is_at_work(fleet, monkeypatch):
    def stop(_seconds):
        raise Stopped

    monkeypatch.setattr(cycles, "_try_lock", lambda _: False)
    monkeypatch.setattr(time, "sleep", stop)
    said = StringIO()
    with pytest.raises(Stopped):
        call_command("loop", stderr=said)
    assert "already running" in said.getvalue()
    with pytest.raises(CommandError, match="already running"):
        call_command("loop", "--once")
