"""The part of the arming page about fields that others own: a door to the cluster package."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from infra_console.access.decorators import needs
from infra_console.access.roles import Person, missing_right
from infra_console.cluster.owned import ask_owned
from infra_console.cluster.queries import owned_clusters
from infra_console.cluster.takeovers import (
    RIGHT,
    TakeOverRefused,
    allow_take_over,
    forbid_take_over,
)
from infra_console.plans.pages.taken import taken_fields

OWNED_PARTS = {"owned": "plans/owned.html", "taken": "plans/taken.html"}


def owned_parts(user: Person) -> dict[str, Any]:
    """What this part of the page shows."""
    return {
        "owned": owned_clusters,
        "taken": taken_fields,
        "lacks_take_over": missing_right(user, RIGHT),
        "lacks_look": missing_right(user, "cluster.arm"),
    }


@require_POST
@needs("cluster.arm")
def look(request: HttpRequest) -> HttpResponse:
    """Ask the workers; the page hears of each answer by itself."""
    ask_owned()
    messages.success(request, "Workers were asked to look; their answers come to this page.")
    return redirect("plans:arming")


@require_POST
@needs(RIGHT)
def allow(request: HttpRequest) -> HttpResponse:
    """Let a field be taken over, once it was confirmed."""
    if request.POST.get("sure") != "yes":
        messages.error(request, "Confirm that its owner knows of it. Nothing was changed.")
        return redirect("plans:arming")
    said = "Plans may take it over from now on; it goes back once its tier is disarmed."
    return _act(request, allow_take_over, said)


@require_POST
@needs(RIGHT)
def hand_back(request: HttpRequest) -> HttpResponse:
    said = "Plans leave it alone from now on; what one took over is handed back, as it stands."
    return _act(request, forbid_take_over, said)


def _act(request: HttpRequest, act: Callable[..., Any], said: str) -> HttpResponse:
    form = request.POST
    try:
        act(
            form.get("cluster", ""),
            form.get("kind", ""),
            manager=form.get("manager", "")[:128],
            by=request.user,
            reason=form.get("reason", "").strip()[:2000],
        )
    except TakeOverRefused as err:
        messages.error(request, str(err))
    else:
        messages.success(request, said)
    return redirect("plans:arming")
