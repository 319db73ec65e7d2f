"""The ledger page, and the contract list that it is held against."""

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
from infra_console.fleet.imports import import_reservations
from infra_console.fleet.tables import ReservationRow, read_table
from infra_console.overview.pages import render_page
from infra_console.overview.scope import scope_of
from tiers import ledger_queries
from tiers.core.ledger import LEDGER_STATES
from tiers.core.ledger_table import GROUPS
from tiers.figures import ledger_bar
from tiers.uploads import uploaded

PARTS = {"ledger": "tiers/ledger_body.html"}


@require_safe
@needs("view")
def ledger(request: PageRequest) -> HttpResponse:
    scope = scope_of(request)
    by, state = request.GET.get("by", ""), request.GET.get("state", "")
    by = by if by in GROUPS else GROUPS[0]
    state = state if state in LEDGER_STATES else ""
    page = ledger_queries.ledger_page(by=by, region=scope.region, state=state)
    context = {
        "page": page,
        "bar": ledger_bar(page.totals) if page and page.totals else None,
        "by": by,
        "state": state,
        "groups": GROUPS,
        "states": [s for s in LEDGER_STATES if page and s in page.totals],
        "waiting": lambda: ledger_queries.waiting_work(region=scope.region, tier=scope.tier),
        "lacks_manage": missing_right(request.user, "fleet.manage"),
    }
    return render_page(request, "tiers/ledger_page.html", context, parts=PARTS)


@require_POST
@needs("fleet.manage")
def reservations(request: PageRequest) -> HttpResponse:
    try:
        name, data = uploaded(request)
        rows = read_table(data, name=name, row=ReservationRow)
        by = request.user.get_username()
        count = import_reservations(rows, source=name, by=by, now=timezone.now())
    except TableInvalid as err:
        messages.error(request, f"{err}. The contract list stays as it was.")
    else:
        messages.success(request, f"The contract list holds {count} reservations of {name}.")
    return redirect(reverse("tiers:ledger") + scope_of(request).query())
