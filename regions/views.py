"""Pages of the regions."""

from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_POST, require_safe

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.access.roles import missing_right
from infra_console.fleet.queries import list_regions
from infra_console.overview.pages import render_page
from infra_console.overview.scope import scope_of
from regions.core.errors import UnknownRegion
from regions.figures import map_figure
from regions.land import land_path
from regions.queries import region_states, rtt_table
from regions.route_figures import arc_traces, ring_traces
from regions.route_queries import arcs, lost_and_drained, route_table
from regions.services import ask_for_routes, drain, open_again
from regions.what_if import RULES, what_if

PARTS = {
    "matrix": "regions/matrix.html",
    "rtt": "regions/rtt.html",
    "what-if": "regions/what_if.html",
    "routes": "regions/routes.html",
}
LAND_MAX_AGE_S = 86_400


@require_safe
@needs("view")
def index(request: PageRequest) -> HttpResponse:
    only = scope_of(request).region
    lost, rule = request.GET.get("lost", ""), request.GET.get("rule", "")
    context = {
        "regions": lambda: region_states(only=only),
        "rtt": rtt_table,
        "rules": RULES,
        "question": lambda: what_if(lost, rule),
        "routes": route_table,
        "names": lambda: [region.id for region in list_regions()],
        "lacks_propose": missing_right(request.user, "plan.propose"),
    }
    return render_page(request, "regions/index.html", context, parts=PARTS)


@require_safe
@needs("view")
def chart(request: PageRequest) -> JsonResponse:
    """The map; a click on a region scopes the tiers page to it."""
    scope = scope_of(request)
    regions = region_states(only=scope.region)
    page = reverse("tiers:index")
    figure = map_figure(regions, {r.id: page + scope.query(region=r.id) for r in regions})
    lost, drained = lost_and_drained()
    under, over = arc_traces(*arcs(), regions), ring_traces(lost, drained, regions)
    return JsonResponse({**figure, "data": [*under, *figure["data"], *over]})


@require_POST
@needs("plan.propose")
def propose(request: PageRequest) -> HttpResponse:
    ask_for_routes(by=request.user)
    return redirect("regions:index")


@require_POST
@needs("plan.propose")
def drain_region(request: PageRequest) -> HttpResponse:
    try:
        drain(
            request.POST.get("region", ""), by=request.user, reason=request.POST.get("reason", "")
        )
    except UnknownRegion as err:
        raise Http404(str(err)) from err
    return redirect("regions:index")


@require_POST
@needs("plan.propose")
def open_region(request: PageRequest) -> HttpResponse:
    open_again(request.POST.get("region", ""), by=request.user)
    return redirect("regions:index")


@require_safe
@cache_control(private=True, max_age=LAND_MAX_AGE_S)
@needs("view")
def land(_request: PageRequest) -> HttpResponse:
    """The thumbnail's land as a mask: the page gives it the theme's colour."""
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 360 180">'
        f'<path fill-rule="evenodd" d="{land_path()}"/></svg>'
    )
    return HttpResponse(svg, content_type="image/svg+xml")
