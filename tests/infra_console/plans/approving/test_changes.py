"""Before and after, and the timeline's lanes."""

from types import SimpleNamespace

from infra_console.plans.approving.changes import (
    lanes,
    paying,
    progress,
    tier_changes,
    workload_changes,
)
from tests.infra_console.plans.targets import plan_of, ref, step
from tests.plan_specs import spec


def test_node_moves_give_and_take_and_before_is_counted_back_from_the_promise():
    taken, given = sorted(tier_changes(spec("uksouth", "a", "b")), key=lambda c: c.delta_gpus)
    assert (taken.tier, taken.delta_gpus, taken.before_gpus) == ("training", -16, None)
    assert (given.tier, given.before_gpus, given.after_gpus) == ("inference", 32, 48)


def test_scale_moves_are_told_in_replicas():
    (chat,) = workload_changes(spec())
    assert (chat.workload, chat.before, chat.after, chat.delta) == ("chat-70b", 3, 4, 1)


def test_each_object_has_one_lane_with_its_steps_in_order():
    found = lanes(
        SimpleNamespace(cluster=s.target.cluster, target=s.target.model_dump(), kind=s.kind)
        for s in spec("uksouth", "a", "b").steps
    )
    assert [lane.name for lane in found] == ["a", "b", "chat-70b"]
    assert [step.kind for step in found[0].steps][:2] == ["node.cordon", "node.drain"]
    assert len(found[1].steps) == 4


def test_two_deployments_of_one_name_have_a_lane_each():
    step = spec().steps[-1]
    other = {**step.target.model_dump(), "namespace": "staging"}
    found = lanes(
        SimpleNamespace(cluster="uksouth", target=target)
        for target in (step.target.model_dump(), other)
    )
    assert [(lane.namespace, lane.name) for lane in found] == [
        ("inference", "chat-70b"), ("staging", "chat-70b"),
    ]  # fmt: skip


def test_progress_counts_steps_that_ended_well():
    states = ["done", "rehearsed", "skipped", "failed", "pending"]
    assert progress([SimpleNamespace(state=s) for s in states]) == (3, 5)


def test_only_machines_start_or_stop_paying_and_a_plan_says_so():
    burst = ref("MachineDeployment", "burst", "fleet")
    gives = step("machines.scale", burst, **{"from": 3, "to": 2})
    buys = step("machines.scale", ref("NodePool", "fixed", ""), **{"from": 1, "to": 3})
    grows = step("workload.scale_ordinal", ref("StatefulSet", "embed"), **{"from": 1, "to": 2})
    assert paying(plan_of(gives, buys, grows)) == [
        "burst in eastus stops paying for 1 machine",
        "fixed in eastus starts paying for 2 machines",
    ]
