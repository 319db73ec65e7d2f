"""One cycle from metrics to a proposed plan, and the reasons not to plan."""

from datetime import UTC, datetime, timedelta

import pytest

from infra_console.plans.models import Plan
from infra_console.telemetry.errors import SourceUnreachable
from tiers import cycle as cycles
from tiers.core.fleet_state import FleetState
from tiers.errors import CycleRunning, NoFleet
from tiers.models import CycleState, WorkloadForecast


class FixedFleet:
    def __init__(self, state: FleetState) -> None:
        self.state = state

    def read(self, _clusters: object) -> FleetState:
        return self.state


@pytest.fixture
def run(monkeypatch, fleet):
    def cycle(state: FleetState, *, by: str = "planner", now: datetime):
        monkeypatch.setattr(cycles, "fleet_reader", lambda *_, **__: FixedFleet(state))
        return cycles.run_cycle(by=by, now=now, load_model=lambda: (None, "none in tests"))

    return cycle


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
    assert WorkloadForecast.objects.count() == 2
    assert cycle.document["plans"][0]["hash"] == plan.hash


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


def test_a_cluster_with_a_plan_at_work_gets_no_second_one(run, metrics, north):
    metrics(now(), 19.0)
    run(FleetState({"north": north}), now=now())
    Plan.objects.update(state="executing")
    metrics(now(), 30.0)
    cycle = run(FleetState({"north": north}), now=now())
    assert Plan.objects.count() == 1
    assert "goes first" in cycle.document["notes"][-1]


@pytest.mark.parametrize("minutes", [6, 60])
def test_stale_metrics_freeze_planning(run, metrics, north, minutes):
    metrics(now() - timedelta(minutes=minutes), 19.0)
    cycle = run(FleetState({"north": north}), now=now())
    assert cycle.state == CycleState.FROZEN
    assert "frozen" in cycle.verdict
    assert not Plan.objects.exists()


def test_a_source_that_is_down_freezes_planning(run, metrics, north):
    metrics(now(), 19.0, failure=SourceUnreachable("main", "connection refused"))
    cycle = run(FleetState({"north": north}), now=now())
    assert cycle.state == CycleState.FROZEN
    assert not Plan.objects.exists()


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
    monkeypatch.setattr(cycles, "_try_lock", lambda: False)
    with pytest.raises(CycleRunning):
        run(FleetState({"north": north}), now=now())
