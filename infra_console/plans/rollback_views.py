"""The page that shows a rollback before it starts, and the door that starts it."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from infra_console.access.decorators import needs
from infra_console.overview.pages import render_page
from infra_console.plans.models import Plan
from infra_console.plans.rollback import RIGHT, rollback_state
from infra_console.plans.rollback_preview import objects_back


@require_safe
@needs("view")
def page(request: HttpRequest, plan_id: UUID) -> HttpResponse:
    """What a rollback would do to each object, and who may start it."""
    plan = get_object_or_404(Plan, id=plan_id)
    context: dict[str, Any] = {
        "plan": plan,
        "spec": plan.spec,
        "right": RIGHT,
        "rollback": rollback_state(plan, request.user),
        "objects": objects_back(plan),
    }
    return render_page(request, "plans/rollback.html", context)
