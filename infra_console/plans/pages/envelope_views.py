"""The page of envelopes: doors to envelopes.py and in_advance.py."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.access.roles import missing_right
from infra_console.fleet.queries import list_clusters
from infra_console.overview.pages import render_page
from infra_console.overview.scope import TIERS
from infra_console.plans import clock
from infra_console.plans.approving import envelopes
from infra_console.plans.approving.covers import hours, is_open
from infra_console.plans.approving.in_advance import revoke_envelope
from infra_console.plans.errors import PlanError
from infra_console.plans.models.envelopes import Envelope
from infra_console.plans.steps.registry import installed_kinds

VERBS: Mapping[str, tuple[Callable[..., Envelope], str]] = {
    "approve": (envelopes.approve_envelope, "Armed: plans that it covers are approved by it."),
    "reject": (envelopes.reject_envelope, "Rejected."),
    "revoke": (revoke_envelope, "Revoked: it approves nothing more."),
}


@require_safe
@needs("view")
def index(request: PageRequest) -> HttpResponse:
    lacks = missing_right(request.user, envelopes.RIGHT)
    context = {
        "rows": lambda: _rows(request.user.get_username()),
        "is_on": envelopes.is_on(),
        "tiers": TIERS,
        "clusters": [cluster.id for cluster in list_clusters()],
        "kinds": sorted(installed_kinds()),
        "max_days": envelopes.MAX_DAYS,
        "lacks_manage": lacks,
        "lacks_revoke": lacks and missing_right(request.user, envelopes.STOPPING),
    }
    parts = {"envelopes": "plans/envelope_list.html"}
    return render_page(request, "plans/envelopes.html", context, parts=parts)


def _rows(who: str) -> list[dict[str, Any]]:
    now = clock.now()
    return [
        {
            "envelope": row,
            "state": envelopes.state_now(row, at=now),
            "hours": hours(row),
            "open": is_open(row, now),
            "mine": row.author == who,
            "uses": list(row.uses.select_related("plan")[:10]),
        }
        for row in Envelope.objects.all()[:100]
    ]


@require_POST
@needs("envelope.manage")
def propose(request: PageRequest) -> HttpResponse:
    form = request.POST
    try:
        draft = envelopes.Draft(
            title=form.get("title", ""),
            clusters=form.getlist("cluster"),
            tiers=form.getlist("tier"),
            step_kinds=form.getlist("kind"),
            plan_gpus=_whole(form.get("plan_gpus", "")),
            total_gpus=_whole(form.get("total_gpus", "")),
            expires_at=_time(form.get("expires_at", "")),
            opens=time.fromisoformat(form.get("opens") or "00:00"),
            closes=time.fromisoformat(form.get("closes") or "00:00"),
            time_zone=form.get("time_zone", "").strip(),
            reason=form.get("reason", ""),
        )
        made = envelopes.propose_envelope(draft, by=request.user)
    except ValueError:
        messages.error(request, "A time in the form is no time. Nothing was kept.")
    except PlanError as err:
        messages.error(request, str(err))
    else:
        messages.success(request, f"Envelope {made.pk} is proposed; somebody else approves it.")
    return redirect("plans:envelopes")


@require_POST
@needs("view")  # each verb asks for its own right
def decide(request: PageRequest, envelope_id: int, verb: str) -> HttpResponse:
    if verb not in VERBS:
        raise Http404
    act, said = VERBS[verb]
    reason = request.POST.get("reason", "")[:2000]
    try:
        act(envelope_id, by=request.user, reason=reason)
    except PlanError as err:
        messages.error(request, str(err))
    else:
        messages.success(request, said)
    return redirect("plans:envelopes")


def _whole(text: str) -> int:
    return int(text[:7]) if text.isdecimal() else 0


def _time(text: str) -> datetime | None:
    """The form's time is in UTC, as every time on the pages."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None
