"""Deciding on a plan: approve, reject, take an approval back.

The plan's row is held while a decision is checked and written, so of two last approvals, or an
approval and a rejection, the second sees what the first did. The approval that completes the
quorum moves the plan and orders its execution in its own transaction.
"""

from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User

from infra_console.access.roles import roles_of
from infra_console.plans import clock
from infra_console.plans.approving.quorum import quorum_of
from infra_console.plans.errors import (
    AlreadyDecided,
    AuthorMayNotApprove,
    NothingToTakeBack,
    PlanChanged,
    PlanExpired,
    PlanMissing,
    ReasonMissing,
    StartInvalid,
    TooLateToTakeBack,
    WrongState,
)
from infra_console.plans.holding.orders import cancel_order, order_execution, undo_until
from infra_console.plans.lifecycle import Journal, journal
from infra_console.plans.models import Approval, Execution, Plan
from infra_console.plans.safety import require_right
from infra_console.plans.spec import is_unchanged
from infra_console.plans.states import Decision, PlanState


def approve_plan(
    plan_id: UUID, *, by: User, plan_hash: str, reason: str = "", start_at: datetime | None = None
) -> Plan:
    """Approve the plan that carries this hash. It moves to approved with the last needed approval,
    and its execution is ordered in the same transaction, to begin at `start_at` or soon.

    Raises:
        NotAllowed, AuthorMayNotApprove, AlreadyDecided, PlanChanged, PlanExpired, WrongState,
            PlanMissing, ReasonMissing, StartInvalid: see each; nothing was changed.
    """
    require_right(by, "plan.approve")
    with journal() as moves:
        plan = locked(plan_id)
        given = admit(plan, by, plan_hash=plan_hash, reason=reason, start_at=start_at)
        quorum = quorum_of(plan)
        if quorum.is_met:
            return conclude(moves, plan, given)
        detail = {"why": given.reason, "given": len(quorum.approvals), "needed": quorum.needed}
        moves.tell(plan, "plan.approval_given", who=given.by, detail=detail)
    return plan


def reject_plan(plan_id: UUID, *, by: User, plan_hash: str = "", reason: str = "") -> Plan:
    """Say no to a plan under review; one no ends it. An empty hash rejects it whatever it says.

    Raises:
        NotAllowed, AlreadyDecided, PlanChanged, WrongState, PlanMissing, ReasonMissing: nothing
            was changed.
    """
    require_right(by, "plan.reject")
    who, reason = by.get_username(), reason.strip()
    with journal() as moves:
        plan = locked(plan_id)
        if plan_hash and plan_hash != plan.hash:
            raise PlanChanged(plan.number)
        if not reason:
            raise ReasonMissing
        rejected = moves.move(plan.id, to=PlanState.REJECTED, who=who, why=reason)
        _decide(rejected, by, Decision.REJECT, reason=reason)
    return rejected


def take_back_approval(plan_id: UUID, *, by: User, reason: str = "") -> Plan:
    """Take one's own approval back: while others are missing, or until the plan may start.

    Raises:
        NotAllowed, NothingToTakeBack, TooLateToTakeBack, WrongState, PlanMissing: see each;
            nothing was changed.
    """
    require_right(by, "plan.approve")
    who = by.get_username()
    with journal() as moves:
        # The worker that begins takes this row before the plan's: another order could deadlock.
        list(Execution.objects.select_for_update().filter(plan_id=plan_id))
        plan = locked(plan_id)
        if plan.state not in {PlanState.PROPOSED, PlanState.APPROVED}:
            raise WrongState(plan.number, plan.state, PlanState.PROPOSED)
        mine = plan.approvals.filter(by=who, decision=Decision.APPROVE, taken_back_at=None)
        if not mine.update(taken_back_at=clock.now()):
            raise NothingToTakeBack(plan.number)
        why = f"approval taken back{': ' if reason.strip() else ''}{reason.strip()}"
        if plan.state == PlanState.PROPOSED:
            moves.tell(plan, "plan.approval_taken_back", who=who, detail={"why": why})
            return plan
        if undo_until(plan) is None:
            raise TooLateToTakeBack(plan.number)
        cancel_order(plan)
        return moves.move(plan.id, to=PlanState.PROPOSED, who=who, why=why)


def locked(plan_id: UUID) -> Plan:
    """The plan, held until the transaction ends: what is checked is what is decided on."""
    if plan := Plan.objects.select_for_update().filter(id=plan_id).first():
        return plan
    raise PlanMissing(plan_id)


def admit(
    plan: Plan, by: User, *, plan_hash: str, reason: str, start_at: datetime | None = None
) -> Approval:
    """Check an approval against the plan and write it down.

    Raises:
        AuthorMayNotApprove, AlreadyDecided, PlanChanged, PlanExpired, WrongState, ReasonMissing,
            StartInvalid: see each; nothing was written.
    """
    _check_approvable(plan, by.get_username(), plan_hash)
    if not reason.strip():
        raise ReasonMissing
    if start_at is not None and not clock.now() < start_at < plan.expires_at:
        raise StartInvalid(plan.number, plan.expires_at)
    return _decide(plan, by, Decision.APPROVE, reason=reason.strip(), start_at=start_at)


def conclude(moves: Journal, plan: Plan, last: Approval) -> Plan:
    """The last approval is given: move the plan and order its execution."""
    approved = moves.move(plan.id, to=PlanState.APPROVED, who=last.by, why=last.reason)
    order_execution(approved)
    return approved


def _check_approvable(plan: Plan, who: str, plan_hash: str) -> None:
    if plan.state != PlanState.PROPOSED:
        raise WrongState(plan.number, plan.state, PlanState.APPROVED)
    if who in plan.authors:
        raise AuthorMayNotApprove(plan.number)
    if plan_hash != plan.hash or not is_unchanged(plan.document, plan.hash):
        raise PlanChanged(plan.number)
    if plan.expires_at <= clock.now():
        raise PlanExpired(plan.number)


def _decide(
    plan: Plan, by: User, decision: Decision, *, reason: str, start_at: datetime | None = None
) -> Approval:
    who = by.get_username()
    if plan.approvals.filter(by=who, taken_back_at=None).exists():
        raise AlreadyDecided(plan.number)
    return Approval.objects.create(
        plan=plan,
        plan_hash=plan.hash,
        by=who,
        decision=decision,
        reason=reason,
        roles=sorted(roles_of(by)),
        start_at=start_at,
        at=clock.now(),
    )
