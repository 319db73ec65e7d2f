"""The first page, and the parts of every page's frame that refresh by themselves."""

from functools import cache

from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.overview.cards import Alert, Card, contributed_cards
from infra_console.overview.looks import look_of
from infra_console.overview.pages import render_page
from infra_console.overview.queries import (
    kill_switch_engaged,
    plans_by_state,
    plans_to_decide,
    recent_executions,
)
from infra_console.overview.scope import Scope, scope_of
from infra_console.overview.verdict import Verdict, judge
from infra_console.plans.approving.asking import held_back
from infra_console.plans.approving.break_glass import unratified
from infra_console.plans.states import PlanState
from infra_console.telemetry.queries import fleet_freshness

AT_WORK = (PlanState.EXECUTING, PlanState.VERIFYING, PlanState.ROLLING_BACK)
PARTS = {
    "verdict": "overview/verdict.html",
    "plans": "overview/plans.html",
    "executions": "overview/executions.html",
}


@needs("view")
def index(request: PageRequest) -> HttpResponse:
    scope = scope_of(request)
    cards = cache(lambda: contributed_cards(scope))
    card_parts = {f"card-{key}": "overview/card.html" for key in ("tiers", "map")}
    target = request.htmx.target or ""
    context = {
        "verdict": lambda: _verdict(cards(), scope),
        "wide": lambda: [c for c in cards() if c.place == "wide"],
        "side": lambda: [c for c in cards() if c.place == "side"],
        "card": lambda: next((c for c in cards() if f"card-{c.key}" == target), None),
        "proposed": lambda: plans_to_decide(region=scope.region)[:3],
        "held": held_back,
        "executions": lambda: recent_executions(limit=6, region=scope.region),
    }
    return render_page(request, "overview/index.html", context, parts=PARTS | card_parts)


def _verdict(cards: list[Card], scope: Scope) -> Verdict:
    return judge(
        [alert for card in cards for alert in card.alerts] + _paused(scope) + _unratified(),
        known=all(card.known for card in cards),
        kill_switch=kill_switch_engaged(),
        waiting=len(plans_to_decide(region=scope.region)),
        executing=len(plans_by_state(*AT_WORK, region=scope.region)),
    )


def _paused(scope: Scope) -> list[Alert]:
    """A paused plan holds its locks until somebody looks at it."""
    return [
        Alert(
            "warn",
            f"Plan {plan.number} is paused: {plan.state_reason or 'no reason was given'}",
            reverse("plans:detail", args=[plan.id]),
        )
        for plan in plans_by_state(PlanState.PAUSED, region=scope.region)
    ]


def _unratified() -> list[Alert]:
    """Who approved alone waits for a colleague; past its time that is wrong, not only to watch."""
    return [
        Alert(
            "warn" if glass.ratify_before > timezone.now() else "bad",
            f"Plan {glass.approval.plan.number}: {glass.approval.by} approved it alone, and nobody "
            "has ratified it",
            reverse("plans:detail", args=[glass.approval.plan_id]),
        )
        for glass in unratified()
    ]


@needs("view")
def freshness(request: PageRequest) -> HttpResponse:
    """The pill: apart from the page, because it may wait for a metric source."""
    seen = fleet_freshness()
    context = {"freshness": seen, "look": look_of("freshness", str(seen.state))}
    return render_page(request, "shell/pill.html", context)


@needs("view")
def badges(request: PageRequest) -> HttpResponse:
    return render_page(request, "shell/badges.html", {})


@needs("view")
def waiting(request: PageRequest) -> HttpResponse:
    return render_page(request, "shell/waiting.html", {})
