"""Envelopes: who gives an approval in advance, who takes it back, and what it covers.

One person proposes an envelope and another approves it; its bounds never change. A plan that the
loop alone proposed is approved by the first armed envelope that covers it. The GPUs are taken from
the envelope's total by compare-and-set, and given back when the plan ends without effect.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, time, timedelta
from typing import Any, get_args
from zoneinfo import available_timezones

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from infra_console.access.roles import can
from infra_console.audit.services import record_audit
from infra_console.fleet.models import Cluster
from infra_console.live.services import publish
from infra_console.plans import clock
from infra_console.plans.errors import (
    EnvelopeClosed,
    EnvelopeInvalid,
    EnvelopeMissing,
    OwnEnvelope,
    ReasonMissing,
)
from infra_console.plans.models.envelopes import Envelope, EnvelopeState
from infra_console.plans.safety import require_right
from infra_console.plans.spec import Tier
from infra_console.plans.steps.registry import installed_kinds

RIGHT = "envelope.manage"
STOPPING = "killswitch"  # who may stop every write may revoke an envelope too
MAX_DAYS = 31


@dataclass(frozen=True, slots=True)
class Draft:
    """An envelope as somebody wrote it, before it is checked."""

    title: str
    clusters: Sequence[str]
    tiers: Sequence[str]
    step_kinds: Sequence[str]
    plan_gpus: int
    total_gpus: int
    expires_at: datetime | None
    opens: time = time(0)
    closes: time = time(0)
    time_zone: str = "UTC"
    reason: str = ""


@transaction.atomic
def propose_envelope(draft: Draft, *, by: User) -> Envelope:
    """Write an envelope down for somebody else to approve.

    Raises:
        NotAllowed, EnvelopeInvalid, ReasonMissing: see each; nothing was kept.
    """
    require_right(by, RIGHT)
    expires_at = _check(draft)
    bounds = asdict(draft) | {
        "title": draft.title.strip(),
        "clusters": sorted(set(draft.clusters)),
        "tiers": sorted(set(draft.tiers)),
        "step_kinds": sorted(set(draft.step_kinds)),
        "expires_at": expires_at,
        "reason": draft.reason.strip(),
    }
    row = Envelope.objects.create(
        **bounds, state=EnvelopeState.PROPOSED, author=by.get_username(), made_at=clock.now()
    )
    tell(row, "envelope.proposed", who=by.get_username(), why=row.reason)
    return row


@transaction.atomic
def approve_envelope(envelope_id: int, *, by: User, reason: str = "") -> Envelope:
    """Arm an envelope that somebody else proposed.

    Raises:
        NotAllowed, EnvelopeMissing, OwnEnvelope, EnvelopeClosed, ReasonMissing: nothing was
            changed.
    """
    require_right(by, RIGHT)
    row, who, why = held(envelope_id), by.get_username(), said(reason)
    if row.author == who:
        raise OwnEnvelope(row.pk)
    now = clock.now()
    if row.state != EnvelopeState.PROPOSED or row.expires_at <= now:
        raise EnvelopeClosed(row.pk, "expired" if row.expires_at <= now else row.state)
    row.state, row.approved_by, row.approved_at, row.approve_reason = (
        EnvelopeState.ARMED, who, now, why,
    )  # fmt: skip
    row.save(update_fields=["state", "approved_by", "approved_at", "approve_reason"])
    tell(row, "envelope.approved", who=who, why=why)
    return row


@transaction.atomic
def reject_envelope(envelope_id: int, *, by: User, reason: str = "") -> Envelope:
    """Say no to a proposed envelope.

    Raises:
        NotAllowed, EnvelopeMissing, EnvelopeClosed, ReasonMissing: nothing was changed.
    """
    require_right(by, RIGHT)
    row, why = held(envelope_id), said(reason)
    if row.state != EnvelopeState.PROPOSED:
        raise EnvelopeClosed(row.pk, row.state)
    return end(row, EnvelopeState.REJECTED, who=by.get_username(), why=why)


def require_revoking(user: User) -> None:
    """Raise NotAllowed unless the user may revoke an envelope."""
    if not can(user, STOPPING):
        require_right(user, RIGHT)


def end(row: Envelope, state: EnvelopeState, *, who: str, why: str) -> Envelope:
    """Close an envelope that is held by this transaction, with its audit row."""
    row.state, row.ended_by, row.ended_at, row.end_reason = state, who, clock.now(), why
    row.save(update_fields=["state", "ended_by", "ended_at", "end_reason"])
    tell(row, f"envelope.{state}", who=who, why=why)
    return row


def tell(row: Envelope, action: str, *, who: str, why: str = "", **more: Any) -> None:
    """Tell pages, and write the audit row: last in a transaction."""
    publish(kind="envelope", id=str(row.pk), version=int(clock.now().timestamp() * 1000))
    record_audit(
        actor=who,
        action=action,
        object_kind="envelope",
        object_id=str(row.pk),
        detail={"why": why} | bounds_of(row) | more,
    )


def bounds_of(row: Envelope) -> dict[str, Any]:
    """What an envelope allows, as JSON."""
    names = ("title", "clusters", "tiers", "step_kinds", "plan_gpus", "total_gpus", "used_gpus")
    return {
        **{name: getattr(row, name) for name in names},
        "opens": f"{row.opens:%H:%M}",
        "closes": f"{row.closes:%H:%M}",
        "time_zone": row.time_zone,
        "expires_at": row.expires_at.isoformat(),
    }


def state_now(row: Envelope, *, at: datetime) -> str:
    """Its state as people read it: an armed one may have expired or be used up."""
    if row.state in {EnvelopeState.PROPOSED, EnvelopeState.ARMED} and row.expires_at <= at:
        return "expired"
    used_up = row.state == EnvelopeState.ARMED and not row.left_gpus
    return "used up" if used_up else str(row.state)


def is_on() -> bool:
    """Whether envelopes approve anything at all here."""
    return bool(settings.ENVELOPES)


def held(envelope_id: int) -> Envelope:
    """The envelope, held until the transaction ends.

    Raises:
        EnvelopeMissing: there is none.
    """
    if row := Envelope.objects.select_for_update().filter(id=envelope_id).first():
        return row
    raise EnvelopeMissing(envelope_id)


def said(reason: str) -> str:
    """The reason without its edges.

    Raises:
        ReasonMissing: there is none.
    """
    if not reason.strip():
        raise ReasonMissing
    return reason.strip()


def _check(draft: Draft) -> datetime:
    """Refuse a draft that is unbounded or unknown; the time at which it expires."""
    if not 0 < len(draft.title.strip()) <= 100:
        raise EnvelopeInvalid("Give it a title of at most 100 characters.")
    _named("cluster", draft.clusters, Cluster.objects.values_list("id", flat=True))
    _named("tier", draft.tiers, get_args(Tier))
    _named("step kind", draft.step_kinds, installed_kinds())
    if not 0 < draft.plan_gpus <= draft.total_gpus:
        raise EnvelopeInvalid("A plan may move at least one GPU and at most the total.")
    if draft.time_zone not in available_timezones():
        raise EnvelopeInvalid(f"There is no time zone {draft.time_zone!r}; name one as Asia/Tokyo.")
    now = clock.now()
    if draft.expires_at is None or not now < draft.expires_at <= now + timedelta(days=MAX_DAYS):
        raise EnvelopeInvalid(f"It expires at a time within {MAX_DAYS} days from now.")
    if not draft.reason.strip():
        raise ReasonMissing
    return draft.expires_at


def _named(what: str, names: Sequence[str], known: Collection[str]) -> None:
    if not names:
        raise EnvelopeInvalid(f"Name at least one {what}: an envelope is bounded.")
    if unknown := sorted(set(names) - set(known)):
        raise EnvelopeInvalid(f"There is no {what} {', '.join(unknown)}.")
