"""The page of freeze windows beside arming, and the override on a plan: doors to freezes.py."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.access.roles import missing_right
from infra_console.fleet.queries import list_clusters
from infra_console.overview.pages import render_page
from infra_console.overview.scope import TIERS
from infra_console.plans import clock
from infra_console.plans.approving import freezes
from infra_console.plans.errors import PlanError
from infra_console.plans.models import FreezeWindow


@require_safe
@needs("view")
def index(request: PageRequest) -> HttpResponse:
    context = {
        "windows": _rows,
        "frozen": freezes.frozen_now,
        "tiers": TIERS,
        "clusters": [cluster.id for cluster in list_clusters()],
        "lacks_manage": missing_right(request.user, "freeze.manage"),
    }
    parts = {"freezes": "plans/freeze_list.html"}
    return render_page(request, "plans/freezes.html", context, parts=parts)


def _rows() -> list[tuple[FreezeWindow, object]]:
    now = clock.now()
    return [(row, freezes.opens_next(row, after=now)) for row in FreezeWindow.objects.all()]


@require_POST
@needs("freeze.manage")
def add(request: PageRequest) -> HttpResponse:
    form = request.POST
    minutes = form.get("minutes", "")
    draft = freezes.Draft(
        name=form.get("name", "").strip(),
        kind=form.get("kind", ""),
        cron=form.get("cron", ""),
        minutes=int(minutes[:6]) if minutes.isdecimal() else 0,
        time_zone=form.get("time_zone", "").strip(),
        clusters=form.getlist("cluster"),
        tiers=form.getlist("tier"),
    )
    try:
        freezes.add_window(draft, by=request.user)
    except PlanError as err:
        messages.error(request, str(err))
    else:
        messages.success(request, f"“{draft.name}” holds from now on.")
    return redirect("plans:freezes")


@require_POST
@needs("freeze.manage")
def remove(request: PageRequest, window_id: int) -> HttpResponse:
    freezes.remove_window(window_id, by=request.user)
    messages.success(request, "The window is removed.")
    return redirect("plans:freezes")


@require_POST
@needs("freeze.manage")
def override(request: PageRequest, plan_id: UUID) -> HttpResponse:
    try:
        freezes.override_freeze(plan_id, by=request.user, reason=request.POST.get("reason", ""))
    except PlanError as err:
        messages.error(request, str(err))
    else:
        messages.success(request, "This plan goes on in spite of every freeze window.")
    return redirect("plans:detail", plan_id)
