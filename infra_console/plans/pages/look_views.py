"""Asking a worker to look at a plan: a door to looks.py."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.access.roles import Person, missing_right
from infra_console.plans.looking.looks import RIGHT, look_of, request_look
from infra_console.plans.looking.policy import SHOWN_IN, policy_checks
from infra_console.plans.models import Plan
from infra_console.plans.models.looks import LookKind

PAGES = {LookKind.REHEARSAL: "plans:detail", LookKind.WAY_BACK: "plans:way-back"}


@require_POST
@needs("plan.comment")
def ask(request: PageRequest, plan_id: UUID, kind: str) -> HttpResponse:
    """Ask; the page hears of the answer by itself."""
    if kind not in LookKind.values:
        raise Http404
    plan = get_object_or_404(Plan, id=plan_id)
    request_look(plan.id, LookKind(kind), by=request.user)
    if request.htmx:
        return HttpResponse(status=204)
    messages.success(request, "A worker was asked to look; the answer comes to this page.")
    return redirect(PAGES[LookKind(kind)], plan.id)


def policy_parts(plan: Plan, user: Person) -> dict[str, Any]:
    """What the policy part of a plan's page shows."""
    return {
        "shows_policy": plan.state in SHOWN_IN,
        "checks": lambda: policy_checks(plan),
        "look": lambda: look_of(plan.id, LookKind.REHEARSAL),
        "lacks_look": missing_right(user, RIGHT),
    }
