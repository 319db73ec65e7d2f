"""What plans changed a short while ago stays: from their steps to the snapshot and the pages."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from infra_console.fleet.services import apply_fleet_config
from infra_console.plans.models import Execution, Plan, Step
from infra_console.plans.queries import written_since
from tests.people import person
from tests.plan_specs import plan_row
from tests.tiers.conftest import POOL, node
from tests.tiers.factories import fleet_config, fleet_document
from tiers.core.fleet_state import FleetState, PodView
from tiers.facts import fleet_facts
from tiers.last_changes import changed_s_ago
from tiers.models import PlannedSnapshot

MINUTE = timedelta(minutes=1)


def executed(number: int, *, at: datetime, mode: str = "real", state: str = "done") -> Plan:
    """A plan of `north` that gave a node to inference and chat a group, done at this time."""
    plan = plan_row(number, cluster="north", state="settled")
    document = plan.document
    for move in document["moves"]:
        if move["kind"] == "node":
            move["pool"] = POOL
        else:
            move["workload"] = "chat"
    Plan.objects.filter(pk=plan.pk).update(document=document)
    Execution.objects.create(plan=plan, mode=mode)
    for index, step in enumerate(plan.spec.steps):
        Step.objects.create(
            plan=plan, index=index, key=step.key, kind=step.kind, title=step.title, state=state,
            cluster="north", tier=step.tier, wave=step.wave, target=step.target.model_dump(),
            finished_at=at - timedelta(seconds=index),
        )  # fmt: skip
    return plan


@pytest.fixture
def wide(north):
    """Chat runs four groups on two nodes, of which it needs two; training lacks a node."""
    pods = [
        PodView("inference", f"chat-{i}", f"i{1 + i // 2}", "Running", True, 4, "inference", "chat")
        for i in range(4)
    ]
    (deployment,) = north.deployments
    return replace(
        north,
        nodes=(node("i1", "inference"), node("i2", "inference"), node("t1", "training")),
        pods=(*pods, north.pods[2]),
        deployments=(replace(deployment, replicas=4, ready=4),),
    )


def training_asks_for_two_nodes(source):
    asked = "cluster_namespace_phase:gpus_requested:sum"
    rows = [
        replace(s, values=s.values * 2) if s.labels["namespace"] == "training" else s
        for s in source.data[asked]
    ]
    source.data = {**source.data, asked: rows}


def dear_training() -> None:
    workloads = fleet_document()["workloads"]
    workloads[1]["shortfall_usd_per_unit_hour"] = 20.0
    apply_fleet_config(fleet_config(workloads=workloads), by="tester")


def test_a_cycle_holds_what_a_plan_changed_six_minutes_ago_and_says_so(run, metrics, wide, client):
    dear_training()
    now = datetime.now(UTC)
    training_asks_for_two_nodes(metrics(now, 8.0))
    executed(900, at=now - 6 * MINUTE)
    cycle = run(FleetState({"north": wide}), now=now)
    words = f"held: chat on {POOL} changed 6 min ago, dwell 15 min; 2 groups would stop"
    assert words in cycle.document["held"]
    (snapshot,) = PlannedSnapshot.objects.values_list("snapshot", flat=True)
    assert {(c["workload"], c["changed_s_ago"]) for c in snapshot["current"]} == {
        ("chat", 360.0), ("training", 360.0),
    }  # fmt: skip
    assert not Plan.objects.exclude(number=900).exists()
    client.force_login(person("viewer"))
    assert words.capitalize()[:20] in client.get("/tiers/").content.decode()


def test_after_its_dwell_it_is_planned_as_ever(run, metrics, wide):
    dear_training()
    now = datetime.now(UTC)
    training_asks_for_two_nodes(metrics(now, 8.0))
    executed(900, at=now - 16 * MINUTE)
    cycle = run(FleetState({"north": wide}), now=now)
    assert cycle.document["held"] == []
    plan = Plan.objects.exclude(number=900).get()
    assert [(m.kind, m.gpus) for m in plan.spec.moves] == [("node", 8), ("scale", -8)]


@pytest.mark.usefixtures("fleet")
def test_rehearsals_and_steps_that_never_ran_change_nothing_and_the_latest_write_counts():
    now, facts = datetime.now(UTC), fleet_facts(fleet_config())
    executed(901, at=now - MINUTE, mode="dry_run")
    executed(902, at=now - MINUTE, state="failed")
    assert changed_s_ago(facts, now=now) == {}
    executed(903, at=now - 9 * MINUTE)
    executed(904, at=now - 7 * MINUTE)
    assert changed_s_ago(facts, now=now) == {(POOL, "chat"): 420.0, (POOL, "training"): 420.0}
    assert [at for at, _ in written_since(now - 8 * MINUTE)] == [now - 7 * MINUTE]


def test_a_plan_names_the_pool_that_would_take_its_growth(run, metrics, north, client):
    document = fleet_document()
    document["pools"][0] |= {"purchase": "on_demand", "provision_probability": 0.6}
    apply_fleet_config(fleet_config(pools=document["pools"]), by="tester")
    now = datetime.now(UTC)
    metrics(now, 19.0)
    cycle = run(FleetState({"north": north}), now=now)
    words = (
        f"2 groups of chat to start on {POOL}, which provides with a probability of 60%; else no "
        "other pool has room"
    )
    assert cycle.document["fallbacks"] == [words]
    plan = Plan.objects.get()
    assert f"{words}." in plan.spec.evidence.notes
    client.force_login(person("viewer"))
    assert words in client.get(f"/plans/{plan.pk}/").content.decode()
