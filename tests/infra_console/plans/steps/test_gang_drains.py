"""Draining a node that gangs run on: who is asked first, who is waited for, who stops the plan."""

import time

import pytest

from infra_console.plans.models import Step
from infra_console.plans.taking_back.rollback import roll_back
from tests.infra_console.plans.executing.test_execution import work
from tests.infra_console.plans.kueue_world import SPACE, KueueTwin, shrink
from tests.infra_console.plans.specs import NODE, TIER_KEY, node_move, node_steps, spec


def drained_with(steps, **params):
    """The same steps, their drain with these params."""
    return tuple(
        s.model_copy(update={"params": {**s.params, **params}}) if s.kind == "node.drain" else s
        for s in steps
    )


def requests(twin) -> list[str]:
    return [m for m in twin.mutations() if m.startswith("patch pods train")]


def test_a_plain_gang_is_asked_for_a_checkpoint_before_its_pod_is_evicted(twin, armed, approved):
    gang = [p for p in twin.pods_on(NODE) if p.startswith("train")]
    assert gang
    plan = work(approved(spec(steps=drained_with(node_steps(), grace_s=20.0))), turns=20)
    assert plan.state == "verified", plan.state_reason
    writes = twin.mutations()
    first_eviction = next(i for i, m in enumerate(writes) if "eviction" in m)
    asked = [i for i, m in enumerate(writes) if m in requests(twin)]
    assert asked
    assert max(asked) < first_eviction


def test_a_drain_goes_on_when_nobody_answers_within_the_grace(twin, armed, approved):
    plan = work(approved(spec(steps=drained_with(node_steps(), grace_s=0))), turns=20)
    assert plan.state == "verified", plan.state_reason
    assert requests(twin)


def test_a_gang_of_kueue_that_the_plan_does_not_name_stops_the_drain(twin, armed, approved):
    world = KueueTwin(twin)
    node = world.node_of("small")
    steps = drained_with(node_steps(node), victims=[], grace_s=0)
    plan = work(approved(spec(moves=(node_move(node),), steps=steps)))
    assert plan.state == "paused"
    name = world.workload("small")["metadata"]["name"]
    assert f"{SPACE}/{name} runs on {node} and is no victim" in plan.state_reason
    assert world.running("small") == 1


def test_a_drain_waits_for_the_victims_that_its_plan_stops(twin, armed, approved, operator):
    """Deactivation in the same wave: the drain evicts none of its pods."""
    world = KueueTwin(twin)
    name = world.workload("small")["metadata"]["name"]
    whole = shrink(world)
    steps = drained_with(whole.steps, victims=[f"{SPACE}/{name}"], grace_s=0)
    drain = next(s.wave for s in steps if s.kind == "node.drain")
    # The victim is stopped after the drain was tried, in its wave.
    late = [s.model_copy(update={"wave": drain}) for s in steps if s.kind == "kueue.deactivate"]
    left_out = {"kueue.deactivate", "kueue.set_quota"}
    steps = (*(s for s in steps if s.kind not in left_out), *late)
    plan = work(approved(whole.model_copy(update={"steps": steps, "moves": whole.moves[:1]})), 20)
    assert plan.state == "verified", plan.state_reason
    assert not [m for m in twin.mutations() if m.startswith("create pods/eviction small")]
    assert Step.objects.get(plan=plan, kind="node.drain").attempts > 1
    roll_back(plan.id, by=operator, reason="enough")
    assert work(plan, 20).state == "rolled_back"
    moved = whole.moves[0].target.name
    assert twin.node(moved)["metadata"]["labels"][TIER_KEY] == "training"


@pytest.mark.parametrize("params", [{}, {"grace_s": 5.0}])
def test_a_node_without_gangs_is_drained_as_ever(twin, armed, approved, params):
    node = next(n for n in (f"eastus-h100-reserved-{i:02d}" for i in range(1, 5)))
    steps = drained_with(node_steps(node, "inference", "training"), **params)
    plan = spec(moves=(node_move(node, "inference", "training"),), steps=steps, guards=())
    assert work(approved(plan), 20).state == "verified"
    assert not [m for m in twin.mutations() if m.startswith("patch pods")]


def test_a_gang_on_a_node_that_goes_back_is_asked_for_a_checkpoint_too(
    twin, armed, approved, operator
):
    """Training got the node; a gang that waited runs on it when it is taken back."""
    node = "eastus-h100-reserved-01"
    steps = tuple(
        s.model_copy(update={"params": {**s.params, "grace_s": 0}})
        if s.kind == "node.assign_tier"
        else s
        for s in node_steps(node, "inference", "training")
    )
    plan = approved(spec(moves=(node_move(node, "inference", "training"),), steps=steps, guards=()))
    plan = work(plan, 20)
    assert plan.state == "verified", plan.state_reason
    gangs = until(lambda: [p for p in twin.pods_on(node) if p.startswith("train")])
    roll_back(plan.id, by=operator, reason="enough")
    plan = work(plan, 20)
    assert plan.state == "rolled_back", plan.state_reason
    asked = next(i for i, m in enumerate(twin.mutations()) if m == f"patch pods {gangs[0]}")
    gone = next(i for i, m in enumerate(twin.mutations()) if m.endswith(f"eviction {gangs[0]}"))
    assert asked < gone


def test_a_gang_of_kueue_leaves_a_node_that_goes_back_whole_and_queues_again(
    twin, armed, approved, operator
):
    world = KueueTwin(twin)
    node = "eastus-h100-reserved-01"
    world.set_quota(32)
    steps = tuple(
        s.model_copy(update={"params": {**s.params, "grace_s": 0, "requeue": True}})
        if s.kind == "node.assign_tier"
        else s
        for s in node_steps(node, "inference", "training")
    )
    plan = approved(spec(moves=(node_move(node, "inference", "training"),), steps=steps, guards=()))
    assert work(plan, 20).state == "verified"
    world.submit("late", 1)
    until(lambda: world.running("late") == 1)
    assert world.node_of("late") == node
    roll_back(plan.id, by=operator, reason="enough")
    plan = work(plan, 20)
    assert plan.state == "rolled_back", plan.state_reason
    late = world.workload("late")
    assert late["spec"]["active"]
    assert not late["metadata"].get("annotations")
    assert twin.count(f"patch workloads {late['metadata']['name']}") == 2
    assert not [m for m in twin.mutations() if m.startswith("create pods/eviction late")]
    assert world.running("small") == 1


def until(look, within_s: float = 10.0):
    ends = time.monotonic() + within_s
    while not (seen := look()):
        assert time.monotonic() < ends, "no gang came"
        time.sleep(0.05)
    return seen
