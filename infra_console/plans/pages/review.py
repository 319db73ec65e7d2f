"""What the decision part of a plan's page shows beside the plan: who approved, who may still
take back, what waits to be ratified, what is frozen. Each is read only when a part asks for it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from infra_console.access.roles import Person, missing_right
from infra_console.plans import clock
from infra_console.plans.approving.break_glass import unratified
from infra_console.plans.approving.freezes import MAY_WAIT, frozen_plan
from infra_console.plans.approving.quorum import quorum_of
from infra_console.plans.approving.rejections import rejected_until
from infra_console.plans.holding.orders import undo_until
from infra_console.plans.models import BreakGlass, FreezeOverride, Plan
from infra_console.plans.states import Decision, PlanState

SHORT_S = 120  # a longer wait is not counted down second by second


@dataclass(frozen=True, slots=True)
class Undo:
    """Whether this person's approval stands and can be taken back, and until when (None: until
    the other approvals are given)."""

    mine: bool
    until: datetime | None

    @property
    def left_s(self) -> int:
        """Whole seconds left, 0 where they are not counted."""
        left = (self.until - clock.now()).total_seconds() if self.until else 0.0
        return math.ceil(left) if 0 < left <= SHORT_S else 0


def review_parts(plan: Plan, user: Person) -> dict[str, Callable[[], Any]]:
    lacks = {
        "lacks_comment": missing_right(user, "plan.comment"),
        "lacks_override": missing_right(user, "freeze.manage"),
        "lacks_glass": missing_right(user, "plan.break_glass"),
    }
    return {
        "quorum": lambda: quorum_of(plan),
        "undo": lambda: _undo(plan, user),
        "glass": lambda: BreakGlass.objects.filter(
            approval__plan=plan, approval__taken_back_at=None
        ).first(),
        "frozen": lambda: frozen_plan(plan) if plan.state in MAY_WAIT else None,
        "override": lambda: FreezeOverride.objects.filter(plan=plan).first(),
        "lacks_ratify": lambda: _lacks_ratify(plan, user),
        "again": lambda: rejected_until(plan),
        "comments": lambda: list(plan.comments.all()),
        **{name: partial(str, words) for name, words in lacks.items()},
    }


def _undo(plan: Plan, user: Person) -> Undo:
    until = undo_until(plan) if plan.state == PlanState.APPROVED else None
    may = plan.state == PlanState.PROPOSED or until is not None
    mine = plan.approvals.filter(
        by=user.get_username(), decision=Decision.APPROVE, taken_back_at=None
    )
    return Undo(mine=may and mine.exists(), until=until)


def _lacks_ratify(plan: Plan, user: Person) -> str:
    """Why this person may not ratify; empty when they may, or when nothing waits for it."""
    waiting = unratified().filter(approval__plan=plan).first()
    if waiting is None:
        return ""
    if lacks := missing_right(user, "plan.approve"):
        return lacks
    who = user.get_username()
    return "needs a colleague" if who == waiting.approval.by or who in plan.authors else ""
