"""The one table of a plan's moves of state, and the only code that makes them.

A move is a compare-and-set on (state, version). Its transition row goes in the same transaction,
its audit row too, and open pages hear of it on commit. Audit rows are written last: the chain is
locked until the transaction ends, so nothing may be waited for after it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import transaction

from infra_console.audit.services import record_audit
from infra_console.live.services import publish
from infra_console.plans import clock
from infra_console.plans.errors import PlanMissing, WrongState
from infra_console.plans.models import Plan, Transition
from infra_console.plans.states import PlanState as S

ALLOWED: Mapping[str, frozenset[str]] = {
    S.PROPOSED: frozenset({S.APPROVED, S.REJECTED, S.WITHDRAWN, S.EXPIRED, S.SUPERSEDED, S.VOID}),
    # Back to proposed: an approval was taken back before the execution could start.
    S.APPROVED: frozenset({S.PROPOSED, S.EXECUTING, S.WITHDRAWN, S.EXPIRED, S.VOID}),
    S.EXECUTING: frozenset({S.PAUSED, S.VERIFYING, S.REHEARSED, S.ABORTED, S.FAILED, S.VOID}),
    S.PAUSED: frozenset({S.EXECUTING, S.ROLLING_BACK, S.ABORTED, S.FAILED}),
    S.VERIFYING: frozenset({S.SETTLED, S.VERIFIED, S.FAILED, S.ROLLING_BACK}),
    S.SETTLED: frozenset({S.ROLLING_BACK}),
    S.VERIFIED: frozenset({S.ROLLING_BACK}),
    S.REHEARSED: frozenset(),
    S.REJECTED: frozenset(),
    S.WITHDRAWN: frozenset(),
    S.EXPIRED: frozenset(),
    S.SUPERSEDED: frozenset(),
    S.VOID: frozenset(),
    S.ABORTED: frozenset({S.ROLLING_BACK}),
    S.FAILED: frozenset({S.ROLLING_BACK}),
    # Never failed: what cannot be taken back waits for a person.
    S.ROLLING_BACK: frozenset({S.ROLLED_BACK, S.PAUSED, S.ABORTED}),
    S.ROLLED_BACK: frozenset(),
}


class Journal:
    """The moves of one transaction, and the audit rows that are owed for them."""

    def __init__(self) -> None:
        self._owed: list[dict[str, Any]] = []
        self._after: list[Callable[[], object]] = []

    def move(self, plan_id: UUID, *, to: S, who: str, why: str = "", **columns: Any) -> Plan:
        """Move a plan and set other columns with it.

        Raises:
            WrongState: the table has no such move from where the plan is, or somebody else moved
                it first. PlanMissing: there is no such plan.
        """
        held = Plan.objects.filter(id=plan_id).only("state", "version", "number").first()
        if held is None:
            raise PlanMissing(plan_id)
        columns |= {"state": to, "state_reason": why, "version": held.version + 1}
        won = to in ALLOWED[held.state] and Plan.objects.filter(
            id=plan_id, state=held.state, version=held.version
        ).update(**columns)
        if not won:
            now = Plan.objects.values_list("state", flat=True).get(id=plan_id)
            raise WrongState(held.number, now, to)
        plan = Plan.objects.get(id=plan_id)
        self.note(plan, came_from=held.state, who=who, why=why)
        return plan

    def note(self, plan: Plan, *, came_from: str, who: str, why: str) -> None:
        """Keep the transition that `plan` has just made, tell pages, owe the audit row."""
        Transition.objects.create(
            plan=plan,
            from_state=came_from,
            to_state=plan.state,
            who=who,
            at=clock.now(),
            why=why,
        )
        detail = {"from": came_from, "why": why, "version": plan.version}
        self.tell(plan, f"plan.{plan.state}", who=who, detail=detail)

    def tell(self, plan: Plan, action: str, *, who: str, detail: dict[str, Any]) -> None:
        """Tell pages that something about the plan changed, and owe the audit row for it."""
        publish(kind="plan", id=str(plan.id), version=plan.version)
        self._owed.append(
            {
                "actor": who,
                "action": action,
                "object_kind": "plan",
                "object_id": str(plan.id),
                "detail": {"number": plan.number, "hash": plan.hash} | detail,
            }
        )

    def after(self, act: Callable[[], object]) -> None:
        """Do something that ends in an audit row of its own, when the moves' rows are written."""
        self._after.append(act)

    def settle(self) -> None:
        for row in self._owed:
            record_audit(**row)
        for act in self._after:
            act()
        self._owed.clear()
        self._after.clear()


@contextmanager
def journal() -> Iterator[Journal]:
    """One transaction of moves; its audit rows are written as its last act."""
    with transaction.atomic():
        moves = Journal()
        yield moves
        moves.settle()
