"""What envelopes do to plans: approve one that fits, take it back when revoked, return what a plan
did not use."""

from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F

from infra_console.plans import clock
from infra_console.plans.approving.approvals import conclude
from infra_console.plans.approving.covers import gpus_of, outside
from infra_console.plans.approving.envelopes import (
    end,
    held,
    is_on,
    require_revoking,
    said,
    tell,
)
from infra_console.plans.approving.quorum import quorum_of
from infra_console.plans.errors import EnvelopeClosed, WrongState
from infra_console.plans.lifecycle import Journal, journal
from infra_console.plans.models import Approval, Plan, Step
from infra_console.plans.models.envelopes import Envelope, EnvelopeState, EnvelopeUse
from infra_console.plans.states import Decision, PlanState

SYSTEM = "system:plans"
MACHINE = "system:"  # how the names of authors begin that are no people
WITHOUT_EFFECT = frozenset(
    {PlanState.WITHDRAWN, PlanState.EXPIRED, PlanState.VOID, PlanState.REHEARSED}
)
# These had none either, if they had not written when they ended.
PERHAPS = frozenset({PlanState.ABORTED, PlanState.FAILED})


def approve_in_advance(moves: Journal, plan: Plan) -> Plan:
    """Approve a plan by the first envelope that covers it; the plan as it then stands.

    Only plans that the loop alone proposed, that one approval is enough for, and that end before
    the envelope does.
    """
    if not is_on() or not all(author.startswith(MACHINE) for author in plan.authors):
        return plan
    quorum = quorum_of(plan)
    if quorum.approvals or quorum.needed > 1 or quorum.roles_missing:
        return plan
    now, spec = clock.now(), plan.spec
    for envelope in Envelope.objects.filter(state=EnvelopeState.ARMED).order_by("id"):
        if not outside(envelope, spec, at=now) and _take(envelope, plan, gpus_of(spec)):
            return _approve(moves, plan, envelope)
    return plan


def _take(envelope: Envelope, plan: Plan, gpus: int) -> bool:
    """Take GPUs from an envelope, unless it was revoked, ends too soon or has too few left."""
    return bool(
        Envelope.objects.filter(
            id=envelope.pk,
            state=EnvelopeState.ARMED,
            expires_at__gte=plan.expires_at,
            used_gpus__lte=F("total_gpus") - gpus,
        ).update(used_gpus=F("used_gpus") + gpus)
    )


def _approve(moves: Journal, plan: Plan, envelope: Envelope) -> Plan:
    gpus, now = gpus_of(plan.spec), clock.now()
    EnvelopeUse.objects.create(envelope=envelope, plan=plan, gpus=gpus, at=now)
    given = Approval.objects.create(
        plan=plan,
        plan_hash=plan.hash,
        by=f"envelope:{envelope.pk}",
        envelope=envelope,
        decision=Decision.APPROVE,
        reason=f"approved in advance by envelope {envelope.pk}, {envelope.title}, "
        f"of {envelope.author}, approved by {envelope.approved_by}",
        at=now,
    )
    approved = conclude(moves, plan, given)
    envelope.refresh_from_db()
    taken: dict[str, Any] = {"plan": plan.number, "gpus": gpus}
    moves.after(lambda: tell(envelope, "envelope.used", who=given.by, **taken))
    return approved


def revoke_envelope(envelope_id: int, *, by: User, reason: str = "") -> Envelope:
    """End an envelope at once; its plans that have not begun are withdrawn.

    Raises:
        NotAllowed, EnvelopeMissing, EnvelopeClosed, ReasonMissing: nothing was changed.
    """
    require_revoking(by)
    who = by.get_username()
    with journal() as moves:
        row, why = held(envelope_id), said(reason)
        if row.state not in {EnvelopeState.PROPOSED, EnvelopeState.ARMED}:
            raise EnvelopeClosed(row.pk, row.state)
        # First the plans: a worker that begins one holds it, and the audit comes last.
        for use in row.uses.filter(plan__state=PlanState.APPROVED).order_by("plan_id"):
            _withdraw(moves, use.plan_id, who=who, why=f"{row} was revoked: {why}")
        moves.after(lambda: end(row, EnvelopeState.REVOKED, who=who, why=why))
    return row


def _withdraw(moves: Journal, plan_id: UUID, *, who: str, why: str) -> None:
    try:
        moves.move(plan_id, to=PlanState.WITHDRAWN, who=who, why=why)
    except WrongState:  # it has begun: abort it by hand
        return


def return_unused() -> int:
    """Give back what plans took that ended without effect; return how many did."""
    ended = EnvelopeUse.objects.filter(
        returned_at=None, plan__state__in=WITHOUT_EFFECT | PERHAPS
    ).select_related("plan", "envelope")
    return sum(_return(use) for use in ended if not _had_effect(use.plan))


def _had_effect(plan: Plan) -> bool:
    """Whether a plan wrote, or may still: one that is being cleared up has not finished."""
    if plan.state in WITHOUT_EFFECT:
        return False
    written = Step.objects.filter(plan=plan).exclude(prior=None).exists()
    return written or plan.execution.finished_at is None


@transaction.atomic
def _return(use: EnvelopeUse) -> bool:
    mine = EnvelopeUse.objects.filter(id=use.pk, returned_at=None)
    if not mine.update(returned_at=clock.now()):
        return False
    Envelope.objects.filter(id=use.envelope_id).update(used_gpus=F("used_gpus") - use.gpus)
    row = Envelope.objects.get(id=use.envelope_id)
    taken: dict[str, Any] = {"plan": use.plan.number, "gpus": use.gpus}
    tell(row, "envelope.returned", who=SYSTEM, why=f"the plan is {use.plan.state}", **taken)
    return True
