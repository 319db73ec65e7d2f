"""The one table of moves: what it allows happens once, the rest is refused."""

import itertools

import pytest

from infra_console.audit.models import AuditRow
from infra_console.plans import services
from infra_console.plans.errors import PlanMissing, WrongState
from infra_console.plans.lifecycle import ALLOWED, journal
from infra_console.plans.models import Plan
from infra_console.plans.states import PlanState
from tests.infra_console.plans.specs import spec

EVERY_PAIR = list(itertools.product(PlanState, PlanState))


@pytest.fixture
def plan(db) -> Plan:
    return services.propose_plan(spec(), authors=["planner"])


def test_the_table_names_every_state():
    assert set(ALLOWED) == set(PlanState)


def test_ends_are_ends():
    assert {state for state, targets in ALLOWED.items() if not targets} == {
        "rehearsed", "rejected", "withdrawn", "expired", "superseded", "void", "rolled_back",
    }  # fmt: skip


def test_every_pair_is_moved_or_refused_as_the_table_says(plan):
    for held, to in EVERY_PAIR:
        Plan.objects.filter(id=plan.id).update(state=held)
        version = Plan.objects.get(id=plan.id).version
        if to in ALLOWED[held]:
            with journal() as moves:
                moved = moves.move(plan.id, to=to, who="ada", why="test")
            assert (moved.state, moved.version) == (to, version + 1)
        else:
            with pytest.raises(WrongState) as refused, journal() as moves:
                moves.move(plan.id, to=to, who="ada")
            assert refused.value.current == held
            assert Plan.objects.get(id=plan.id).version == version


def test_a_move_leaves_a_transition_and_an_audit_row(plan):
    with journal() as moves:
        moves.move(plan.id, to=PlanState.WITHDRAWN, who="ada", why="not needed")
    last = plan.transitions.last()
    assert (last.from_state, last.to_state, last.who, last.why) == (
        "proposed", "withdrawn", "ada", "not needed",
    )  # fmt: skip
    row = AuditRow.objects.last()
    assert (row.action, row.actor, row.object_id) == ("plan.withdrawn", "ada", str(plan.id))
    assert row.detail["hash"] == plan.hash


def test_a_transaction_that_fails_leaves_nothing(plan):
    rows = AuditRow.objects.count()
    with pytest.raises(RuntimeError), journal() as moves:
        moves.move(plan.id, to=PlanState.WITHDRAWN, who="ada")
        raise RuntimeError
    assert Plan.objects.get(id=plan.id).state == PlanState.PROPOSED
    assert (plan.transitions.count(), AuditRow.objects.count()) == (1, rows)


def test_a_plan_that_is_not_there_is_missing(db):
    with pytest.raises(PlanMissing), journal() as moves:
        moves.move("00000000-0000-0000-0000-000000000000", to=PlanState.VOID, who="ada")
