"""The verb that takes a plan back, and who may use it when.

What it does was approved with the plan: its listed compensations. So it needs no second approval,
only the right to control executions and a reason, from an author of the plan too.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User

from infra_console.access.roles import Person, missing_right
from infra_console.plans import clock
from infra_console.plans.errors import PlanMissing, ReasonMissing, RollbackRefused, WrongState
from infra_console.plans.holding.outbox import order_again
from infra_console.plans.lifecycle import journal
from infra_console.plans.models import Execution, Plan, Step
from infra_console.plans.safety import require_right
from infra_console.plans.states import STEP_ENDED, Mode, PlanState, StepState
from infra_console.plans.taking_back.compensation import set_out, way_back

RIGHT = "execution.control"
CLEARED_UP = frozenset({PlanState.FAILED, PlanState.ABORTED})
# Where a rollback may start; the table of moves allows the same.
STARTS = CLEARED_UP | {
    PlanState.PAUSED,
    PlanState.VERIFYING,
    PlanState.VERIFIED,
    PlanState.SETTLED,
}


@dataclass(frozen=True, slots=True)
class RollbackState:
    """Whether this person may roll this plan back now, and if not, every reason why."""

    allowed: bool
    missing: tuple[str, ...]


def roll_back(plan_id: UUID, *, by: User, reason: str = "") -> Plan:
    """Order the plan's compensations; they are carried out as its steps were.

    Raises:
        NotAllowed, PlanMissing, WrongState, RollbackRefused, ReasonMissing: nothing was changed.
    """
    require_right(by, RIGHT)
    reason = reason.strip()
    with journal() as moves:
        plan = Plan.objects.select_for_update().filter(id=plan_id).first()
        if plan is None:
            raise PlanMissing(plan_id)
        if plan.state not in STARTS:
            raise WrongState(plan.number, plan.state, PlanState.ROLLING_BACK)
        if why_not := refusal(plan):
            raise RollbackRefused(plan.number, why_not)
        if not reason:
            raise ReasonMissing
        held = plan.state == PlanState.PAUSED
        plan = moves.move(plan.id, to=PlanState.ROLLING_BACK, who=by.get_username(), why=reason)
        _turn_round(plan, held=held)
    return plan


def rollback_state(plan: Plan, user: Person) -> RollbackState:
    """Says the same as `roll_back` would, without trying."""
    reasons = tuple(why for why in (missing_right(user, RIGHT), refusal(plan)) if why)
    return RollbackState(allowed=not reasons, missing=reasons)


def refusal(plan: Plan) -> str:
    """Why this plan cannot be rolled back now, whoever asks; empty when it can."""
    if plan.state not in STARTS:
        return f"the plan is {plan.state}"
    execution = Execution.objects.filter(plan=plan, mode=Mode.REAL).first()
    if execution is None:
        return "it was never carried out"
    if not_now := _not_now(plan, execution):
        return not_now
    if not way_back(plan, held=plan.state == PlanState.PAUSED):
        return "it changed nothing that could be taken back"
    return ""


def _not_now(plan: Plan, execution: Execution) -> str:
    """Why it is too early or too late, or has begun; empty when now is the time."""
    if plan.state == PlanState.PAUSED and execution.rollback_at:
        return "it is on its way back already; resume it"
    if plan.state in CLEARED_UP and execution.finished_at is None:
        return "it is still being cleared up; try again in a moment"
    within = timedelta(seconds=settings.ROLLBACK_WITHIN_S)
    if execution.finished_at and execution.finished_at + within < clock.now():
        return f"it ended more than {within.total_seconds() / 3600:g} hours ago; propose a new plan"
    return ""


def _turn_round(plan: Plan, *, held: bool) -> None:
    """From here on every step leads back; what was not begun will not be."""
    now = clock.now()
    Step.objects.filter(plan=plan, back=False).exclude(state__in=STEP_ENDED).update(
        state=StepState.SKIPPED, finished_at=now, next_try_at=None
    )
    set_out(plan, held=held)
    Execution.objects.filter(plan=plan).update(
        rollback_at=now, finished_at=None, settle_at=None, outcome=""
    )
    order_again(plan.id)
