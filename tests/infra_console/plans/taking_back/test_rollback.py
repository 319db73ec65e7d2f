"""The way back on a served cluster: what it restores, what it refuses, and that it survives."""

from datetime import timedelta

import pytest
from django.utils import timezone

from infra_console.audit.queries import verify_chain
from infra_console.plans import services
from infra_console.plans.errors import (
    NotAllowed,
    ReasonMissing,
    RollbackRefused,
    WrongState,
)
from infra_console.plans.executing import executor
from infra_console.plans.executing.runner import Runner
from infra_console.plans.models import Execution, LockRow, Plan, Step
from infra_console.plans.settling import verification
from infra_console.plans.spec import Guard
from infra_console.plans.steps.drain import Drain
from infra_console.plans.steps.node import AssignTier, Uncordon
from infra_console.plans.taking_back.rollback import roll_back
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.conftest import let_lease_run_out
from tests.infra_console.plans.executing.test_execution import marks_on, work
from tests.infra_console.plans.specs import (
    NODE,
    TIER_KEY,
    node_move,
    node_steps,
    preconditions,
    scale_move,
    scale_step,
    spec,
)
from tests.people import person
from tiers.twin.kube.resources import DEPLOYMENTS, NODES

WHOLE = ["node.cordon_back", "node.drain_back", "node.restore_tier", "node.uncordon"]


def stood(twin, name: str = NODE) -> tuple:
    """What a rollback must restore of a node, to the byte."""
    node = twin.node(name)
    spec, meta = node["spec"], node["metadata"]
    # The node controller takes its own taint off a moment after a cordon.
    taints = [t for t in spec["taints"] if t["key"] != "node.kubernetes.io/unschedulable"]
    return meta["labels"], taints, bool(spec.get("unschedulable")), marks_on(twin, name)


def pausing_after(monkeypatch, kind, plan, operator):
    """Pause the plan once a step of this kind has ended."""
    real = kind.run

    def run(self, step):
        outcome = real(self, step)
        if type(outcome).__name__ == "Done":
            services.pause_execution(plan.id, by=operator, reason="lunch")
        return outcome

    monkeypatch.setattr(kind, "run", run)


def test_a_round_trip_restores_labels_taints_and_replicas_exactly(twin, armed, approved, operator):
    foreign = {"key": "example.com/note", "value": "x", "effect": "PreferNoSchedule"}
    twin.edit_node(NODE, spec={"taints": [*twin.node(NODE)["spec"]["taints"], foreign]})
    before, replicas = stood(twin), twin.deployment("chat-70b")["spec"]["replicas"]
    plan = approved(
        spec(
            moves=(node_move(), scale_move("chat-70b", replicas, replicas + 1)),
            steps=(*node_steps(), scale_step("chat-70b", replicas, replicas + 1, wave=4)),
            preconditions=preconditions(twin),
        )
    )
    assert work(plan).state == "verified"
    assert stood(twin) != before
    forward = len(twin.mutations())
    roll_back(plan.id, by=operator, reason="slower than promised")
    assert work(plan).state == "rolled_back"
    assert stood(twin) == before
    assert twin.deployment("chat-70b")["spec"]["replicas"] == replicas
    back = [m for m in twin.mutations()[forward:] if "eviction" not in m]
    assert back == ["update deployments/scale chat-70b", *[f"patch nodes {NODE}"] * 4]
    assert not LockRow.objects.exists()
    assert Execution.objects.get(plan=plan).finished_at is not None
    assert verify_chain().ok
    assert executor.execute(plan.id) == "nothing to do"


def test_the_way_back_is_written_down_before_the_first_step(twin, armed, approved, monkeypatch):
    plan, seen = approved(spec()), []
    monkeypatch.setattr(
        Runner, "_try", lambda self, step: seen.append(step.undo) or (_ for _ in ()).throw(Died)
    )
    with pytest.raises(Died):
        executor.execute(plan.id)
    assert twin.mutations() == []
    assert [part["kind"] for part in seen[0]] == ["node.uncordon"]
    undo = {s.kind: [part["kind"] for part in s.undo] for s in Step.objects.filter(plan=plan)}
    assert undo["node.assign_tier"] == WHOLE
    assert undo["node.drain"] == []


class Died(BaseException):
    """The worker is gone at this instant."""


@pytest.mark.parametrize(
    ("kind", "back", "writes"),
    [
        (Drain, ["node.uncordon"], 1),
        (AssignTier, WHOLE, 3),
    ],
)  # fmt: skip
def test_what_was_not_done_is_not_undone(
    twin, armed, approved, operator, monkeypatch, kind, back, writes
):
    before, plan = stood(twin), approved(spec())
    with monkeypatch.context() as lunch:
        pausing_after(lunch, kind, plan, operator)
        assert work(plan).state == "paused"
    forward = twin.count("patch nodes")
    roll_back(plan.id, by=operator, reason="enough")
    assert work(plan).state == "rolled_back"
    assert stood(twin) == before
    assert twin.count("patch nodes") == forward + writes
    assert [s.kind for s in Step.objects.filter(plan=plan, back=True)] == back
    assert Step.objects.get(plan=plan, kind="node.uncordon", back=False).state == "skipped"


def test_an_aborted_plan_gives_back_the_node_that_it_had_assigned(
    twin, armed, approved, operator, monkeypatch
):
    before, plan = stood(twin), approved(spec())
    with monkeypatch.context() as lunch:
        pausing_after(lunch, AssignTier, plan, operator)
        assert work(plan).state == "paused"
    services.abort_execution(plan.id, by=operator, reason="enough")
    with pytest.raises(RollbackRefused, match="still being cleared up"):
        roll_back(plan.id, by=operator, reason="hurry")
    work(plan)
    assert stood(twin)[2:] == (False, set())
    roll_back(plan.id, by=operator, reason="give it back")
    assert work(plan).state == "rolled_back"
    assert stood(twin) == before


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_killed_at_any_step_of_the_way_back_it_finishes_once(
    twin, armed, approved, operator, monkeypatch, number, when
):
    before, plan, tried = stood(twin), approved(spec()), 0
    assert work(plan).state == "verified"
    roll_back(plan.id, by=operator, reason="again")
    real = Runner._record if when == "after" else Runner._outcome

    def die(self, step, *rest):
        nonlocal tried
        if step.kind not in seen:
            seen.add(step.kind)
            tried += 1
            if tried == number:
                raise Died
        return real(self, step, *rest)

    seen: set[str] = set()
    with monkeypatch.context() as dying:
        dying.setattr(Runner, real.__name__, die)
        with pytest.raises(Died):
            work(plan)
    let_lease_run_out(plan)
    assert work(plan).state == "rolled_back"
    assert stood(twin) == before
    assert twin.count(f"patch nodes {NODE}") == 8
    assert not LockRow.objects.exists()


def test_a_floor_stops_the_way_back_before_it_writes(twin, armed, approved, operator):
    held = sum(
        n["metadata"]["labels"].get(TIER_KEY) == "inference"
        for n in twin.call(twin.store.all, NODES)
    )
    guard = Guard(cluster=CLUSTER, tier="inference", min_ready_gpus=(held + 1) * 8)
    plan = approved(spec(guards=(guard,)))
    assert work(plan).state == "verified"
    after, writes = stood(twin), len(twin.mutations())
    roll_back(plan.id, by=operator, reason="slower")
    assert work(plan).state == "paused"
    assert "below its floor" in plan.state_reason
    assert (stood(twin), len(twin.mutations())) == (after, writes)


def test_a_node_that_somebody_changed_since_pauses_and_is_left(twin, armed, approved, operator):
    plan = work(approved(spec()))
    twin.edit_node(NODE, metadata={"labels": {TIER_KEY: "operational"}})
    changed, writes = stood(twin), len(twin.mutations())
    roll_back(plan.id, by=operator, reason="slower")
    assert work(plan).state == "paused"
    assert "set by somebody else" in plan.state_reason
    assert (stood(twin), len(twin.mutations())) == (changed, writes)
    taints = [{**t, "value": "inference"} for t in changed[1]]
    labels = {**changed[0], TIER_KEY: "inference"}
    twin.edit_node(NODE, metadata={"labels": labels}, spec={"taints": taints})
    services.resume_execution(plan.id, by=operator, reason="set right")
    assert work(plan).state == "rolled_back"


def test_replicas_that_somebody_set_since_pause_the_way_back(twin, armed, approved, operator):
    before = twin.deployment("chat-7b")["spec"]["replicas"]
    plan = approved(
        spec(
            moves=(scale_move("chat-7b", before, before - 1),),
            steps=(scale_step("chat-7b", before, before - 1),),
        )
    )
    assert work(plan).state == "verified"
    twin.edit(DEPLOYMENTS, "inference", "chat-7b", {"spec": {"replicas": before + 3}})
    roll_back(plan.id, by=operator, reason="slower")
    assert work(plan).state == "paused"
    assert "set by somebody else" in plan.state_reason
    assert twin.deployment("chat-7b")["spec"]["replicas"] == before + 3


def test_a_way_back_that_was_aborted_is_taken_up_again(
    twin, armed, approved, operator, monkeypatch
):
    before, plan = stood(twin), work(approved(spec()))
    roll_back(plan.id, by=operator, reason="slower")
    with monkeypatch.context() as lunch:
        pausing_after(lunch, Drain, plan, operator)
        assert work(plan).state == "paused"
    with pytest.raises(RollbackRefused, match="resume it"):
        roll_back(plan.id, by=operator, reason="once more")
    services.abort_execution(plan.id, by=operator, reason="not now")
    work(plan)
    assert stood(twin)[2:] == (False, set())
    roll_back(plan.id, by=operator, reason="now")
    assert work(plan).state == "rolled_back"
    assert stood(twin) == before


def test_the_kill_switch_and_a_disarming_hold_the_way_back(twin, armed, approved, operator):
    plan = work(approved(spec()))
    writes = len(twin.mutations())
    services.engage_kill_switch(by=operator, reason="smoke")
    roll_back(plan.id, by=operator, reason="slower")
    assert work(plan, turns=2).state == "rolling_back"
    services.disarm(CLUSTER, "inference", by=operator)
    services.release_kill_switch(by=operator)
    assert work(plan).state == "paused"
    assert "no longer armed" in plan.state_reason
    assert len(twin.mutations()) == writes


def test_it_needs_the_right_a_reason_and_a_plan_that_wrote(twin, armed, approved, operator):
    plan = approved(spec())
    with pytest.raises(WrongState):
        roll_back(plan.id, by=operator, reason="early")
    work(plan)
    for role in ("viewer", "planner", "approver"):
        who = person(role, name=f"{role}-2")
        with pytest.raises(NotAllowed, match="right execution"):
            roll_back(plan.id, by=who, reason="mine")
    with pytest.raises(ReasonMissing):
        roll_back(plan.id, by=operator, reason=" ")
    long_ago = timezone.now() - timedelta(hours=25)
    Execution.objects.filter(plan=plan).update(finished_at=long_ago)
    with pytest.raises(RollbackRefused, match="more than 24 hours ago"):
        roll_back(plan.id, by=operator, reason="late")
    assert Plan.objects.get(id=plan.id).state == "verified"


def test_a_plan_that_wrote_nothing_has_no_way_back(twin, armed, approved, operator):
    twin.edit_node(NODE, spec={"unschedulable": True})
    plan = work(approved(spec()))
    assert plan.state == "failed"
    with pytest.raises(RollbackRefused, match="changed nothing"):
        roll_back(plan.id, by=operator, reason="all")


def test_an_author_who_controls_executions_may_take_their_plan_back(twin, armed, approved):
    """What is written was approved with the plan by somebody else."""
    plan = work(approved(spec()))
    both = person("planner", "operator", name="planner")
    roll_back(plan.id, by=both, reason="I was wrong")
    assert work(plan).state == "rolled_back"


def test_a_plan_that_is_being_verified_goes_back_and_its_verification_ends_nothing(
    twin, armed, approved, operator, monkeypatch
):
    """The operator asks while a worker is looking at the cluster."""
    before, plan, real = stood(twin), approved(spec()), verification._cluster_problems

    def ask_meanwhile(plan, tier_key):
        found = real(plan, tier_key)
        roll_back(plan.id, by=operator, reason="slower")
        return found

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(verification, "_cluster_problems", ask_meanwhile)
        work(plan, turns=1)
    assert Plan.objects.get(id=plan.id).state == "rolling_back"
    assert Execution.objects.get(plan=plan).finished_at is None
    assert LockRow.objects.filter(plan=plan).exists()
    assert work(plan).state == "rolled_back"
    assert stood(twin) == before


def test_what_grew_shrinks_first_and_nodes_go_back_in_reverse(twin, armed, approved, operator):
    other = "eastus-h100-reserved-05"
    before = [stood(twin), stood(twin, other)]
    large, small = (twin.deployment(n)["spec"]["replicas"] for n in ("chat-70b", "chat-7b"))
    later = [s.model_copy(update={"wave": s.wave + 5}) for s in node_steps(other)]
    first = [s.model_copy(update={"wave": s.wave + 1}) for s in node_steps()]
    plan = approved(
        spec(
            moves=(node_move(), node_move(other)),
            steps=(
                scale_step("chat-7b", small, small - 1),
                *first,
                *later,
                scale_step("chat-70b", large, large + 1, wave=9),
            ),
        )
    )
    assert work(plan).state == "verified"
    forward = len(twin.mutations())
    roll_back(plan.id, by=operator, reason="slower")
    assert work(plan).state == "rolled_back"
    back = [m for m in twin.mutations()[forward:] if "eviction" not in m]
    assert back == [
        "update deployments/scale chat-70b",
        *[f"patch nodes {other}"] * 4,
        *[f"patch nodes {NODE}"] * 4,
        "update deployments/scale chat-7b",
    ]
    assert [stood(twin), stood(twin, other)] == before
    assert twin.deployment("chat-7b")["spec"]["replicas"] == small


def test_a_worker_that_dies_over_the_end_leaves_no_lock(
    twin, armed, approved, operator, monkeypatch
):
    plan = work(approved(spec()))
    roll_back(plan.id, by=operator, reason="slower")
    with monkeypatch.context() as dying:
        dying.setattr(executor, "release_locks", lambda _: (_ for _ in ()).throw(Died))
        with pytest.raises(Died):
            work(plan)
    assert Plan.objects.get(id=plan.id).state == "rolling_back"
    let_lease_run_out(plan)
    assert work(plan).state == "rolled_back"
    assert not LockRow.objects.exists()


def test_a_node_that_notes_another_past_than_our_record_is_left(
    twin, armed, approved, operator, monkeypatch
):
    plan = approved(spec())
    with monkeypatch.context() as lunch:
        pausing_after(lunch, AssignTier, plan, operator)
        assert work(plan).state == "paused"
    notes = twin.node(NODE)["metadata"]["annotations"]
    other = {**notes, "infra-console.dev/prior": '{"label": "operational"}'}
    twin.edit_node(NODE, metadata={"annotations": other})
    roll_back(plan.id, by=operator, reason="enough")
    assert work(plan).state == "paused"
    assert "notes that operational stood there before" in plan.state_reason
    assert twin.node(NODE)["metadata"]["labels"][TIER_KEY] == "inference"


def test_a_cordon_of_somebody_else_on_the_way_back_stays(
    twin, armed, approved, operator, monkeypatch
):
    plan = work(approved(spec()))
    roll_back(plan.id, by=operator, reason="slower")
    real = Uncordon.run

    def taken(self, step):
        ours = twin.node(NODE)["metadata"]["annotations"]
        kept = {k: v for k, v in ours.items() if not k.startswith("infra-console.dev/")}
        twin.edit_node(NODE, metadata={"annotations": kept})
        return real(self, step)

    monkeypatch.setattr(Uncordon, "run", taken)
    assert work(plan).state == "paused"
    assert "closed by somebody else" in plan.state_reason
    assert twin.node(NODE)["spec"]["unschedulable"]
