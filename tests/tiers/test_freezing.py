"""What the planner may do with numbers of every state: each state, growing and shrinking."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from infra_console.fleet.services import apply_fleet_config
from infra_console.plans.invariants.history import PlanRow
from infra_console.plans.invariants.records import from_sound_evidence
from infra_console.plans.models import Plan
from infra_console.telemetry.errors import SourceUnreachable
from infra_console.telemetry.series import RawSeries
from tests.infra_console.plans.invariants.made_up import history
from tests.people import person
from tests.tiers.conftest import node
from tests.tiers.factories import fleet_config, fleet_document
from tiers.core.fleet_state import FleetState, PodView
from tiers.models import CycleState
from tiers.queries import latest_freezes

WITNESS = "cluster_exporter_check:witness:value"
ARRIVALS = "cluster_model:vllm_arrivals:rate5m"
HIGH, LOW = 19.0, 2.0  # two groups of 5 requests/s run: four are needed, or one


def now() -> datetime:
    return datetime.now(UTC)


def witnesses(at: datetime, exporter: str = "dcgm", **counts: float) -> list[RawSeries]:
    """dcgm's and kube-state-metrics' counts of nodes, as the recording rules keep them."""
    rows = {("kube-state-metrics", check): 3.0 for check in ("nodes", "nodes_ready")}
    rows["dcgm", "nodes"] = 3.0
    rows |= {(exporter, check): count for check, count in counts.items()}
    return [
        RawSeries(
            {"cluster": "north", "exporter": name, "check": check},
            np.array([at.timestamp()]),
            np.array([count]),
        )
        for (name, check), count in rows.items()
    ]


@pytest.fixture
def cheap_idle(fleet) -> None:
    """Idle groups are worth stopping here: a served model on nodes that are paid when used."""
    document = fleet_document()
    document["workloads"][1]["shortfall_usd_per_unit_hour"] = 15.0
    apply_fleet_config(fleet_config(workloads=document["workloads"]), by="tester")


def put(metrics, rps: float, state: str, at: datetime):
    """A source whose answers have this state."""
    if state == "down":
        return metrics(at, rps, failure=SourceUnreachable("main", "connection refused"))
    if state == "a partial answer":
        return metrics(at, rps, warnings=("a store is away",))
    age = {"delayed": timedelta(seconds=100), "stale": timedelta(minutes=6)}
    source = metrics(at - age.get(state, timedelta()), rps)
    counts = {
        "nodes missing": {"nodes": 1.0},
        "repeats itself": {"nodes_flat": 3.0},
        "from the future": {"lead_s": 580.0},
    }.get(state, {})
    source.data = {**source.data, WITNESS: witnesses(at, **counts)}
    return source


STATES = {
    # state: (may it grow, may it shrink)
    "live": (True, True),
    "delayed": (True, True),
    "nodes missing": (True, False),
    "a partial answer": (True, False),
    "from the future": (True, False),
    "repeats itself": (False, False),
    "stale": (False, False),
    "down": (False, False),
}


@pytest.mark.parametrize("state", STATES)
def test_growing_takes_numbers_of_which_a_part_is_missing(run, metrics, north, state):
    at = now()
    put(metrics, HIGH, state, at)
    cycle = run(FleetState({"north": north}), now=at)
    assert Plan.objects.exists() is STATES[state][0], cycle.verdict
    assert (cycle.state == CycleState.DONE) is STATES[state][0]


@pytest.mark.parametrize("state", STATES)
def test_shrinking_takes_whole_and_fresh_numbers(run, metrics, north, cheap_idle, state):
    """Chat needs one of its three nodes, and training waits for one."""
    at = now()
    source = put(metrics, LOW, state, at)
    asked = "cluster_namespace_phase:gpus_requested:sum"
    source.data = {
        **source.data,
        asked: [
            RawSeries({**s.labels}, s.times, s.values * (3 if s.labels["namespace"] == "training"
                                                        else 1))
            for s in source.data[asked]
        ],
    }  # fmt: skip
    full = replace(
        north,
        nodes=(node("i1", "inference"), node("i2", "inference"), node("t1", "training")),
        pods=(
            *north.pods[:2],
            *(replace(north.pods[0], name=f"chat-{i}", node="i2") for i in (2, 3)),
            north.pods[2],
        ),
        deployments=(replace(north.deployments[0], replicas=4, ready=4),),
    )
    cycle = run(FleetState({"north": full}), now=at)
    plan = Plan.objects.first()
    assert (plan is not None) is STATES[state][1], cycle.verdict
    if plan is not None:
        assert any((m.to_replicas or 0) < (m.from_replicas or 0) for m in plan.spec.moves)


def test_a_plan_under_doubt_says_so_takes_nothing_away_and_is_sound(run, metrics, north):
    at = now()
    put(metrics, HIGH, "nodes missing", at)
    run(FleetState({"north": north}), now=at)
    plan = Plan.objects.get()
    evidence = plan.spec.evidence
    assert evidence.states == {"metrics": "partial", "cluster": "live"}
    assert "1 of 3 ready nodes report GPUs" in evidence.doubts[0]
    assert evidence.demand == [
        {"workload": "chat", "at_least_now": 19.0},
        {"workload": "training", "at_least_now": 8.0},
    ]
    assert [(m.kind, m.target.name, m.evicts) for m in plan.spec.moves] == [
        ("node", "t2", ()), ("scale", "chat", ()),
    ]  # fmt: skip
    assert from_sound_evidence(history(plans=[_row(plan)])).violations == ()


def _row(plan: Plan) -> PlanRow:
    return replace(history().plans[0], document=plan.document)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"evidence": {"doubts": []}}, "metrics that was partial"),
        ({"evidence": {"states": {"metrics": "stale", "cluster": "live"}}}, "was stale"),
        ({"moves": {"evicts": ["training/train-1-0"]}}, "it evicts from"),
        ({"moves": {"from_replicas": 4, "to_replicas": 3}}, "from 4 to 3"),
        ({"steps": {"kind": "kueue.deactivate"}}, "it stops work"),
    ],
)
def test_the_checker_finds_a_doubtful_plan_that_takes_away(run, metrics, north, change, words):
    at = now()
    put(metrics, HIGH, "nodes missing", at)
    run(FleetState({"north": north}), now=at)
    document = Plan.objects.get().document
    document["evidence"] |= change.get("evidence", {})
    for part in ("moves", "steps"):
        document[part][0] |= change.get(part, {})
    row = replace(history().plans[0], document=document)
    found = from_sound_evidence(history(plans=[row])).violations
    assert any(words in line for line in found), found


@pytest.mark.parametrize("of", ["vllm", "dcgm"])
def test_numbers_of_another_time_are_no_lower_bound(run, metrics, north, of):
    """Samples from the future may be of an hour ago; those of other exporters still hold."""
    at = now()
    source = metrics(at, HIGH)
    source.data = {**source.data, WITNESS: witnesses(at, of, lead_s=580.0)}
    run(FleetState({"north": north}), now=at)
    assert Plan.objects.exists() is (of == "dcgm")


def test_no_node_is_taken_where_something_runs_or_waits(run, metrics, north):
    at = now()
    waiting = PodView("training", "train-9", "", "Pending", None, 8, "training", "training")
    busy = replace(north.pods[2], name="train-2-0", node="t2", gang="train-2")
    for more in (waiting, busy):
        put(metrics, HIGH, "nodes missing", at)
        run(FleetState({"north": replace(north, pods=(*north.pods, more))}), now=at)
        assert not Plan.objects.exists()


def test_no_node_is_taken_from_a_tier_whose_need_is_unknown(run, metrics, north):
    at = now()
    source = put(metrics, HIGH, "nodes missing", at)
    asked = "cluster_namespace_phase:gpus_requested:sum"
    unknown = {asked: [], "cluster:nodes:count": []}
    source.data = {**source.data, **unknown}
    run(FleetState({"north": north}), now=at)
    assert not Plan.objects.exists()
    roomy = replace(north, nodes=(*north.nodes, node("i2", "inference")))
    cycle = run(FleetState({"north": roomy}), now=at)
    (move,) = Plan.objects.get().spec.moves
    assert (move.target.name, move.to_replicas, cycle.state) == ("chat", 4, CycleState.DONE)


def test_a_workload_of_unknown_demand_freezes_shrinking_alone(run, metrics, north):
    at = now()
    source = metrics(at, HIGH)
    source.data = {**source.data, ARRIVALS: []}
    cycle = run(FleetState({"north": north}), now=at)
    assert "demand of chat is unknown" in cycle.document["shrink_frozen"]["north"]
    assert not Plan.objects.exists()


def test_without_the_clusters_own_answer_nothing_grows_on_a_part(run, metrics, north):
    at = now()
    put(metrics, HIGH, "nodes missing", at)
    cycle = run(FleetState({"north": replace(north, source="prometheus")}), now=at)
    assert cycle.state == CycleState.FROZEN
    assert "1 of 3 ready nodes report GPUs" in cycle.document["frozen"]["north"]


def test_the_page_says_since_when_and_why_and_that_growing_goes_on(run, metrics, north, client):
    first = now() - timedelta(minutes=3)
    for at in (first, now()):
        put(metrics, HIGH, "nodes missing", at)
        run(FleetState({"north": north}), now=at)
    (line,) = latest_freezes()
    assert line.since == first
    assert line.words.startswith(f"north: shrinking is frozen since {first:%d %b %H:%M} UTC: ")
    assert line.words.endswith("1 of 3 ready nodes report GPUs; growing goes on")
    client.force_login(person("viewer"))
    for page in ("/tiers/", "/"):
        assert line.words in client.get(page).content.decode()
    put(metrics, HIGH, "live", at)
    run(FleetState({"north": north}), now=now())
    assert latest_freezes() == []
