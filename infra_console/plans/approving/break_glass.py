"""Break-glass: in an emergency one person approves a plan alone, and a colleague ratifies it soon.

Nothing is undone when nobody does: the plan may long be carried out. It is shown as an alert until
somebody ratifies it, however late, and the audit keeps that it was late.
"""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import QuerySet

from infra_console.plans import clock
from infra_console.plans.approving.approvals import admit, conclude, locked
from infra_console.plans.errors import MayNotRatify, NothingToRatify, ReasonMissing
from infra_console.plans.lifecycle import journal
from infra_console.plans.models import BreakGlass, Plan
from infra_console.plans.safety import require_right

SYSTEM = "system:plans"


def break_glass(plan_id: UUID, *, by: User, plan_hash: str, reason: str = "") -> Plan:
    """Approve a plan alone, whatever the quorum; the author of a plan may not do even this.

    Raises:
        NotAllowed, AuthorMayNotApprove, AlreadyDecided, PlanChanged, PlanExpired, WrongState,
            PlanMissing, ReasonMissing: see each; nothing was changed.
    """
    require_right(by, "plan.break_glass")
    with journal() as moves:
        plan = locked(plan_id)
        given = admit(plan, by, plan_hash=plan_hash, reason=reason)
        due = given.at + timedelta(seconds=settings.RATIFY_WITHIN_S)
        BreakGlass.objects.create(approval=given, ratify_before=due)
        approved = conclude(moves, plan, given)
        detail = {"why": given.reason, "ratify_before": due.isoformat()}
        moves.tell(approved, "plan.break_glass", who=given.by, detail=detail)
    return approved


def ratify(plan_id: UUID, *, by: User, reason: str = "") -> Plan:
    """Stand behind what a colleague approved alone.

    Raises:
        NotAllowed, NothingToRatify, MayNotRatify, ReasonMissing, PlanMissing: see each; nothing
            was changed.
    """
    require_right(by, "plan.approve")
    who, reason, now = by.get_username(), reason.strip(), clock.now()
    with journal() as moves:
        plan = locked(plan_id)
        waiting = unratified().filter(approval__plan=plan).first()
        if waiting is None:
            raise NothingToRatify(plan.number)
        if who == waiting.approval.by or who in plan.authors:
            raise MayNotRatify(plan.number)
        if not reason:
            raise ReasonMissing
        BreakGlass.objects.filter(id=waiting.id).update(
            ratified_by=who, ratified_at=now, ratify_reason=reason
        )
        detail = {"why": reason, "late": now > waiting.ratify_before}
        moves.tell(plan, "plan.ratified", who=who, detail=detail)
    return plan


def flag_unratified() -> int:
    """Tell the audit, once each, of what nobody ratified in time; return how many."""
    now, flagged = clock.now(), 0
    for late in unratified().filter(ratify_before__lte=now, flagged_at=None):
        with journal() as moves:
            open_still = BreakGlass.objects.filter(id=late.id, flagged_at=None, ratified_at=None)
            if open_still.update(flagged_at=now):
                plan = late.approval.plan
                detail = {"by": late.approval.by, "why": "nobody ratified it in time"}
                moves.tell(plan, "plan.break_glass_unratified", who=SYSTEM, detail=detail)
                flagged += 1
    return flagged


def unratified() -> QuerySet[BreakGlass]:
    """Break-glass approvals that stand and that no colleague has ratified yet."""
    rows = BreakGlass.objects.select_related("approval__plan")
    return rows.filter(ratified_at=None, approval__taken_back_at=None)
