"""Two at the same plan at the same moment, over two connections: one of them wins.

Approve against approve, against reject, against expiry, and against drift (a cycle that proposes
the same moves on changed facts, which supersedes the plan under review).
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now

from infra_console.plans import services
from infra_console.plans.errors import PlanError
from infra_console.plans.models import Execution, Outbox, Plan
from infra_console.plans.spec import Precondition
from tests.infra_console.plans.specs import node_ref, spec

Act = Callable[[Plan], object]
# Expiry is let come this close before the approval: which is first differs from race to race.
EXPIRES_IN = timedelta(milliseconds=8)


class Pair:
    """Two threads with a connection each, which begin at the same moment, race after race."""

    def __init__(self) -> None:
        self._start, self._end = threading.Barrier(3), threading.Barrier(3)
        self._race: tuple[Plan, tuple[Act, Act]] | None = None
        self.won = [False, False]
        self.errors: list[str] = []
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in (0, 1)]

    def __enter__(self) -> "Pair":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._race = None
        self._start.wait()
        for thread in self._threads:
            thread.join(10)

    def race(self, plan: Plan, first: Act, second: Act) -> tuple[bool, bool]:
        """Which of the two was told that it had done what it wanted."""
        self._race = (plan, (first, second))
        self._start.wait()
        self._end.wait()
        return self.won[0], self.won[1]

    def _run(self, number: int) -> None:
        try:
            while True:
                self._start.wait()
                if self._race is None:
                    return
                self.won[number] = self._try(*self._race, number)
                self._end.wait()
        finally:
            connection.close()

    def _try(self, plan: Plan, acts: tuple[Act, Act], number: int) -> bool:
        try:
            return bool(acts[number](plan))
        except PlanError:
            return False
        except Exception as err:  # noqa: BLE001  a race may end in a refusal, in nothing else
            self.errors.append(f"{plan}: {type(err).__name__}: {err}")
            return False


def approve(by: User) -> Act:
    return lambda plan: services.approve_plan(plan.id, by=by, plan_hash=plan.hash, reason="fits")


def reject(by: User) -> Act:
    return lambda plan: services.reject_plan(plan.id, by=by, reason="not now")


def expire(_: User) -> Act:
    return lambda plan: services.expire_due()


def drift(_: User) -> Act:
    """The next cycle finds other facts; it wins when its plan replaces the one under review."""

    def propose(plan: Plan) -> bool:
        facts = {"uid": f"found after plan {plan.number}"}
        changed = spec(preconditions=(Precondition(target=node_ref(), facts=facts),))
        return services.propose_plan(changed, authors=["planner"]).id != plan.id

    return propose


RIVALS: Mapping[str, Callable[[User], Act]] = {
    "approve": approve,
    "reject": reject,
    "expiry": expire,
    "drift": drift,
}
# What the rival leaves behind when it wins; a second approval leaves what the first does.
STATES = {"approve": "approved", "reject": "rejected", "expiry": "expired", "drift": "superseded"}


def races(count: int, approver: User, other: User) -> dict[str, Any]:
    """Run the races, a quarter of each kind; how many had one winner, and what was wrong."""
    wrong: list[str] = []
    won: Counter[str] = Counter()
    kinds = list(RIVALS)
    with Pair() as pair:
        for number in range(count):
            kind = kinds[number % len(kinds)]
            plan = _open_plan(kind)
            winners = pair.race(plan, approve(approver), RIVALS[kind](other))
            problem, winner = _judged(plan, kind, winners)
            won[f"approve against {kind}: {winner}"] += 1
            wrong += [problem] if problem else []
        wrong += pair.errors
    return {"races": count, "one_winner": count - len(wrong), "won": dict(won), "wrong": wrong}


def _open_plan(kind: str) -> Plan:
    Plan.objects.filter(state__in=("proposed", "approved")).update(state="withdrawn")
    plan = services.propose_plan(spec(), authors=["planner"])
    if kind == "expiry":
        Plan.objects.filter(id=plan.id).update(expires_at=Now() + EXPIRES_IN)
    return plan


def _judged(plan: Plan, kind: str, winners: tuple[bool, bool]) -> tuple[str, str]:
    """What is wrong with the outcome (empty when nothing is), and who won."""
    plan.refresh_from_db()
    approvals = plan.approvals.filter(decision="approve").count()
    ordered = (
        Execution.objects.filter(plan=plan).count(),
        Outbox.objects.filter(plan=plan).count(),
    )
    moves = list(plan.transitions.exclude(from_state="").values_list("to_state", flat=True))
    if kind == "expiry" and moves == ["approved", "expired"]:  # in time, and not begun in time
        return "", "approve, expired before its start"
    seen = f"{plan}, approve against {kind}: {plan.state}, {approvals} approvals, {ordered} orders"
    if len(moves) > 1 or sum(winners) > 1:
        return f"{seen}, {moves} moves, winners {winners}", "both"
    if plan.state == "approved":
        good = approvals == 1 and ordered == (1, 1)
        return ("" if good else seen), ("rival" if kind == "approve" and winners[1] else "approve")
    good = plan.state in (STATES[kind], "proposed") and approvals == 0 and ordered == (0, 0)
    return ("" if good else seen), "rival" if plan.state == STATES[kind] else "neither"
