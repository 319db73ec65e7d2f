"""HTTP API of envelopes: list, propose, approve, reject, revoke."""

from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import Any

from django.http import Http404, HttpRequest
from ninja import Router, Schema

from infra_console.access.roles import can
from infra_console.api.auth import require
from infra_console.api.problems import Problem
from infra_console.plans import clock
from infra_console.plans.approving import envelopes
from infra_console.plans.approving.in_advance import revoke_envelope
from infra_console.plans.errors import (
    EnvelopeInvalid,
    EnvelopeMissing,
    NotAllowed,
    PlanError,
    ReasonMissing,
)
from infra_console.plans.http.api import problem_code
from infra_console.plans.models.envelopes import Envelope

router = Router()
MOST = 200


class EnvelopeIn(Schema):
    """`opens` and `closes` are times of day in `time_zone`; equal, they are the whole day. What is
    left out is refused, but only after the right."""

    title: str = ""
    clusters: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    step_kinds: tuple[str, ...] = ()
    plan_gpus: int = 0
    total_gpus: int = 0
    expires_at: datetime | None = None
    opens: time = time(0)
    closes: time = time(0)
    time_zone: str = "UTC"
    reason: str = ""


class EnvelopeOut(EnvelopeIn):
    id: int
    state: str
    used_gpus: int
    author: str
    made_at: datetime
    approved_by: str
    approved_at: datetime | None
    approve_reason: str
    ended_by: str
    ended_at: datetime | None
    end_reason: str


class EnvelopeList(Schema):
    """`on` is false where a setting keeps every envelope from approving anything."""

    on: bool
    items: list[EnvelopeOut]


class WhyIn(Schema):
    reason: str = ""


@router.get("", response=EnvelopeList)
def list_envelopes(request: HttpRequest) -> dict[str, Any]:
    """The newest envelopes with what is used of them."""
    require(request, "view")
    return {"on": envelopes.is_on(), "items": [_out(row) for row in Envelope.objects.all()[:MOST]]}


@router.post("", response=EnvelopeOut)
def propose(request: HttpRequest, wanted: EnvelopeIn) -> dict[str, Any]:
    """Propose an envelope; somebody else approves it."""
    user = require(request, envelopes.RIGHT)
    words = wanted.dict()
    if wanted.expires_at is not None and wanted.expires_at.tzinfo is None:
        words["expires_at"] = wanted.expires_at.replace(tzinfo=UTC)  # as every time of this API
    return _out(_act(envelopes.propose_envelope, envelopes.Draft(**words), by=user))


@router.post("/{int:envelope_id}/approve", response=EnvelopeOut)
def approve(request: HttpRequest, envelope_id: int, why: WhyIn) -> dict[str, Any]:
    user = require(request, envelopes.RIGHT)
    return _out(_act(envelopes.approve_envelope, envelope_id, by=user, reason=why.reason))


@router.post("/{int:envelope_id}/reject", response=EnvelopeOut)
def reject(request: HttpRequest, envelope_id: int, why: WhyIn) -> dict[str, Any]:
    user = require(request, envelopes.RIGHT)
    return _out(_act(envelopes.reject_envelope, envelope_id, by=user, reason=why.reason))


@router.post("/{int:envelope_id}/revoke", response=EnvelopeOut)
def revoke(request: HttpRequest, envelope_id: int, why: WhyIn) -> dict[str, Any]:
    """End an envelope at once; its plans that have not begun are withdrawn."""
    caller = request.auth  # type: ignore[attr-defined]
    stops = can(caller.user, envelopes.STOPPING) and caller.may(envelopes.STOPPING)
    user = caller.user if stops else require(request, envelopes.RIGHT)
    return _out(_act(revoke_envelope, envelope_id, by=user, reason=why.reason))


def _act(act: Callable[..., Envelope], *args: Any, **words: Any) -> Envelope:
    try:
        return act(*args, **words)
    except EnvelopeMissing as err:
        raise Http404 from err
    except NotAllowed as err:
        raise Problem(403, "not-allowed", str(err)) from err
    except (EnvelopeInvalid, ReasonMissing) as err:
        raise Problem(422, problem_code(err), str(err)) from err
    except PlanError as err:
        raise Problem(409, problem_code(err), str(err)) from err


def _out(row: Envelope) -> dict[str, Any]:
    held = {name: getattr(row, name) for name in EnvelopeOut.model_fields}
    return held | {"state": envelopes.state_now(row, at=clock.now())}
