"""The handover page."""

from datetime import timedelta

from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.overview.pages import render_page
from infra_console.overview.scope import scope_of
from tiers.handover import deeds, fleet_changes, since_of
from tiers.outlook import HORIZON, outlook

HOURS = (4, 8, 12, 24)
PARTS = {"ahead": "tiers/ahead.html"}  # apart from the page: it may wait for a metric source


@require_safe
@needs("view")
def handover(request: PageRequest) -> HttpResponse:
    scope, now = scope_of(request), timezone.now()
    since = since_of(request.GET.get("since", ""), now=now)
    context = {
        "since": since,
        "until": now + HORIZON,
        "choices": [(h, f"{now - timedelta(hours=h):%Y-%m-%dT%H:%M}") for h in HOURS],
        "deeds": lambda: deeds(since=since, region=scope.region),
        "changes": lambda: fleet_changes(since=since, region=scope.region),
        "ahead": lambda: outlook(region=scope.region, tier=scope.tier, now=now),
    }
    return render_page(request, "tiers/handover.html", context, parts=PARTS)
