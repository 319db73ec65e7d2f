"""Metrics that turn doubtful after the approval: nothing is taken away, the way back is open."""

import pytest

from infra_console.plans import services
from infra_console.plans.executing.doubting import takes_capacity
from infra_console.plans.models import Step
from infra_console.plans.steps import node
from infra_console.plans.taking_back.rollback import roll_back
from infra_console.telemetry.ages import ClusterFreshness, fleet_freshness_of
from infra_console.telemetry.series import Freshness
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.executing.test_execution import work
from tests.infra_console.plans.specs import evidence, node_move, node_steps, scale_step, spec
from tests.infra_console.plans.targets import add, handed_over, held, plan_of, ref, room, step
from tiers import freezing
from tiers.twin.kube.resources import QUOTAS

KEY = "requests.nvidia.com/gpu"


@pytest.fixture
def seen(monkeypatch):
    """Let the metrics of the cluster be as fresh as told."""

    def tell(state: Freshness, age_s: float | None) -> None:
        found = fleet_freshness_of({CLUSTER: ClusterFreshness(state, age_s, {})}, {})
        monkeypatch.setattr(freezing, "fleet_freshness", lambda: found)

    return tell


@pytest.mark.parametrize("state", [Freshness.STALE, Freshness.PARTIAL, Freshness.DOWN])
def test_who_doubts_names_state_and_age(named_cluster, seen, state):
    seen(state, 840.0)
    assert freezing.shrink_doubts() == {CLUSTER: f"metrics of {CLUSTER} are {state}, 14 min old"}


def test_certain_metrics_and_a_fleet_without_any_raise_no_doubt(named_cluster, seen):
    seen(Freshness.DELAYED, 40.0)
    assert freezing.shrink_doubts() == {}
    seen(Freshness.LIVE, 4.0)
    assert freezing.shrink_doubts() == {}


def test_a_fleet_without_sources_has_nothing_that_turns_doubtful(named_cluster):
    assert freezing.shrink_doubts() == {}


@pytest.mark.parametrize(
    ("kind", "params", "takes"),
    [
        ("node.cordon", {}, True),
        ("node.uncordon", {}, False),
        ("node.assign_tier", {"from": "training", "to": "inference"}, False),
        ("kueue.signal", {}, True),
        ("workload.scale", {"from": 3, "to": 2}, True),
        ("workload.scale", {"from": 2, "to": 3}, False),
        ("machines.scale", {"from": 4, "to": 2}, True),
        ("kueue.set_quota", {"from": 16, "to": 24}, False),
        ("git.change", {"from": "4", "to": "2"}, True),
        ("git.change", {"from": "8Gi", "to": "4Gi"}, True),
        ("workload.bound", {"from": {"min": 2, "max": 4}, "to": {"min": 2, "max": 3}}, True),
        ("workload.bound", {"from": {"min": 2, "max": 4}, "to": {"min": 3, "max": 4}}, False),
    ],
)
def test_what_takes_capacity(kind, params, takes):
    assert takes_capacity(kind, params) is takes


def test_a_shrink_pauses_before_its_first_write_resumes_when_fresh_and_always_goes_back(
    twin, armed, approved, operator, seen
):
    before = twin.mutations()
    seen(Freshness.STALE, 840.0)
    plan = work(approved(spec()))
    assert plan.state == "paused"
    assert plan.state_reason.startswith(
        f"metrics of {CLUSTER} are stale, 14 min old; taking away is frozen; growing goes on"
    )
    assert twin.mutations() == before
    services.resume_execution(plan.id, by=operator)
    assert work(plan).state == "paused"
    assert twin.mutations() == before
    seen(Freshness.LIVE, 5.0)
    services.resume_execution(plan.id, by=operator)
    plan = work(plan, 20)
    assert plan.state == "verified", plan.state_reason
    seen(Freshness.DOWN, None)
    roll_back(plan.id, by=operator, reason="enough")
    assert work(plan, 20).state == "rolled_back"


def test_a_drain_evicts_nobody_when_doubt_comes_after_its_cordon(
    twin, armed, approved, seen, monkeypatch
):
    seen(Freshness.LIVE, 5.0)
    cordoned = node._write_cordon

    def then_doubt(*given):
        cordoned(*given)
        seen(Freshness.PARTIAL, 300.0)

    monkeypatch.setattr(node, "_write_cordon", then_doubt)
    plan = work(approved(spec()))
    assert plan.state == "paused", plan.state_reason
    assert not [m for m in twin.mutations() if "eviction" in m]
    assert Step.objects.get(plan=plan, kind="node.cordon").state == "done"
    assert Step.objects.get(plan=plan, kind="node.drain").attempts == 0


def test_growth_goes_on_under_doubt_while_a_shrink_beside_it_waits_for_a_person(
    twin, armed, approved, seen
):
    quota = {"metadata": {"name": "gpus"}, "spec": {"hard": {KEY: "64"}}}
    add(twin, QUOTAS, handed_over(QUOTAS, quota))
    seen(Freshness.DOWN, None)
    now = twin.deployment("chat-70b")["spec"]["replicas"]
    grow = step("quota.cap", ref("ResourceQuota", "gpus"), **{"from": 64, "to": 72})
    plan = work(approved(plan_of(grow, scale_step("chat-70b", now, now - 1))))
    assert plan.state == "paused"
    assert f"metrics of {CLUSTER} are down, of unknown age" in plan.state_reason
    assert held(twin, QUOTAS, "gpus")["spec"]["hard"][KEY] == "72"
    assert twin.deployment("chat-70b")["spec"]["replicas"] == now


@pytest.mark.parametrize(("doubts", "state"), [(("dcgm is silent",), "verified"), ((), "paused")])
def test_only_a_plan_that_was_made_under_doubt_takes_an_empty_node_under_doubt(
    twin, armed, approved, seen, doubts, state
):
    room(twin)
    seen(Freshness.PARTIAL, 60.0)
    steps = tuple(node_steps("spare-01", "inference", "training"))
    move = node_move("spare-01", "inference", "training")
    input_ = evidence().model_copy(update={"doubts": doubts})
    plan = work(approved(spec(moves=(move,), steps=steps, guards=(), evidence=input_)), 20)
    assert plan.state == state, plan.state_reason
