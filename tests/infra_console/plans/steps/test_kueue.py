"""Training shrunk by quota with named victims: what is written, what waits, what is given back."""

import pytest

from infra_console.audit.queries import verify_chain
from infra_console.cluster.takeovers import TakeOverRefused, allow_take_over
from infra_console.plans.executing import runner
from infra_console.plans.looking.rollback_preview import objects_back
from infra_console.plans.models import LockRow, Step
from infra_console.plans.safety import disarm
from infra_console.plans.steps.kueue_victims import Deactivate
from infra_console.plans.taking_back.handing import hand_back_due
from infra_console.plans.taking_back.rollback import roll_back
from tests.infra_console.plans import killing
from tests.infra_console.plans.executing.test_execution import work
from tests.infra_console.plans.kueue_world import (
    FLAVOR,
    QUEUE,
    QUOTA,
    SPACE,
    KueueTwin,
    quota_move,
    quota_step,
    relied_on,
    shrink,
    victim_steps,
)
from tests.infra_console.plans.specs import TIER_KEY, spec
from tests.people import person
from tiers.twin.kube.resources import CLUSTER_QUEUES, JOBS, WORKLOADS


@pytest.fixture
def world(twin) -> KueueTwin:
    return KueueTwin(twin)


def details(plan) -> dict[str, str]:
    return {s.kind: s.detail for s in Step.objects.filter(plan=plan)}


def stop_small(world, **changes):
    """Quota and victim only; no node moves."""
    steps = (quota_step(QUOTA, QUOTA - 8), *victim_steps(world, "small"))
    moves = (quota_move(QUOTA, QUOTA - 8, f"{SPACE}/small"),)
    return spec(**({"moves": moves, "steps": steps} | changes))


def lower_only(**changes):
    steps = (quota_step(QUOTA, QUOTA - 8),)
    return spec(**({"moves": (quota_move(QUOTA, QUOTA - 8),), "steps": steps} | changes))


def restored(world, twin, node: str) -> None:
    assert world.quota() == QUOTA
    assert world.workload("small")["spec"]["active"] is True
    assert twin.node(node)["metadata"]["labels"][TIER_KEY] == "training"
    assert not twin.node(node)["spec"].get("unschedulable")
    world.until(lambda: world.running("small") == 1, "it runs again")
    for held in (world.queue(), world.workload("small")):
        assert not held["metadata"].get("annotations")
    assert not LockRow.objects.exists()


def test_a_named_victim_leaves_its_quota_and_node_follow_and_all_comes_back(
    world, twin, armed, approved, operator
):
    node = world.node_of("small")
    plan = work(approved(shrink(world)), turns=20)
    assert plan.state == "verified", plan.state_reason
    assert "metrics are unknown" in plan.state_reason
    assert world.quota() == str(QUOTA - 8)
    assert (world.running("small"), world.running("big")) == (0, 2)
    assert not world.is_true("small", "QuotaReserved")
    assert twin.node(node)["metadata"]["labels"][TIER_KEY] == "inference"
    assert details(plan)["kueue.signal"].startswith("saved ")
    assert "8 nvidia.com/gpu" in details(plan)["kueue.deactivate"]
    back = {o.kind: (o.now, o.then, o.stops) for o in objects_back(plan)}
    assert back["ClusterQueue"] == (f"{QUOTA - 8} of {FLAVOR}", f"{QUOTA} of {FLAVOR}", ())
    assert back["Workload"] == ("deactivated", "queues again", ())
    roll_back(plan.id, by=operator, reason="slower than promised")
    plan = work(plan, turns=20)
    assert plan.state == "rolled_back", plan.state_reason
    restored(world, twin, node)


@pytest.mark.parametrize(
    ("kill", "forward", "back"),
    [
        (killing.before_each_write, 7, 6),
        (killing.after_each_write, 7, 6),
        (killing.after_each_step, 7, 6),
    ],
)
def test_killed_at_every_boundary_it_writes_nothing_twice_and_restores_all(
    world, twin, armed, approved, operator, monkeypatch, kill, forward, back
):
    node, plan = world.node_of("small"), approved(shrink(world))
    died = kill(monkeypatch)
    plan = killing.survive(plan)
    assert plan.state == "verified", plan.state_reason
    assert len(died) == forward, died
    assert twin.count(f"patch clusterqueues {QUEUE}") == 1
    assert twin.count("patch workloads") == 1
    assert twin.count(f"patch nodes {node}") == 4
    assert twin.count("patch pods small") == 1
    roll_back(plan.id, by=operator, reason="slower than promised")
    plan = killing.survive(plan)
    assert plan.state == "rolled_back", plan.state_reason
    assert len(died) >= forward + back, died
    assert twin.count(f"patch clusterqueues {QUEUE}") == 2
    assert twin.count("patch workloads") == 2
    assert twin.count(f"patch nodes {node}") == 8
    restored(world, twin, node)
    assert verify_chain().ok


def test_lowering_a_quota_evicts_nobody_and_is_not_done_by_its_spec(
    world, armed, approved, monkeypatch
):
    monkeypatch.setattr(runner, "WORK_S", 0.3)
    plan = approved(lower_only())
    work(plan, turns=1)
    (step,) = Step.objects.filter(plan=plan)
    assert world.quota() == str(QUOTA - 8)
    assert step.state == "waiting"
    assert step.detail == f"{QUOTA} of {QUOTA - 8} nvidia.com/gpu are still reserved"
    assert (world.running("small"), world.running("big")) == (1, 2)


def test_nobody_slips_into_what_a_victim_frees(world, armed, approved):
    world.submit("next", 1)
    world.until(lambda: len(world.workloads()) == 3, "it waits")
    plan = work(approved(stop_small(world)), turns=20)
    assert plan.state == "verified", plan.state_reason
    assert not world.is_true("next", "QuotaReserved")
    assert world.running("big") == 2


def test_without_an_answer_the_grace_ends_and_the_age_is_unknown(world, armed, approved):
    steps = [s.model_copy(update={"params": {**s.params, "grace_s": 0}})
             for s in victim_steps(world, "small")]  # fmt: skip
    plan = work(approved(stop_small(world, steps=(quota_step(24, 16), *steps))), turns=20)
    assert plan.state == "verified", plan.state_reason
    assert "age unknown" in details(plan)["kueue.signal"]


def test_a_victim_that_ended_by_itself_is_left_alone(world, twin, armed, approved):
    plan = approved(stop_small(world))
    twin.call(twin.store.remove, JOBS, SPACE, "small")
    world.until(lambda: len(world.workloads()) == 1, "its Workload goes")
    plan = work(plan, turns=20)
    assert plan.state == "verified", plan.state_reason
    assert details(plan)["kueue.deactivate"] == "it has ended by itself and is gone"
    assert twin.count("patch workloads") == 0


def test_unarmed_it_is_rehearsed_and_persists_nothing(world, twin, approved):
    plan = work(approved(stop_small(world, preconditions=relied_on(world, "small"))))
    assert plan.state == "rehearsed", plan.state_reason
    assert twin.mutations() == []
    asked = [r for r in twin.log.recent if r.dry_run]
    assert {r.resource for r in asked} == {"pods", "workloads", "clusterqueues"}
    # A kubelet that writes at the same moment is a conflict, which is tried again.
    assert {r.resource for r in asked if r.code < 300} == {"pods", "workloads", "clusterqueues"}
    assert {r.code for r in asked} <= {200, 409}


def test_fifty_admissions_void_nothing(world, twin, armed, approved):
    plan = approved(shrink(world))
    for number in range(50):
        for resource, space, name in (
            (CLUSTER_QUEUES, "", QUEUE),
            (WORKLOADS, SPACE, world.workload("small")["metadata"]["name"]),
        ):
            twin.edit(resource, space, name, {"status": {"seen": number}})
    assert work(plan, turns=20).state == "verified", plan.state_reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda world: world.set_quota(32), "quota of nvidia.com/gpu in h100 is 32, was 24"),
        (lambda world: world.deactivate("small"), "active is False, was True"),
        (lambda world: world.renew("small"), "uid is"),
    ],
)
def test_what_somebody_else_set_voids_the_plan(world, twin, armed, approved, change, said):
    plan = approved(stop_small(world, preconditions=relied_on(world, "small")))
    change(world)
    assert work(plan).state == "void"
    assert said in plan.state_reason
    assert twin.mutations() == []


def test_a_quota_that_gitops_owns_is_left_and_its_owner_named(world, twin, armed, approved):
    world.give_to_gitops()
    plan = work(approved(lower_only()))
    assert plan.state == "paused"
    assert "resourceGroups of research is owned by argocd-controller" in plan.state_reason
    assert twin.count("patch clusterqueues") == 0


def test_only_an_admin_lets_a_field_be_taken_over(world, operator):
    with pytest.raises(TakeOverRefused, match="Only an admin"):
        take_over(by=operator)


def take_over(by) -> None:
    allow_take_over(
        "eastus", "ClusterQueue", manager="argocd-controller", by=by, reason="one plan a night"
    )


def test_a_quota_taken_over_and_reverted_is_a_state_and_not_written_again(
    world, twin, armed, approved, monkeypatch
):
    monkeypatch.setattr(runner, "WORK_S", 0.3)
    world.give_to_gitops()
    take_over(by=person("admin"))
    plan = approved(lower_only())
    work(plan, turns=1)
    assert twin.count("patch clusterqueues") == 1
    world.until(lambda: world.quota() == QUOTA, "the agent reverts it")
    plan = work(plan)
    assert plan.state == "paused"
    assert "is 24 again, reverted by argocd-controller" in plan.state_reason
    assert twin.count("patch clusterqueues") == 1


def test_a_quota_taken_over_is_handed_back_on_rollback(world, twin, armed, approved, operator):
    world.own_quota("kubectl-edit")
    allow_take_over(
        "eastus", "ClusterQueue", manager="kubectl-edit", by=person("admin"), reason="x"
    )
    plan = work(approved(stop_small(world)), turns=20)
    assert plan.state == "verified", plan.state_reason
    assert world.owners() == {"infra-console"}
    roll_back(plan.id, by=operator, reason="enough")
    plan = work(plan, turns=20)
    assert plan.state == "rolled_back", plan.state_reason
    assert world.quota() == QUOTA
    assert world.owners() == {"kubectl-edit"}


def test_a_victim_started_again_by_somebody_is_a_state(world, armed, approved, monkeypatch):
    plan, real = approved(stop_small(world)), Deactivate.run

    def start_again(self, step):
        outcome = real(self, step)
        world.activate("small")
        return outcome

    monkeypatch.setattr(Deactivate, "run", start_again)
    plan = work(plan)
    assert plan.state == "paused"
    assert "is active again, reverted by somebody else" in plan.state_reason


def test_what_somebody_changed_since_is_not_rolled_back(world, twin, armed, approved, operator):
    plan = work(approved(stop_small(world)), turns=20)
    world.set_quota(20)
    (queue,) = [o for o in objects_back(plan) if o.kind == "ClusterQueue"]
    assert queue.stops == ("the quota of h100 was changed since: the way back would pause",)
    roll_back(plan.id, by=operator, reason="enough")
    plan = work(plan)
    assert plan.state == "paused"
    assert "changed it since; it was left as it is" in plan.state_reason
    assert world.quota() == 20


def test_a_floor_of_the_queue_stops_the_plan_before_it_writes(world, twin, armed, approved):
    steps = (quota_step(QUOTA, QUOTA - 8, floor=QUOTA),)
    plan = work(approved(lower_only(steps=steps)))
    assert plan.state == "failed"
    assert f"would keep 16 nvidia.com/gpu, below its floor of {QUOTA}" in plan.state_reason
    assert twin.count("patch clusterqueues") == 0


def test_an_object_that_knows_a_later_epoch_freezes_the_plan(world, twin, armed, approved):
    """The database was restored to an earlier time."""
    plan = approved(stop_small(world))
    notes = {"infra-console.dev/plan": str(plan.id), "infra-console.dev/epoch": "9"}
    twin.edit(CLUSTER_QUEUES, "", QUEUE, {"metadata": {"annotations": notes}})
    plan = work(plan)
    assert plan.state == "paused"
    assert "carries epoch 9" in plan.state_reason
    assert world.quota() == QUOTA


def test_training_grows_by_a_raised_quota_and_who_waited_runs(world, armed, approved, operator):
    world.set_quota("16")
    world.submit("next", 1)
    world.deactivate("small")
    world.until(lambda: world.running("small") == 0, "there is room")
    plan = work(approved(spec(moves=(quota_move(16, 24),), steps=(quota_step(16, 24),))))
    assert plan.state == "verified", plan.state_reason
    world.until(lambda: world.running("next") == 1, "it runs")
    roll_back(plan.id, by=operator, reason="enough")
    plan = work(plan)
    assert plan.state == "rolled_back", plan.state_reason
    assert world.quota() == "16"
    (step,) = Step.objects.filter(plan=plan, back=True)
    assert "8 above it are still reserved" in step.detail


def test_two_flavours_of_one_queue_both_come_back(world, armed, approved, operator):
    world.add_flavor("a100", 8)
    steps = (quota_step(QUOTA, 32), quota_step(8, 16, flavor="a100"))
    plan = work(approved(spec(moves=(quota_move(QUOTA, 32),), steps=steps)))
    assert plan.state == "verified", plan.state_reason
    roll_back(plan.id, by=operator, reason="enough")
    assert work(plan).state == "rolled_back", plan.state_reason
    assert (world.quota(), world.quota("a100")) == (QUOTA, 8)


def test_a_quota_taken_over_is_handed_back_when_training_is_disarmed(
    world, armed, approved, operator
):
    world.own_quota("kubectl-edit")
    allow_take_over(
        "eastus", "ClusterQueue", manager="kubectl-edit", by=person("admin"), reason="x"
    )
    plan = work(approved(stop_small(world)), turns=20)
    assert plan.state == "verified", plan.state_reason
    lowered = world.quota()
    disarm("eastus", "training", by=operator)
    assert hand_back_due("eastus") == 1
    assert world.owners() == {"kubectl-edit"}
    assert int(world.quota()) == int(lowered) < QUOTA
