"""Plans carried out on a served cluster: what is written, how often, and what is left behind."""

from collections import Counter
from dataclasses import replace

import pytest
from django.utils import timezone

from infra_console.audit.models import AuditRow
from infra_console.audit.queries import verify_chain
from infra_console.cluster.reads import list_pods
from infra_console.plans import services
from infra_console.plans.executing import executor, runner
from infra_console.plans.executing.patience import PATIENCE
from infra_console.plans.executing.sweep import orphaned_plans
from infra_console.plans.holding.fence import Fence
from infra_console.plans.holding.lease import LeaseLost, acquire_lease, renew_lease
from infra_console.plans.models import Execution, LockRow, Plan, Step
from infra_console.plans.spec import Budget, Guard
from infra_console.plans.steps import drain
from infra_console.plans.steps.drain import Drain
from infra_console.plans.steps.node import AssignTier, Uncordon
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.conftest import let_lease_run_out
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
from tiers.twin.kube.resources import DEPLOYMENTS

MARKS = "infra-console.dev/"


def work(plan, turns: int = 6) -> Plan:
    """Call the executor as the sweep would until the plan has ended, or waits for a person."""
    for _ in range(turns):
        executor.execute(plan.id)
        plan.refresh_from_db()
        if plan.state not in executor.ACTIVE:
            break
        Execution.objects.filter(plan=plan).update(not_before=None)
    return plan


def steps_of(plan) -> dict[str, str]:
    return {s.kind: s.state for s in Step.objects.filter(plan=plan)}


def marks_on(twin, name: str) -> set[str]:
    annotations = twin.node(name)["metadata"].get("annotations") or {}
    return {key for key in annotations if key.startswith(MARKS)}


def test_a_node_changes_tier_and_a_service_grows_each_write_once(twin, armed, approved):
    before = twin.deployment("chat-70b")["spec"]["replicas"]
    grow = scale_step("chat-70b", before, before + 1, wave=4)
    plan = approved(
        spec(
            moves=(node_move(), scale_move("chat-70b", before, before + 1)),
            steps=(*node_steps(), grow),
            preconditions=preconditions(twin),
        )
    )
    assert work(plan).state == "verified"
    node = twin.node(NODE)
    assert node["metadata"]["labels"][TIER_KEY] == "inference"
    assert not node["spec"].get("unschedulable")
    assert [t["value"] for t in node["spec"]["taints"] if t["key"] == TIER_KEY] == ["inference"]
    assert marks_on(twin, NODE) == set()
    assert twin.deployment("chat-70b")["status"]["readyReplicas"] == before + 1
    assert twin.count(f"patch nodes {NODE}") == 4  # cordon, label, taint, uncordon
    assert twin.count("update deployments/scale") == 1
    evictions = [m for m in twin.mutations() if "eviction" in m]
    assert max(Counter(evictions).values(), default=0) <= 1
    assert set(steps_of(plan).values()) == {"done"}
    assert not LockRow.objects.exists()


def test_every_write_has_its_audit_row_before_it(twin, armed, approved):
    work(approved(spec()))
    writing = AuditRow.objects.filter(action="step.writing").count()
    closed = AuditRow.objects.filter(action__in=("step.written", "step.refused")).count()
    assert writing == closed >= len(twin.mutations()) > 0
    assert verify_chain().ok


def test_a_second_delivery_has_no_effect(twin, armed, approved):
    plan = work(approved(spec()))
    writes = twin.mutations()
    assert executor.execute(plan.id) == "nothing to do"
    assert twin.mutations() == writes


def test_a_delivery_while_another_works_has_no_effect(twin, armed, approved):
    plan = approved(spec())
    held = acquire_lease(plan.id)
    assert held is not None
    assert "another worker" in executor.execute(plan.id)
    assert twin.mutations() == []


class Killed(BaseException):
    """The worker is gone at this instant."""


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_killed_between_write_and_record_it_resumes_and_writes_nothing_twice(
    twin, armed, approved, monkeypatch, number
):
    """The process dies right after its n-th write took effect, before anything was recorded."""
    plan, made, real = approved(spec()), 0, Fence.write

    def write_then_die(self, **call):
        nonlocal made
        result = real(self, **call)
        made += 1
        if made == number:
            raise Killed
        return result

    monkeypatch.setattr(Fence, "write", write_then_die)
    with pytest.raises(Killed):
        work(plan)
    monkeypatch.setattr(Fence, "write", real)
    assert executor.execute(plan.id) == "finished, or another worker is on it"
    let_lease_run_out(plan)
    assert plan.id in orphaned_plans()
    assert work(plan).state == "verified"
    assert twin.count(f"patch nodes {NODE}") == 4
    assert twin.repeated() == {f"patch nodes {NODE}": 4}
    assert Execution.objects.get(plan=plan).lease_epoch >= 2


def test_killed_before_a_write_it_resumes(twin, armed, approved, monkeypatch):
    plan = approved(spec())
    monkeypatch.setattr(runner.Runner, "_outcome", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        work(plan)
    monkeypatch.undo()
    let_lease_run_out(plan)
    assert work(plan).state == "verified"


def test_a_lease_that_was_taken_over_refuses_the_old_worker(db, approved):
    plan = approved(spec())
    old = acquire_lease(plan.id)
    let_lease_run_out(plan)
    new = acquire_lease(plan.id)
    assert new.epoch == old.epoch + 1
    with pytest.raises(LeaseLost):
        renew_lease(old)
    renew_lease(new)


def test_unarmed_it_is_a_rehearsal_that_persists_nothing(twin, approved):
    plan = work(approved(spec(preconditions=preconditions(twin))))
    assert plan.state == "rehearsed"
    assert twin.mutations() == []
    assert any(r.dry_run for r in twin.log.recent)
    assert Execution.objects.get(plan=plan).settle_at is None  # nothing measures this fleet
    assert set(steps_of(plan).values()) == {"rehearsed"}


def test_drift_before_the_first_step_voids_the_plan(twin, armed, approved):
    plan = approved(spec(preconditions=preconditions(twin)))
    twin.edit_node(NODE, metadata={"labels": {TIER_KEY: "operational"}})
    work(plan)
    assert plan.state == "void"
    assert "1 fact changed" in plan.state_reason
    assert twin.mutations() == []


def test_heartbeats_are_no_drift(twin, armed, approved):
    plan = approved(spec(preconditions=preconditions(twin)))
    for number in range(20):
        twin.edit_node(NODE, metadata={"annotations": {"beat": str(number)}})
    assert work(plan).state == "verified"


def test_a_floor_stops_the_plan_before_it_writes(twin, armed, approved):
    guard = Guard(cluster=CLUSTER, tier="training", min_ready_gpus=48)
    plan = work(approved(spec(guards=(guard,))))
    assert plan.state == "paused"
    assert "below its floor of 48" in plan.state_reason
    assert twin.mutations() == []


def test_a_foreign_cordon_is_never_lifted(twin, armed, approved):
    twin.edit_node(NODE, spec={"unschedulable": True})
    plan = work(approved(spec()))
    assert plan.state == "failed"
    assert twin.node(NODE)["spec"]["unschedulable"]
    assert twin.mutations() == []
    assert not LockRow.objects.exists()


@pytest.mark.parametrize("effect", ["NoSchedule", "NoExecute"])
def test_a_node_tainted_by_somebody_else_is_left_alone(twin, armed, approved, effect):
    taints = twin.node(NODE)["spec"]["taints"]
    foreign = {"key": "example.com/repair", "value": "yes", "effect": effect}
    twin.edit_node(NODE, spec={"taints": [*taints, foreign]})
    plan = work(approved(spec()))
    assert plan.state == "failed"
    assert "tainted by somebody else (example.com/repair)" in plan.state_reason
    assert twin.mutations() == []


def test_a_cordon_set_again_by_somebody_else_stays(twin, armed, approved):
    """Our mark is taken off and the node closed by another hand: not ours to open."""
    plan = approved(spec(steps=tuple(node_steps()[3:])))
    twin.edit_node(NODE, spec={"unschedulable": True})
    assert work(plan).state == "paused"
    assert twin.node(NODE)["spec"]["unschedulable"]


def test_a_failed_plan_leaves_no_cordon_of_ours(twin, armed, approved):
    steps = [s for s in node_steps() if s.kind != "node.drain"]
    wrong = steps[1].model_copy(update={"params": {**steps[1].params, "from": "operational"}})
    plan = work(approved(spec(steps=(steps[0], wrong, steps[2]))))
    assert plan.state == "failed"
    assert "set by somebody else" in plan.state_reason
    assert not twin.node(NODE)["spec"].get("unschedulable")
    assert marks_on(twin, NODE) == set()
    assert steps_of(plan)["node.uncordon"] == "skipped"


def test_a_worker_that_dies_over_a_failed_step_leaves_a_failure(twin, armed, approved, monkeypatch):
    """The step is recorded, the plan not yet moved: the next worker does not go on."""
    steps = [s for s in node_steps() if s.kind != "node.drain"]
    wrong = steps[1].model_copy(update={"params": {**steps[1].params, "from": "operational"}})
    plan = approved(spec(steps=(steps[0], wrong, steps[2])))
    with monkeypatch.context() as dying:
        dying.setattr(executor.Runner, "run", _run_then_die(executor.Runner.run))
        with pytest.raises(RuntimeError, match="killed"):
            executor.execute(plan.id)
    assert steps_of(plan)["node.assign_tier"] == "failed"
    let_lease_run_out(plan)
    plan = work(plan)
    assert plan.state == "failed"
    assert "set by somebody else" in plan.state_reason
    assert steps_of(plan)["node.uncordon"] == "skipped"
    assert not twin.node(NODE)["spec"].get("unschedulable")


def _run_then_die(real):
    def run(self):
        real(self)
        raise RuntimeError("killed")

    return run


def test_an_abort_writes_no_more_but_opens_the_node(twin, armed, approved, operator, monkeypatch):
    plan, real = approved(spec()), AssignTier.run

    def abort_first(self, step):
        assert twin.node(NODE)["spec"]["unschedulable"]
        services.abort_execution(plan.id, by=operator, reason="enough")
        return real(self, step)

    monkeypatch.setattr(AssignTier, "run", abort_first)
    assert work(plan, turns=1).state == "aborted"
    assert twin.count(f"patch nodes {NODE}") == 1
    executor.execute(plan.id)
    node = twin.node(NODE)
    assert not node["spec"].get("unschedulable")
    assert node["metadata"]["labels"][TIER_KEY] == "training"
    assert marks_on(twin, NODE) == set()
    assert not LockRow.objects.exists()
    assert Execution.objects.get(plan=plan).finished_at is not None


@pytest.mark.parametrize("tier", ["inference", "training"])
def test_an_abort_after_a_disarm_still_opens_the_node(
    twin, armed, approved, operator, monkeypatch, tier
):
    plan, real = approved(spec()), Drain.run

    def disarm_first(self, step):
        services.disarm(CLUSTER, tier, by=operator)
        services.abort_execution(plan.id, by=operator, reason="enough")
        return real(self, step)

    monkeypatch.setattr(Drain, "run", disarm_first)
    assert work(plan, turns=3).state == "aborted"
    assert not twin.node(NODE)["spec"].get("unschedulable")
    assert marks_on(twin, NODE) == set()
    assert not LockRow.objects.exists()
    assert AuditRow.objects.filter(action="step.written", detail__step="clear up").count() == 1


def test_clearing_up_waits_for_the_kill_switch(twin, armed, approved, operator, monkeypatch):
    plan, real = approved(spec()), AssignTier.run

    def stop_everything(self, step):
        services.abort_execution(plan.id, by=operator)
        services.engage_kill_switch(by=operator, reason="smoke")
        return real(self, step)

    monkeypatch.setattr(AssignTier, "run", stop_everything)
    work(plan, turns=3)
    assert twin.node(NODE)["spec"]["unschedulable"]
    services.release_kill_switch(by=operator)
    work(plan)
    assert not twin.node(NODE)["spec"].get("unschedulable")


def test_the_kill_switch_stops_a_plan_before_it_begins(twin, armed, approved, operator):
    services.engage_kill_switch(by=operator, reason="smoke")
    plan = approved(spec())
    executor.execute(plan.id)
    assert Plan.objects.get(id=plan.id).state == "approved"
    assert twin.mutations() == []


def test_the_kill_switch_stops_the_next_write(twin, armed, approved, operator, monkeypatch):
    plan, real = approved(spec()), Drain.run

    def engage_first(self, step):
        services.engage_kill_switch(by=operator, reason="smoke")
        return real(self, step)

    monkeypatch.setattr(Drain, "run", engage_first)
    executor.execute(plan.id)
    assert twin.count("patch nodes") == 1
    assert twin.count("create pods/eviction") == 0
    assert Plan.objects.get(id=plan.id).state == "executing"


@pytest.mark.parametrize("stop", ["kill switch", "pause"])
def test_time_in_which_it_was_stopped_is_no_waiting(
    twin, armed, approved, operator, monkeypatch, stop
):
    """Stopped in the middle of a drain for longer than a step may wait."""
    plan, real = approved(spec()), Drain.run

    def stop_first(self, step):
        Step.objects.filter(plan=plan, kind="node.drain").update(
            started_at=timezone.now() - 2 * PATIENCE
        )
        if stop == "pause":
            services.pause_execution(plan.id, by=operator)
        else:
            services.engage_kill_switch(by=operator, reason="smoke")
        return real(self, step)

    with monkeypatch.context() as stopping:
        stopping.setattr(Drain, "run", stop_first)
        executor.execute(plan.id)
    if stop == "pause":
        services.resume_execution(plan.id, by=operator)
    else:
        services.release_kill_switch(by=operator)
    assert work(plan).state == "verified"


def test_disarmed_in_the_middle_it_pauses_and_goes_on_when_armed(
    twin, armed, approved, operator, monkeypatch
):
    plan, real = approved(spec()), AssignTier.run

    def disarm_first(self, step):
        services.disarm(CLUSTER, "inference", by=operator)
        return real(self, step)

    monkeypatch.setattr(AssignTier, "run", disarm_first)
    assert work(plan).state == "paused"
    assert "no longer armed" in plan.state_reason
    monkeypatch.setattr(AssignTier, "run", real)
    services.arm(CLUSTER, "inference", by=operator, hours=1)
    services.resume_execution(plan.id, by=operator)
    assert work(plan).state == "verified"


def test_two_plans_for_one_tier_take_turns(twin, armed, approved):
    first = approved(spec())
    other = "eastus-h100-reserved-05"
    second = approved(
        spec(moves=(node_move(other),), steps=tuple(node_steps(other)), domain="other")
    )
    LockRow.objects.create(cluster=CLUSTER, tier="training", plan=first, taken_at=first.created_at)
    executor.execute(second.id)
    second.refresh_from_db()
    assert second.state == "approved"
    assert f"Plan {first.number}" in Execution.objects.get(plan=second).outcome
    assert work(first).state == "verified"
    assert work(second).state == "verified"


def test_a_budget_of_one_moves_nodes_one_by_one(twin, armed, approved):
    other = "eastus-h100-reserved-05"
    steps = [*node_steps(), *node_steps(other)]
    plan = approved(
        spec(
            moves=(node_move(), node_move(other)),
            steps=tuple(
                s.model_copy(update={"wave": s.wave + 4 * (s in steps[4:])}) for s in steps
            ),
            budgets=(Budget(cluster=CLUSTER, max_nodes=1),),
        )
    )
    assert work(plan).state == "verified"
    assert twin.count("patch nodes") == 8


def test_a_shrink_stops_the_named_victims(twin, armed, approved):
    before = twin.deployment("chat-7b")["spec"]["replicas"]
    victims = sorted(
        p["metadata"]["name"] for p in twin.pods() if p["metadata"]["name"].startswith("chat-7b-")
    )[:1]
    plan = approved(
        spec(
            moves=(scale_move("chat-7b", before, before - 1),),
            steps=(scale_step("chat-7b", before, before - 1, victims=tuple(victims)),),
        )
    )
    assert work(plan).state == "verified"
    names = {p["metadata"]["name"] for p in twin.pods()}
    assert not names & set(victims)
    assert twin.deployment("chat-7b")["spec"]["replicas"] == before - 1


@pytest.mark.parametrize(("above_floor", "state"), [(-1, "failed"), (0, "verified")])
def test_no_shrink_goes_below_the_floor_of_a_service(twin, armed, approved, above_floor, state):
    before = twin.deployment("chat-7b")["spec"]["replicas"]
    to, shrink = before - 1, scale_step("chat-7b", before, before - 1)
    shrink = shrink.model_copy(update={"params": {**shrink.params, "floor": to - above_floor}})
    plan = approved(spec(moves=(scale_move("chat-7b", before, to),), steps=(shrink,)))
    assert work(plan).state == state
    kept = to if state == "verified" else before
    assert twin.deployment("chat-7b")["spec"]["replicas"] == kept
    assert (f"below its floor of {before}" in plan.state_reason) == (state == "failed")


def test_replicas_set_by_somebody_else_end_the_plan(twin, armed, approved):
    before = twin.deployment("chat-7b")["spec"]["replicas"]
    plan = approved(
        spec(
            moves=(scale_move("chat-7b", before, before + 1),),
            steps=(scale_step("chat-7b", before, before + 1),),
        )
    )
    twin.edit(DEPLOYMENTS, "inference", "chat-7b", {"spec": {"replicas": before + 5}})
    assert work(plan).state == "failed"
    assert twin.deployment("chat-7b")["spec"]["replicas"] == before + 5


def test_a_cluster_that_is_away_is_waited_for(twin, armed, approved):
    plan = approved(spec(preconditions=preconditions(twin)))
    twin.run(twin.servers.partition(CLUSTER))
    executor.execute(plan.id)
    plan.refresh_from_db()
    assert plan.state == "approved"
    assert "waits to begin" in Execution.objects.get(plan=plan).outcome
    twin.run(twin.servers.heal(CLUSTER))
    Execution.objects.update(not_before=None)
    assert work(plan).state == "verified"


def test_a_pod_without_a_controller_is_never_evicted(twin, armed, approved, operator, monkeypatch):
    def with_one_by_hand(cluster, **where):
        pods = list_pods(cluster, **where)
        other = pods[0] if pods else list_pods(cluster)[0]
        return [*pods, replace(other, namespace="lab", name="by-hand", owner_kind="")]

    plan = approved(spec())
    with monkeypatch.context() as bare:
        bare.setattr(drain, "list_pods", with_one_by_hand)
        assert work(plan).state == "paused"
    assert "lab/by-hand has no controller" in plan.state_reason
    assert twin.count("create pods/eviction") == 0
    services.resume_execution(plan.id, by=operator)
    assert work(plan).state == "verified"


def test_a_blocked_drain_says_which_budget_keeps_what(twin, armed, approved, monkeypatch):
    """A node full of replicas that may not all go at once."""
    monkeypatch.setattr(runner, "WORK_S", 0.0)
    full = max(
        (n for n in {p["spec"].get("nodeName") for p in twin.pods()} if n and "h100" in n),
        key=lambda n: sum(name.startswith("chat") for name in twin.pods_on(n)),
    )
    steps = node_steps(full, "inference", "training")
    plan = approved(spec(moves=(node_move(full, "inference", "training"),), steps=tuple(steps)))
    seen = set()
    for _ in range(4):
        executor.execute(plan.id)
        Execution.objects.update(not_before=None)
        seen.add(Step.objects.get(plan=plan, kind="node.drain").detail)
        Step.objects.filter(plan=plan).update(next_try_at=None)
    assert any("a disruption budget keeps" in words and "try" in words for words in seen), seen


def test_drift_of_a_node_it_has_not_touched_ends_a_plan_that_goes_on(
    twin, armed, approved, operator, monkeypatch
):
    """The second node is given away while the plan rests: what is done stays, the rest stops."""
    other = "eastus-h100-reserved-05"
    later = [s.model_copy(update={"wave": s.wave + 4}) for s in node_steps(other)]
    plan = approved(
        spec(
            moves=(node_move(), node_move(other)),
            steps=(*node_steps(), *later),
            preconditions=(*preconditions(twin), *preconditions(twin, other)),
        )
    )
    real = Uncordon.run

    def pause_after(self, step):
        outcome = real(self, step)
        services.pause_execution(plan.id, by=operator, reason="lunch")
        return outcome

    with monkeypatch.context() as lunch:
        lunch.setattr(Uncordon, "run", pause_after)
        assert work(plan).state == "paused"
    twin.edit_node(other, metadata={"labels": {TIER_KEY: "operational"}})
    services.resume_execution(plan.id, by=operator)
    assert work(plan).state == "failed"
    assert "1 fact changed" in plan.state_reason
    assert twin.count(f"patch nodes {other}") == 0
    assert twin.node(NODE)["metadata"]["labels"][TIER_KEY] == "inference"
    assert not LockRow.objects.exists()


def test_drift_between_the_first_look_and_the_locks_voids_the_plan(
    twin, armed, approved, monkeypatch
):
    plan, real = approved(spec(preconditions=preconditions(twin))), executor.take_locks

    def taken_late(plan):
        real(plan)
        twin.edit_node(NODE, metadata={"labels": {TIER_KEY: "operational"}})

    monkeypatch.setattr(executor, "take_locks", taken_late)
    assert work(plan).state == "void"
    assert twin.mutations() == []
    assert not LockRow.objects.exists()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"uid": "another"}, "was replaced by another node of its name"),
        ({"key": TIER_KEY, "from": "operational"}, "set by somebody else"),
    ],
)
@pytest.mark.parametrize("kind", ["node.cordon", "node.drain", "node.assign_tier"])
def test_a_node_that_is_not_the_approved_one_is_not_touched(
    twin, armed, approved, kind, params, words
):
    first = node_steps()[0]
    wrong = next(s for s in node_steps() if s.kind == kind)
    wrong = wrong.model_copy(update={"params": {**wrong.params, **params}})
    steps = (wrong,) if kind == "node.cordon" else (first, wrong)
    plan = work(approved(spec(steps=steps)))
    assert plan.state == "failed"
    assert words in plan.state_reason
    assert twin.count("create pods/eviction") == 0
    assert twin.node(NODE)["metadata"]["labels"][TIER_KEY] == "training"
    assert not twin.node(NODE)["spec"].get("unschedulable")
