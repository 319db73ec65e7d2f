"""The forecast page: bands against what came, models and why, the calendar, retraining."""

from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_POST, require_safe

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.access.roles import missing_right
from infra_console.fleet.config import WorkloadConfig
from infra_console.overview.pages import render_page
from infra_console.overview.scope import Scope, scope_of
from tiers import calendar, services
from tiers.errors import EventInvalid
from tiers.forecast_figure import forecast_figure, table_rows
from tiers.forecast_queries import forecast_page, list_models, list_trainings
from tiers.forecast_timeline import ForecastTimeline, forecast_timeline
from tiers.models import CalendarEvent, EventKind
from tiers.queries import current_facts

PARTS = {
    "forecast-state": "tiers/forecast_state.html",
    "forecast": "tiers/forecast_body.html",
    "training": "tiers/forecast_training.html",
    "calendar": "tiers/forecast_calendar.html",
}
AHEAD_H = (1, 2, 4)
DEFAULT_TIER = "inference"


@dataclass(frozen=True, slots=True)
class Choice:
    """What the chart shows: a tier, or one of its workloads, as it was said some hours before."""

    tier: str
    workload: str
    ahead_h: int

    def query(self, scope: Scope, **changes: str | int) -> str:
        """The page's query with the choice, or a part of it changed."""
        values: dict[str, str | int] = {"workload": self.workload, "ahead": self.ahead_h}
        values |= changes
        parts = {name: value for name, value in values.items() if value and value != 2}
        plain = scope.query(tier=str(changes.get("tier", scope.tier)))
        parts.pop("tier", None)
        return plain + (("&" if plain else "?") + urlencode(parts) if parts else "")


@require_safe
@needs("view")
def forecast(request: PageRequest) -> HttpResponse:
    scope, now = scope_of(request), timezone.now()
    choice = choice_of(request, scope)
    context = {
        "page": lambda: forecast_page(region=scope.region, tier=scope.tier, now=now),
        "choice": choice,
        "chart_query": choice.query(scope),
        "tiers": [(t, choice.query(scope, tier=t, workload="")) for t in _tiers()],
        "workloads": [(w.id, choice.query(scope, workload=w.id)) for w in _workloads(choice.tier)],
        "whole": choice.query(scope, workload=""),
        "aheads": [(h, choice.query(scope, ahead=h)) for h in AHEAD_H],
        "trainings": list_trainings,
        "models": list_models,
        "events": lambda: calendar.events_between(
            scope.start(now), now + calendar.COMING, region=scope.region
        ),
        "kinds": EventKind.values,
        "regions": _regions,
        "all_workloads": lambda: [w.id for w in _workloads("")],
        "lacks_manage": missing_right(request.user, "forecast.manage"),
    }
    return render_page(request, "tiers/forecast.html", context, parts=PARTS)


def choice_of(request: PageRequest, scope: Scope) -> Choice:
    """What the query chooses; unknown workloads and hours fall back to the default."""
    asked = request.GET.get("workload", "")
    found = next((w for w in _workloads("") if w.id == asked), None)
    hours = request.GET.get("ahead", "")
    ahead_h = int(hours) if hours in {str(h) for h in AHEAD_H} else 2
    if found and scope.tier in {"", found.tier}:
        return Choice(found.tier, found.id, ahead_h)
    return Choice(scope.tier or DEFAULT_TIER, "", ahead_h)


def _tiers() -> list[str]:
    return list(dict.fromkeys(w.tier for w in _workloads("")))


def _workloads(tier: str) -> list[WorkloadConfig]:
    facts = current_facts()
    found = facts.workloads.values() if facts else []
    return [w for w in found if tier in {"", w.tier}]


def _regions() -> list[str]:
    facts = current_facts()
    return [r.id for r in facts.config.regions] if facts else []


# --- the chart and its table --------------------------------------------------------------------


@require_safe
@needs("view")
def chart(request: PageRequest) -> JsonResponse:
    scope, now = scope_of(request), timezone.now()
    window = (scope.start(now), now, scope.end(now))
    line, events = _line(request, scope, now)
    return JsonResponse(forecast_figure(line, events, window=window, future=scope.future))


@require_safe
@needs("view")
def table(request: PageRequest) -> HttpResponse:
    """The chart's numbers for keyboard and screen reader."""
    scope, now = scope_of(request), timezone.now()
    line, events = _line(request, scope, now)
    context = {"line": line, "rows": table_rows(line, events, future=scope.future)}
    return render_page(request, "tiers/forecast_table.html", context)


def _line(
    request: PageRequest, scope: Scope, now: datetime
) -> tuple[ForecastTimeline, list[CalendarEvent]]:
    choice = choice_of(request, scope)
    line = forecast_timeline(
        tier=choice.tier, workload=choice.workload, region=scope.region, start=scope.start(now),
        now=now, ahead_h=choice.ahead_h,
    )  # fmt: skip
    events = calendar.events_between(
        scope.start(now), scope.end(now), region=scope.region, workload=choice.workload,
        tier=choice.tier,
    )  # fmt: skip
    return line, events


# --- what people do -----------------------------------------------------------------------------


@require_POST
@needs("forecast.manage")
def train(request: PageRequest) -> HttpResponse:
    services.request_training(by=request.user.get_username(), at=timezone.now())
    messages.success(request, "A training was asked for; its progress and result appear below.")
    return _back(request)


@require_POST
@needs("forecast.manage")
def event_add(request: PageRequest) -> HttpResponse:
    form = request.POST
    draft = calendar.EventDraft(
        kind=form.get("kind", ""),
        title=form.get("title", ""),
        starts_at=_time(form.get("starts_at", "")),
        ends_at=_time(form.get("ends_at", "")),
        region=form.get("region", ""),
        workload=form.get("workload", ""),
    )
    try:
        event = calendar.add_event(draft, by=request.user, at=timezone.now())
    except EventInvalid as err:
        messages.error(request, f"The calendar stays as it was: {err}.")
    else:
        messages.success(request, f"“{event.title}” is in the calendar and on the charts.")
    return _back(request)


@require_POST
@needs("forecast.manage")
def event_remove(request: PageRequest, event_id: int) -> HttpResponse:
    calendar.remove_event(event_id, by=request.user)
    messages.success(request, "The event is removed; the audit keeps what it said.")
    return _back(request)


def _time(text: str) -> datetime | None:
    """A time as a browser's field gives it; None where it is none."""
    try:
        return calendar.utc(datetime.fromisoformat(text))
    except ValueError:
        return None


def _back(request: PageRequest) -> HttpResponseRedirect:
    return redirect(reverse("tiers:forecast") + scope_of(request).query())
