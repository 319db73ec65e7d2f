"""Which steps are tried when; what a refusal means; what the sweep hands out."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from kombu.exceptions import OperationalError

from infra_console.cluster.errors import (
    ClusterForbidden,
    ClusterUnavailable,
    InvalidRequest,
    ObjectConflict,
    ObjectMissing,
)
from infra_console.plans.checks import check_step_kinds
from infra_console.plans.executing import executor, runner, sweep
from infra_console.plans.executing.patience import PATIENCE, patient
from infra_console.plans.executing.runner import Runner, _outcome_of, runnable
from infra_console.plans.holding import outbox
from infra_console.plans.models import Execution, Outbox, Plan, Step
from infra_console.plans.steps.base import Blocked, Failed, Waiting
from tests.infra_console.plans.specs import spec

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def step(cluster="a", wave=0, state="pending", due_in_s=None) -> Step:
    due = None if due_in_s is None else NOW + timedelta(seconds=due_in_s)
    return Step(cluster=cluster, wave=wave, state=state, next_try_at=due, key=f"{cluster}/{wave}")


def test_a_later_wave_waits_for_the_whole_earlier_one():
    first, second = step(state="waiting", due_in_s=5), step(wave=1)
    assert runnable([first, second], now=NOW) == ([], 5.0)
    first.state = "done"
    assert runnable([first, second], now=NOW) == ([second], 0.0)


def test_a_cluster_that_waits_holds_nobody_up():
    waits, other = step("a", state="waiting", due_in_s=9), step("b", wave=3)
    assert runnable([waits, step("a", 1), other], now=NOW)[0] == [other]


def test_a_step_that_waits_does_not_hold_up_its_wave():
    waits, other = step(state="waiting", due_in_s=9), step()
    assert runnable([waits, other], now=NOW)[0] == [other]


def test_a_step_left_running_by_a_dead_worker_is_tried_again():
    left = step(state="running")
    assert runnable([left], now=NOW)[0] == [left]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ObjectConflict("a", "x"), Waiting),
        (ClusterUnavailable("a", "x"), Waiting),
        (ClusterUnavailable("a", "x", retryable=False), Blocked),
        (ClusterForbidden("a", "x"), Blocked),
        (ObjectMissing("a", "x"), Failed),
        (InvalidRequest("a", "x"), Failed),
    ],
)
def test_each_refusal_has_its_meaning(error, outcome):
    assert isinstance(_outcome_of(error), outcome)


def test_a_step_that_waited_too_long_needs_a_person(db):
    old = step()
    old.started_at = timezone.now() - PATIENCE - timedelta(seconds=1)
    assert isinstance(patient(old, Waiting("a budget keeps web-7")), Blocked)
    old.started_at = timezone.now()
    assert isinstance(patient(old, Waiting("a budget keeps web-7")), Waiting)


def test_every_installed_step_kind_resolves_and_a_wrong_one_is_named(settings):
    assert check_step_kinds() == []
    settings.PLAN_STEP_KINDS = {
        "x": "infra_console.plans.steps.node.Nothing",
        "y": "json.JSONDecoder",
    }
    assert [p.id for p in check_step_kinds()] == ["plans.E001", "plans.E002"]


@pytest.fixture
def sent(monkeypatch) -> list[str]:
    """Orders put in the queue."""
    orders: list[str] = []
    for module in (outbox, sweep):
        monkeypatch.setattr(module, "send_execute", lambda plan_id: orders.append(str(plan_id)))
    return orders


def test_an_approval_is_ordered_once_and_again_only_without_a_lease(approved, sent):
    plan = approved(spec())
    assert sweep.sweep() == 1
    assert Outbox.objects.get(plan=plan).sent_at is not None
    soon = timezone.now() + timedelta(seconds=20)
    Execution.objects.filter(plan=plan).update(lease_expires_at=soon)
    assert sweep.sweep() == 0
    Execution.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert sweep.sweep() == 1
    Execution.objects.update(lease_expires_at=None, not_before=soon)
    assert sweep.sweep() == 0
    assert sent == [str(plan.id)] * 2


@pytest.mark.parametrize("state", ["paused", "void", "withdrawn", "expired"])
def test_nothing_is_ordered_for_a_plan_that_rests(approved, sent, state):
    plan = approved(spec())
    Outbox.objects.update(sent_at=timezone.now())
    Plan.objects.filter(id=plan.id).update(state=state)
    assert sweep.sweep() == 0


def test_a_turn_that_is_over_orders_the_next_and_the_last_one_none(
    twin, armed, approved, sent, monkeypatch
):
    monkeypatch.setattr(runner, "WORK_S", 0.0)
    plan = approved(spec())
    executor.execute(plan.id)
    turns = 1
    while sent:
        assert sent.pop() == str(plan.id)
        executor.execute(plan.id)
        turns += 1
    plan.refresh_from_db()
    assert plan.state == "verified"
    assert turns >= len(spec().steps)


def test_a_turn_that_ends_for_another_reason_orders_nothing(twin, armed, approved, sent):
    plan = approved(spec(steps=spec().steps[3:]))
    sent.clear()
    twin.edit_node(spec().steps[3].target.name, spec={"unschedulable": True})
    executor.execute(plan.id)
    plan.refresh_from_db()
    assert plan.state == "paused"
    assert sent == []


def test_a_broker_that_is_away_leaves_the_next_turn_to_the_sweep(
    twin, armed, approved, monkeypatch
):
    def away(plan_id) -> None:
        raise OperationalError("no broker")

    plan = approved(spec())
    monkeypatch.setattr(runner, "WORK_S", 0.0)
    monkeypatch.setattr(outbox, "send_execute", away)
    assert executor.execute(plan.id) == "worked"
    assert plan.id in sweep.orphaned_plans()


def test_a_step_that_wrote_has_got_on_and_waits_briefly_again(approved):
    class Fence:
        lease, dry_run = type("Lease", (), {"epoch": 1}), False

        def write(self, *, call, **_):
            return call()

    plan = approved(spec())
    one = Step.objects.filter(plan=plan).first()
    work = Runner(plan, Fence(), tier_key="tier")
    work._failures[one.pk] = 5
    assert work._context(one).write("label a node", lambda: "written") == "written"
    assert work._failures[one.pk] == 0
