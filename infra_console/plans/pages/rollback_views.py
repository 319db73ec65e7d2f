"""The page that shows a rollback before it starts, and the door that starts it."""

from datetime import timedelta
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.access.roles import missing_right
from infra_console.overview.pages import render_page
from infra_console.plans import clock
from infra_console.plans.approving.freezes import frozen_plan
from infra_console.plans.looking import looks
from infra_console.plans.models import Plan
from infra_console.plans.models.looks import Look, LookKind
from infra_console.plans.taking_back.rollback import RIGHT, STARTS, rollback_state

# The page asks by itself when nobody has looked for so long.
OLD = timedelta(seconds=60)


@require_safe
@needs("view")
def page(request: PageRequest, plan_id: UUID) -> HttpResponse:
    """What a rollback would do to each object, as a worker saw it, and who may start it."""
    plan = get_object_or_404(Plan, id=plan_id)
    look = looks.look_of(plan.id, LookKind.WAY_BACK)
    lacks = missing_right(request.user, looks.RIGHT)
    context = {
        "plan": plan,
        "spec": plan.spec,
        "right": RIGHT,
        "rollback": rollback_state(plan, request.user),
        "frozen": lambda: frozen_plan(plan, back=True),
        "look": look,
        "stale": is_stale(plan, look),
        "lacks_look": lacks,
        "wants_look": plan.state in STARTS and not lacks and _is_old(look),
    }
    parts = {"way-back": "plans/way_back.html"}
    return render_page(request, "plans/rollback.html", context, parts=parts)


def is_stale(plan: Plan, look: Look | None) -> bool:
    """Whether the plan has gone on since a worker looked."""
    document = look.document if look else None
    return document is not None and document["state"] != plan.state


def _is_old(look: Look | None) -> bool:
    return look is None or (look.answered_at or look.asked_at) < clock.now() - OLD
