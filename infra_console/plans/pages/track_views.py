"""The page of the console's own track record, and its figures."""

from datetime import timedelta

from django.http import Http404, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.overview.pages import render_page
from infra_console.overview.scope import scope_of
from infra_console.plans import clock
from infra_console.plans.pages.track_figures import kept_figure, ratio_figure
from infra_console.plans.settling.track_record import DAYS, SPANS, newest_settled, track_record

PLOTTED = 500  # settled plans whose promises are drawn one by one


@require_safe
@needs("view")
def page(request: PageRequest) -> HttpResponse:
    days, region = _days(request), scope_of(request).region
    harmful = request.GET.get("show") == "harmful"
    context = {
        "days": days,
        "spans": SPANS,
        "harmful": harmful,
        "record": lambda: track_record(days=days, region=region),
        "settled": lambda: newest_settled(days=days, region=region, harmful=harmful),
    }
    parts = {"track-record": "plans/track_tables.html"}
    return render_page(request, "plans/track_record.html", context, parts=parts)


@require_safe
@needs("view")
def figure(request: PageRequest, name: str) -> JsonResponse:
    days, region = _days(request), scope_of(request).region
    if name == "kept":
        return JsonResponse(kept_figure(track_record(days=days, region=region)))
    if name == "ratio":
        settled = newest_settled(days=days, region=region, limit=PLOTTED)
        since = clock.now() - timedelta(days=days)
        return JsonResponse(ratio_figure(settled, since=since))
    raise Http404


def _days(request: PageRequest) -> int:
    text = request.GET.get("days", "")
    return int(text) if text in {str(span) for span in SPANS} else DAYS
