"""What people decide about plans: each view unpacks a form and makes one call to services."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.plans import services
from infra_console.plans.approving.comments import add_comment
from infra_console.plans.errors import PlanError
from infra_console.plans.models import Plan
from infra_console.plans.settling.verification import end_verification
from infra_console.plans.states import PlanState
from infra_console.plans.taking_back.rollback import roll_back

DEFAULT_HOURS = 8
CONTROLS: Mapping[str, tuple[Callable[..., Any], str]] = {
    "pause": (services.pause_execution, "Paused: no further step starts."),
    "resume": (services.resume_execution, "Resumed."),
    "abort": (services.abort_execution, "Aborted: no further step starts."),
    "end-verification": (end_verification, "The verification is ended; the locks are free."),
    "rollback": (roll_back, "Rolling back: the steps are on this page."),
}


@require_POST
@needs("plan.approve")
def approve(request: PageRequest, plan_id: UUID) -> HttpResponse:
    """Approve exactly the plan that was on the page: its hash comes with the form."""
    try:
        start_at = _start_at(request)
    except ValueError:
        messages.error(request, "The time to start is no time. Nothing was approved.")
        return redirect("plans:detail", plan_id)
    return _decide(
        request, plan_id, services.approve_plan, _approved,
        plan_hash=request.POST.get("hash", ""), reason=_reason(request), start_at=start_at,
    )  # fmt: skip


def _approved(plan: Plan) -> str:
    return "Approved." if plan.state != PlanState.PROPOSED else "Approved; others must approve too."


def _start_at(request: PageRequest) -> datetime | None:
    """The form's time is in UTC, as every time on the pages."""
    text = request.POST.get("start_at", "")
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None


@require_POST
@needs("plan.approve")
def take_back(request: PageRequest, plan_id: UUID) -> HttpResponse:
    said = "Your approval is taken back; the plan is under review."
    return _decide(request, plan_id, services.take_back_approval, said, reason=_reason(request))


@require_POST
@needs("plan.break_glass")
def break_glass(request: PageRequest, plan_id: UUID) -> HttpResponse:
    return _decide(
        request, plan_id, services.break_glass, "Approved alone; a colleague is to ratify it.",
        plan_hash=request.POST.get("hash", ""), reason=_reason(request),
    )  # fmt: skip


@require_POST
@needs("plan.approve")
def ratify(request: PageRequest, plan_id: UUID) -> HttpResponse:
    return _decide(request, plan_id, services.ratify, "Ratified.", reason=_reason(request))


@require_POST
@needs("plan.comment")
def comment(request: PageRequest, plan_id: UUID) -> HttpResponse:
    text = request.POST.get("text", "")
    return _decide(request, plan_id, add_comment, "Your comment is kept.", text=text)


@require_POST
@needs("plan.reject")
def reject(request: PageRequest, plan_id: UUID) -> HttpResponse:
    return _decide(
        request, plan_id, services.reject_plan, "Rejected.",
        plan_hash=request.POST.get("hash", ""), reason=_reason(request),
    )  # fmt: skip


@require_POST
@needs("plan.withdraw")
def withdraw(request: PageRequest, plan_id: UUID) -> HttpResponse:
    return _decide(
        request, plan_id, services.withdraw_plan, "Withdrawn.", reason=_reason(request)
    )  # fmt: skip


@require_POST
@needs("execution.control")
def control(request: PageRequest, plan_id: UUID, verb: str) -> HttpResponse:
    if verb not in CONTROLS:
        raise Http404
    act, said = CONTROLS[verb]
    return _decide(request, plan_id, act, said, reason=_reason(request))


def _decide(
    request: PageRequest,
    plan_id: UUID,
    act: Callable[..., Any],
    said: str | Callable[[Plan], str],
    **words: Any,
) -> HttpResponse:
    try:
        done = act(plan_id, by=request.user, **words)
    except PlanError as err:
        messages.error(request, str(err))
    else:
        messages.success(request, said if isinstance(said, str) else said(done))
    return redirect("plans:detail", plan_id)


def _reason(request: PageRequest) -> str:
    return request.POST.get("reason", "").strip()[:2000]


@require_POST
@needs("cluster.arm")
def arm(request: PageRequest) -> HttpResponse:
    """Arm or disarm the ticked (cluster, tier) pairs."""
    hours = request.POST.get("hours", "")
    pairs = [pair.partition("/")[::2] for pair in request.POST.getlist("pair")]
    if not pairs:
        messages.warning(request, "Nothing was ticked; nothing was changed.")
        return redirect("plans:arming")
    try:
        for cluster, tier in pairs:
            if request.POST.get("do") == "disarm":
                services.disarm(cluster, tier, by=request.user)
            else:
                services.arm(cluster, tier, by=request.user, hours=_hours(hours))
    except PlanError as err:
        messages.error(request, str(err))
    else:
        messages.success(request, f"Changed {len(pairs)} of the fleet's cluster and tier pairs.")
    return redirect("plans:arming")


def _hours(text: str) -> int:
    """The hours in a form; services says which are too many."""
    return int(text[:6]) if text.isdecimal() else DEFAULT_HOURS


@require_POST
@needs("killswitch")
def killswitch(request: PageRequest) -> HttpResponse:
    try:
        if request.POST.get("engage") == "yes":
            services.engage_kill_switch(by=request.user, reason=_reason(request))
        else:
            services.release_kill_switch(by=request.user, reason=_reason(request))
    except PlanError as err:
        messages.error(request, str(err))
    return redirect("plans:arming")
