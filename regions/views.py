"""Pages of the regions."""

from django.http import HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.overview.pages import render_page
from infra_console.overview.scope import scope_of
from regions.figures import map_figure
from regions.land import land_path
from regions.queries import region_states, rtt_table
from regions.what_if import RULES, what_if

PARTS = {
    "matrix": "regions/matrix.html",
    "rtt": "regions/rtt.html",
    "what-if": "regions/what_if.html",
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
    }
    return render_page(request, "regions/index.html", context, parts=PARTS)


@require_safe
@needs("view")
def chart(request: PageRequest) -> JsonResponse:
    """The map; a click on a region scopes the tiers page to it."""
    scope = scope_of(request)
    regions = region_states(only=scope.region)
    page = reverse("tiers:index")
    return JsonResponse(
        map_figure(regions, {r.id: page + scope.query(region=r.id) for r in regions})
    )


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
