"""The prices page: what GPUs and tokens cost, and the price book."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.access.roles import missing_right
from infra_console.fleet.errors import TableInvalid
from infra_console.fleet.imports import import_prices
from infra_console.fleet.tables import PriceRow, read_table
from infra_console.overview.pages import render_page
from infra_console.overview.scope import scope_of
from tiers.cost_queries import BYS, cost_page
from tiers.uploads import uploaded

PARTS = {"costs": "tiers/costs.html"}  # apart from the page: it may wait for a metric source


@require_safe
@needs("view")
def prices(request: PageRequest) -> HttpResponse:
    scope = scope_of(request)
    asked = request.GET.get("by", "")
    by = next((b for b in BYS if b == asked), BYS[0])
    context = {
        "by": by,
        "bys": BYS,
        "page": lambda: cost_page(by=by, region=scope.region, now=timezone.now()),
        "lacks_manage": missing_right(request.user, "fleet.manage"),
    }
    return render_page(request, "tiers/prices.html", context, parts=PARTS)


@require_POST
@needs("fleet.manage")
def prices_import(request: PageRequest) -> HttpResponse:
    try:
        name, data = uploaded(request)
        rows = read_table(data, name=name, row=PriceRow)
        by = request.user.get_username()
        changed = import_prices(rows, source=name, by=by, now=timezone.now())
    except TableInvalid as err:
        messages.error(request, f"{err}. The price book stays as it was.")
    else:
        messages.success(request, f"{len(rows)} prices of {name} read, {changed} new or changed.")
    return redirect(reverse("tiers:prices") + scope_of(request).query())
