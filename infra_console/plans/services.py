"""The one writer of plans: propose, withdraw, expire, pause, resume, abort.

Decisions are in approvals.py and break_glass.py, arming and the kill switch in safety.py; all are
offered here. Every verb is one transaction
that ends in a compare-and-set with its transition and audit rows; work follows through the outbox.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Max
from django.db.models.functions import Now

from infra_console.plans import clock
from infra_console.plans.approving.approvals import approve_plan, reject_plan, take_back_approval
from infra_console.plans.approving.asking import ask_next, raise_urgency, renew, take_turns
from infra_console.plans.approving.break_glass import break_glass, ratify
from infra_console.plans.approving.in_advance import approve_in_advance
from infra_console.plans.approving.proposals import check_spec, overlaps, still_the_same
from infra_console.plans.errors import WrongState
from infra_console.plans.executing.patience import begin_anew
from infra_console.plans.holding.outbox import order_again
from infra_console.plans.lifecycle import Journal, journal
from infra_console.plans.looking.looks import ask_unasked
from infra_console.plans.models import Execution, Plan
from infra_console.plans.models.looks import LookKind
from infra_console.plans.queries import unfinished
from infra_console.plans.safety import (
    arm,
    disarm,
    engage_kill_switch,
    release_kill_switch,
    require_right,
)
from infra_console.plans.spec import PlanSpec, moves_key
from infra_console.plans.spec import plan_hash as hash_of
from infra_console.plans.states import LIVE, PlanState

__all__ = [
    "abort_execution",
    "approve_plan",
    "arm",
    "break_glass",
    "disarm",
    "engage_kill_switch",
    "expire_due",
    "pause_execution",
    "propose_plan",
    "raise_urgency",
    "ratify",
    "reject_plan",
    "release_kill_switch",
    "resume_execution",
    "take_back_approval",
    "withdraw_plan",
]

SYSTEM = "system:plans"


def propose_plan(spec: PlanSpec, *, authors: Sequence[str]) -> Plan:
    """Put a plan under review, and return it; or the one with the same moves that already is.

    Open plans of the same domain that would take one of its locks are superseded. One that an armed
    envelope covers is approved by it.

    Args:
        authors: everyone who triggered, edited or set the policy behind it; none may approve it.

    Raises:
        UnknownStepKind, SpecInvalid: the document cannot be carried out; nothing was kept.
    """
    check_spec(spec)
    if not authors:
        raise ValueError("a plan needs an author")
    with journal() as moves:
        take_turns()
        _hold_open(spec.domain)
        if plan := _standing(spec):
            plan = _with_authors(plan, authors, urgent=spec.urgent)
        else:
            plan = _create(spec, authors)
            moves.note(plan, came_from="", who=authors[0], why="proposed")
            _supersede(moves, plan, spec)
        if plan.state == PlanState.PROPOSED:
            plan = approve_in_advance(moves, plan)
            ask_next()
            plan.refresh_from_db()
            ask_unasked(plan.id, LookKind.REHEARSAL, by=SYSTEM)
        return plan


def withdraw_plan(plan_id: UUID, *, by: User, reason: str = "") -> Plan:
    """Take a plan back before it starts.

    Raises:
        NotAllowed, WrongState, PlanMissing: see each; nothing was changed.
    """
    require_right(by, "plan.withdraw")
    with journal() as moves:
        return moves.move(plan_id, to=PlanState.WITHDRAWN, who=by.get_username(), why=reason)


def expire_due() -> int:
    """End plans whose time ran out before they started; return how many."""
    due = Plan.objects.filter(
        state__in=(PlanState.PROPOSED, PlanState.APPROVED), expires_at__lte=Now()
    )
    expired = 0
    for plan_id in due.values_list("id", flat=True):
        try:
            with journal() as moves:
                why = "not started before its time ran out"
                moves.move(plan_id, to=PlanState.EXPIRED, who=SYSTEM, why=why)
        except WrongState:  # somebody decided in the meantime
            continue
        expired += 1
    return expired


def pause_execution(plan_id: UUID, *, by: User, reason: str = "") -> Plan:
    """Stop before the next write; what is done stays done and cordons stay ours.

    Raises:
        NotAllowed, WrongState, PlanMissing: see each; nothing was changed.
    """
    require_right(by, "execution.control")
    with journal() as moves:
        return moves.move(plan_id, to=PlanState.PAUSED, who=by.get_username(), why=reason)


def resume_execution(plan_id: UUID, *, by: User, reason: str = "") -> Plan:
    """Go on from the step that waited, on the way back if that is where it was paused.

    Raises:
        NotAllowed, WrongState, PlanMissing: see each; nothing was changed.
    """
    require_right(by, "execution.control")
    with journal() as moves:
        back = Execution.objects.filter(plan_id=plan_id).exclude(rollback_at=None).exists()
        to = PlanState.ROLLING_BACK if back else PlanState.EXECUTING
        plan = moves.move(plan_id, to=to, who=by.get_username(), why=reason)
        begin_anew(plan.id)
        order_again(plan.id)
    return plan


def abort_execution(plan_id: UUID, *, by: User, reason: str = "") -> Plan:
    """End an execution; the worker lifts our cordons and lets the locks go.

    Raises:
        NotAllowed, WrongState, PlanMissing: see each; nothing was changed.
    """
    require_right(by, "execution.control")
    with journal() as moves:
        plan = moves.move(plan_id, to=PlanState.ABORTED, who=by.get_username(), why=reason)
        order_again(plan.id)
    return plan


def _hold_open(domain: str) -> None:
    """Whoever decides on an open plan now is waited for, or waits for what is proposed here."""
    open_plans = Plan.objects.filter(state=PlanState.PROPOSED, domain=domain).order_by("id")
    list(open_plans.select_for_update().values_list("id"))


def _standing(spec: PlanSpec) -> Plan | None:
    """The plan with the same moves that is being carried out, or under review and still the same.

    One that has been carried out does not count: its moves may be needed again before it settles.
    """
    same = {"moves_key": moves_key(spec), "domain": spec.domain}
    if live := unfinished(LIVE).filter(**same).first():
        return live
    proposed = Plan.objects.filter(state=PlanState.PROPOSED, expires_at__gt=Now())
    plan = proposed.filter(**same).first()
    return plan if plan and still_the_same(plan, spec) else None


def _with_authors(plan: Plan, authors: Sequence[str], *, urgent: str) -> Plan:
    """Whoever proposes a plan that is under review again is an author of it too; it may have become
    urgent."""
    if plan.state != PlanState.PROPOSED:
        return plan
    plan.authors = [*plan.authors, *(a for a in authors if a not in plan.authors)]
    plan.urgent = plan.urgent or urgent[:250]
    Plan.objects.filter(id=plan.id, state=PlanState.PROPOSED).update(
        authors=plan.authors, urgent=plan.urgent
    )
    return plan


def _create(spec: PlanSpec, authors: Sequence[str]) -> Plan:
    now = clock.now()
    last = Plan.objects.aggregate(last=Max("number"))["last"] or 0
    return Plan.objects.create(
        number=last + 1,
        state=PlanState.PROPOSED,
        domain=spec.domain,
        title=spec.title[:250],
        summary=spec.summary,
        document=spec.model_dump(mode="json", by_alias=True),
        hash=hash_of(spec),
        moves_key=moves_key(spec),
        authors=list(authors),
        created_at=now,
        expires_at=now + timedelta(seconds=settings.PLAN_TTL_S),
        urgent=spec.urgent[:250],
        held_back=True,  # until people are asked
    )


def _supersede(moves: Journal, plan: Plan, spec: PlanSpec) -> None:
    """End open plans of the domain that would take one of the new plan's locks."""
    others = Plan.objects.filter(state=PlanState.PROPOSED, domain=plan.domain).exclude(id=plan.id)
    for other in others.only("id", "document", "held_back", "asked_at", "created_at"):
        if overlaps(other.document, spec):
            moves.move(
                other.id,
                to=PlanState.SUPERSEDED,
                who=SYSTEM,
                why=f"plan {plan.number} replaces it",
                superseded_by=plan,
            )
            if not other.held_back:
                renew(plan, other)
