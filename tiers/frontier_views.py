"""The frontier page: what latency costs, what another point would move, and which one stands."""

from functools import cache
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse, JsonResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.access.roles import missing_right
from infra_console.overview.pages import render_page
from tiers.errors import ReasonMissing
from tiers.figures import Figure
from tiers.frontier_figure import frontier_figure
from tiers.frontier_form import assumptions_of, choice_of
from tiers.frontier_pages import FrontierView, frontier_view
from tiers.policy import lift_policy, set_policy
from tiers.services import request_cycle


@require_safe
@needs("view")
def frontier(request: PageRequest) -> HttpResponse:
    found = cache(lambda: frontier_view(request.GET))
    context = {
        "frontier": found,
        # The page asks for its chart by itself; a part brings it along, computed once.
        "figure": lambda: _figure(request.GET, found()) if request.htmx else None,
        "chart_query": request.GET.urlencode(),
        "assumptions": assumptions_of(request.GET),
        "lacks_propose": missing_right(request.user, "plan.propose"),
    }
    return render_page(
        request, "tiers/frontier.html", context, parts={"frontier": "tiers/frontier_body.html"}
    )


@require_safe
@needs("view")
def frontier_chart(request: PageRequest) -> JsonResponse:
    return JsonResponse(_figure(request.GET, frontier_view(request.GET)))


def _figure(query: QueryDict, found: FrontierView | None) -> Figure:
    if found is None:
        empty = "No cycle has planned yet: the frontier is that of the last planned snapshot."
        return {"data": [], "layout": {}, "problem": empty}
    return frontier_figure(
        found.report,
        chosen=found.chosen,
        query=assumptions_of(query),
        budget=found.budget,
        problem=f"{found.problem}.",
        address=reverse("tiers:frontier"),
    )


@require_POST
@needs("plan.propose")
def frontier_choose(request: PageRequest) -> HttpResponse:
    """Plan for the chosen point: once, or in every cycle until it is changed."""
    by, reason = request.user.get_username(), request.POST.get("reason", "").strip()
    choice = choice_of(request.POST)
    if choice is None:
        messages.error(request, "No point was chosen, so nothing was asked for.")
    elif request.POST.get("keep") == "standing":
        try:
            set_policy(choice, by=by, reason=reason)
        except ReasonMissing as err:
            messages.error(request, str(err))
        else:
            request_cycle(by=by)
            messages.success(
                request, "Every cycle follows this point from now on; the first was asked for."
            )
    else:
        request_cycle(by=by, chosen={"choice": choice.document(), "reason": reason})
        messages.success(
            request,
            "A cycle for this point was asked for. Its plans name you as their author, so "
            "somebody else approves them.",
        )
    return redirect(_address(request.POST))


@require_POST
@needs("plan.propose")
def frontier_lift(request: PageRequest) -> HttpResponse:
    """Let cycles plan by forecast and money alone again."""
    try:
        lifted = lift_policy(by=request.user.get_username(), reason=request.POST.get("reason", ""))
    except ReasonMissing as err:
        messages.error(request, str(err))
    else:
        text = "The standing policy is lifted." if lifted else "No policy stood any more."
        messages.success(request, text)
    return redirect("tiers:frontier")


def _address(posted: QueryDict) -> str:
    query = assumptions_of(posted)
    point = str(posted.get("point", ""))
    if point.isdecimal():
        query["point"] = point
    return f"{reverse('tiers:frontier')}?{urlencode(query)}"
