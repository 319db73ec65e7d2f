"""Reads of plans: who may decide, which are at work, and one plan whole as JSON."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Max, QuerySet

from infra_console.access.roles import Person, missing_right
from infra_console.numbers import whole_number
from infra_console.plans import clock
from infra_console.plans.models import Execution, Plan, Settlement, Step
from infra_console.plans.spec import PlanSpec
from infra_console.plans.states import LIVE, Mode, PlanState, StepState
from infra_console.plans.taking_back.rollback import refusal


@dataclass(frozen=True, slots=True)
class ApprovalState:
    """Whether this person may approve this plan now, and if not, every reason why."""

    allowed: bool
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlanAddress:
    """A plan by its id and number, and where it is."""

    id: UUID
    number: int
    state: str


def approval_state(plan: Plan, user: Person) -> ApprovalState:
    """Says the same as services.approve_plan would, without trying."""
    missing = [missing_right(user, "plan.approve")]
    if plan.state != PlanState.PROPOSED:
        missing.append(f"the plan is {plan.state}")
    elif plan.expires_at <= clock.now():
        missing.append("the plan has expired")
    if user.get_username() in plan.authors:
        missing.append("an author never approves their own plan")
    if plan.approvals.filter(by=user.get_username(), taken_back_at=None).exists():
        missing.append("you have already approved it")
    reasons = tuple(reason for reason in missing if reason)
    return ApprovalState(allowed=not reasons, missing=reasons)


def find_plan(key: str) -> Plan | None:
    """A plan by its number or its id."""
    if (number := whole_number(key)) is not None:
        return Plan.objects.filter(number=number).first()
    try:
        return Plan.objects.filter(id=UUID(key)).first()
    except ValueError:
        return None


def plan_address(number: int) -> PlanAddress | None:
    """What a page of a domain needs to lead to a plan that it proposed."""
    row = Plan.objects.filter(number=number).values_list("id", "number", "state").first()
    return PlanAddress(*row) if row else None


def find_user(username: str) -> User | None:
    return User.objects.filter(username=username, is_active=True).first()


def list_plans(*, states: Iterable[str] = (), limit: int = 100) -> list[Plan]:
    """The newest plans, of these states when any is given."""
    rows = Plan.objects.order_by("-number")
    wanted = list(states)
    return list((rows.filter(state__in=wanted) if wanted else rows)[:limit])


def under_review() -> QuerySet[Plan]:
    """Plans that people may still decide on, held back or not."""
    return Plan.objects.filter(state=PlanState.PROPOSED, expires_at__gt=clock.now())


def unfinished(states: Iterable[str]) -> QuerySet[Plan]:
    """Plans of these states that are not yet verified; after that one is only watched."""
    return Plan.objects.filter(state__in=states).exclude(execution__verified_at__isnull=False)


def may_still_need(plan_id: str) -> bool:
    """Whether a plan is under way, is being cleared up, or may yet be taken back."""
    plan = find_plan(plan_id)
    if plan is None:
        return False
    ending = Execution.objects.filter(plan=plan, started_at__isnull=False, finished_at=None)
    return plan.state in LIVE or ending.exists() or not refusal(plan)


def clusters_at_work() -> dict[str, int]:
    """The clusters that an approved or running plan holds, and that plan's number."""
    at_work = (
        PlanState.APPROVED,
        PlanState.EXECUTING,
        PlanState.PAUSED,
        PlanState.ROLLING_BACK,
    )
    held = Plan.objects.filter(state__in=at_work).values_list("number", "document")
    return {lock["cluster"]: number for number, document in held for lock in document["locks"]}


def written_since(since: datetime) -> list[tuple[datetime, PlanSpec]]:
    """Plans that changed a cluster since then, ways back too, with the time of their last step."""
    done = Step.objects.filter(
        state=StepState.DONE, finished_at__gte=since, plan__execution__mode=Mode.REAL
    )
    last = dict(done.order_by().values_list("plan").annotate(at=Max("finished_at")))
    return [(last[plan.pk], plan.spec) for plan in Plan.objects.filter(pk__in=last)]


def plan_summary(plan: Plan) -> dict[str, Any]:
    """One line of the list of plans, as JSON."""
    return {
        "id": str(plan.id),
        "number": plan.number,
        "state": plan.state,
        "state_reason": plan.state_reason,
        "title": plan.title,
        "hash": plan.hash,
        "authors": plan.authors,
        "created_at": plan.created_at.isoformat(),
        "expires_at": plan.expires_at.isoformat(),
        "urgent": plan.urgent,
        "held_back": plan.held_back,
    }


def plan_detail(plan: Plan) -> dict[str, Any]:
    """A plan whole, from proposal to settlement, as JSON."""
    execution = Execution.objects.filter(plan=plan).first()
    settlement = Settlement.objects.filter(plan=plan).first()
    return plan_summary(plan) | {
        "document": plan.document,
        "transitions": [
            {
                "from": t.from_state,
                "to": t.to_state,
                "who": t.who,
                "at": t.at.isoformat(),
                "why": t.why,
            }
            for t in plan.transitions.all()
        ],
        "approvals": [
            {
                "by": a.by,
                "decision": a.decision,
                "reason": a.reason,
                "at": a.at.isoformat(),
                "taken_back_at": a.taken_back_at and a.taken_back_at.isoformat(),
            }
            for a in plan.approvals.all()
        ],
        "steps": [
            {
                "key": s.key,
                "state": s.state,
                "attempts": s.attempts,
                "started_at": s.started_at and s.started_at.isoformat(),
                "finished_at": s.finished_at and s.finished_at.isoformat(),
                "detail": s.detail,
                "back": s.back,
            }
            for s in plan.steps.all()
        ],
        "execution": execution and _execution(execution),
        "settlement": settlement and settlement_detail(settlement),
    }


def _execution(execution: Execution) -> dict[str, Any]:
    times = ("started_at", "verified_at", "settle_at", "finished_at")
    return {
        "mode": execution.mode,
        "epoch": execution.lease_epoch,
        "outcome": execution.outcome,
        "verification": execution.verification,
        **{name: at.isoformat() if (at := getattr(execution, name)) else None for name in times},
    }


def settlement_detail(settlement: Settlement) -> dict[str, Any]:
    """What came of a plan, as JSON."""
    return {
        "at": settlement.at.isoformat(),
        "shadow": settlement.shadow,
        "promises": settlement.promises,
        "kept": settlement.kept_count,
        "missed": settlement.missed_count,
        "unknown": settlement.unknown_count,
        "harms": settlement.harms,
        "harmful": settlement.harmful,
        "harm_note": settlement.harm_note,
    }
