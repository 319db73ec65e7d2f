"""The frontier page: what latency costs, and what would have to move for another point."""

from django.http import HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.overview.pages import render_page
from tiers.frontier_figure import frontier_figure
from tiers.frontier_pages import FrontierView, frontier_view

ASSUMPTIONS = ("demand", "slo", "spot", "lost", "others")


@require_safe
@needs("view")
def frontier(request: PageRequest) -> HttpResponse:
    context = {
        "frontier": lambda: frontier_view(request.GET),
        "chart_query": request.GET.urlencode(),
        "assumptions": _assumptions(request),
    }
    return render_page(
        request, "tiers/frontier.html", context, parts={"frontier": "tiers/frontier_body.html"}
    )


@require_safe
@needs("view")
def frontier_chart(request: PageRequest) -> JsonResponse:
    found: FrontierView | None = frontier_view(request.GET)
    if found is None:
        empty = "No cycle has planned yet: the frontier is that of the last planned snapshot."
        return JsonResponse({"data": [], "layout": {}, "problem": empty})
    return JsonResponse(
        frontier_figure(
            found.report,
            chosen=found.chosen,
            query=_assumptions(request),
            address=reverse("tiers:frontier"),
        )
    )


def _assumptions(request: PageRequest) -> dict[str, str]:
    return {name: request.GET[name] for name in ASSUMPTIONS if request.GET.get(name)}
