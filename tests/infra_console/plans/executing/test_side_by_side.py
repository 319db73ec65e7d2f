"""Steps of one wave that are tried at once: what still goes one by one, and what stops them all."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.models import F

from infra_console.plans import services
from infra_console.plans.executing import executor
from infra_console.plans.holding.crew import Crew
from infra_console.plans.models import Execution, Plan, Step
from infra_console.plans.spec import Budget, Guard
from infra_console.plans.steps.drain import Drain
from infra_console.plans.steps.node import AssignTier
from infra_console.plans.steps.registry import is_side_by_side
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans import killing
from tests.infra_console.plans.conftest import let_lease_run_out
from tests.infra_console.plans.specs import KINDS, TIER_KEY, node_move, node_steps, spec

# Threads have connections of their own and see only what is committed.
pytestmark = pytest.mark.django_db(transaction=True)
NAMES = tuple(f"{CLUSTER}-a100-reserved-{number}" for number in ("01", "02", "03"))
SOON_S = 10.0


def wave_plan(names: tuple[str, ...] = NAMES, **changes: Any):
    """The nodes change their tier together, a wave for each kind of step."""
    steps = [node_steps(name)[place] for place in range(len(KINDS)) for name in names]
    fields = {
        "moves": tuple(node_move(name) for name in names),
        "steps": tuple(steps),
        "budgets": (Budget(cluster=CLUSTER, max_nodes=len(names)),),
    }
    return spec(**(fields | changes))


def finish(plan: Plan) -> Plan:
    let_lease_run_out(plan)
    return killing.survive(plan)


def tier_of(twin, name: str) -> str:
    return twin.node(name)["metadata"]["labels"][TIER_KEY]


def done(plan: Plan, kind: str) -> set[str]:
    ended = Step.objects.filter(plan=plan, kind=kind, state="done")
    return {target["name"] for target in ended.values_list("target", flat=True)}


def at_once(
    monkeypatch: pytest.MonkeyPatch, kind: type, first: Callable[[], None] = lambda: None
) -> None:
    """Let every try of this kind wait until all of a wave are in flight; then `first` happens, and
    they go on. A kind whose steps are not tried at once breaks the barrier."""
    real, meet = kind.run, threading.Barrier(len(NAMES), action=first)  # type: ignore[attr-defined]
    met: set[str] = set()

    def run(self: Any, step: Any) -> Any:
        if step.target.name not in met:
            meet.wait(SOON_S)
            met.add(step.target.name)
        return real(self, step)

    monkeypatch.setattr(kind, "run", run)


@pytest.mark.parametrize("kind", [Drain, AssignTier])
def test_neighbours_in_a_wave_are_in_flight_at_once(twin, armed, approved, monkeypatch, kind):
    at_once(monkeypatch, kind)
    plan = finish(approved(wave_plan()))
    assert plan.state == "verified"
    assert {tier_of(twin, name) for name in NAMES} == {"inference"}
    assert twin.count("patch nodes") == 4 * len(NAMES)


def test_of_two_cordons_at_a_floor_one_writes(twin, armed, approved):
    """The tier holds 48 GPUs: one node may go, whichever it is; slow answers would show a race."""
    twin.servers.apis[CLUSTER].faults.latency_s = 0.05
    guard = Guard(cluster=CLUSTER, tier="training", min_ready_gpus=40)
    plan = finish(approved(wave_plan(NAMES[:2], guards=(guard,))))
    assert plan.state == "paused"
    assert "below its floor of 40" in plan.state_reason
    assert twin.count("patch nodes") == 1


def test_what_takes_capacity_away_is_never_tried_at_once():
    at_once_kinds = {"node.drain", "node.assign_tier", "node.uncordon"}
    assert {kind for kind in KINDS if is_side_by_side(kind)} == at_once_kinds
    back = ("node.cordon_back", "node.drain_back", "node.restore_tier")
    assert [is_side_by_side(kind) for kind in back] == [False, True, True]
    assert not is_side_by_side("kueue.quota")
    assert not is_side_by_side("of.another_version")


def test_the_kill_switch_stops_those_in_flight_and_keeps_what_was_written(
    twin, armed, approved, operator, monkeypatch
):
    real, stopped = AssignTier.run, threading.Event()

    def run(self: Any, step: Any) -> Any:
        if step.target.name != NAMES[0]:
            stopped.wait(SOON_S)
            return real(self, step)
        outcome = real(self, step)
        services.engage_kill_switch(by=operator, reason="smoke")
        stopped.set()
        return outcome

    monkeypatch.setattr(AssignTier, "run", run)
    plan = killing.survive(approved(wave_plan()), turns=1)
    assert plan.state == "executing"
    assert [tier_of(twin, name) for name in NAMES] == ["inference", "training", "training"]
    assert done(plan, "node.assign_tier") == {NAMES[0]}
    services.release_kill_switch(by=operator)
    assert finish(plan).state == "verified"
    assert twin.count("patch nodes") == 4 * len(NAMES)


def test_a_lease_lost_with_three_in_flight_writes_and_records_nothing(
    twin, armed, approved, monkeypatch
):
    plan = approved(wave_plan())

    def taken_over() -> None:
        Execution.objects.filter(plan=plan).update(lease_epoch=F("lease_epoch") + 1)

    with monkeypatch.context() as at_work:
        at_once(at_work, AssignTier, taken_over)
        assert executor.execute(plan.id) == "lease lost"
    assert {tier_of(twin, name) for name in NAMES} == {"training"}
    assert done(plan, "node.assign_tier") == set()
    assert finish(plan).state == "verified"
    assert twin.count("patch nodes") == 4 * len(NAMES)


def test_killed_after_each_write_with_others_in_flight_nothing_is_written_twice(
    twin, armed, approved, monkeypatch
):
    plan = approved(wave_plan(NAMES[:2]))
    passed = killing.after_each_write(monkeypatch)
    assert killing.survive(plan).state == "verified"
    assert len([words for words in passed if "node." in words]) >= 8
    for name in NAMES[:2]:
        assert twin.count(f"patch nodes {name}") == 4


def test_after_a_step_for_a_person_none_is_begun_and_those_in_flight_are_recorded():
    begun: list[int] = []
    told = threading.Event()

    def work(number: int) -> int:
        begun.append(number)
        if number == 1:
            told.wait(SOON_S)
        return number

    results = []
    with Crew(2) as crew:
        for number, _ in crew.each(work, range(6), enough=lambda number: number == 0):
            results.append(number)
            told.set()
    assert results == [0, 1]
    assert sorted(begun) == [0, 1]


def test_an_error_in_one_thread_is_raised_after_the_others_results():
    meet = threading.Barrier(2)

    def work(number: int) -> int:
        meet.wait(SOON_S)
        if number == 0:
            raise killing.Killed
        return number

    got: list[int] = []
    with Crew(2) as crew, pytest.raises(killing.Killed):
        for number, _ in crew.each(work, range(2), enough=lambda _: False):
            got.append(number)
    assert got == [1]


def test_a_crew_leaves_no_connection_open():
    used: list[Any] = []

    def ask(_: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            used.append(cursor.fetchone()[0])

    with Crew(3) as crew:
        list(crew.each(ask, range(9), enough=lambda _: False))
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)", [used])
        assert cursor.fetchone() == (0,)
    assert 1 <= len(set(used)) <= 3
