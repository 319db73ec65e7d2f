"""The demand page."""

from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.overview.pages import render_page
from infra_console.overview.scope import scope_of
from tiers.core.demand.need import WORK_OFF_S
from tiers.demand_queries import demand_page

PARTS = {"demand": "tiers/demand_body.html"}  # apart from the page: it may wait for a source


@require_safe
@needs("view")
def demand(request: PageRequest) -> HttpResponse:
    scope, now = scope_of(request), timezone.now()
    context = {
        "page": lambda: demand_page(region=scope.region, tier=scope.tier, now=now),
        "work_off_min": WORK_OFF_S / 60,
    }
    return render_page(request, "tiers/demand.html", context, parts=PARTS)
