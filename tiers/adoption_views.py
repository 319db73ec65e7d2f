"""The adoption page: what was found, what no rule places, the rules, the proposed fleet file."""

from django.contrib import messages
from django.db.models import ProtectedError
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.access.roles import missing_right
from infra_console.fleet.errors import FleetFileInvalid
from infra_console.overview.pages import render_page
from tiers import adopting, services
from tiers.core.adoption import adopt
from tiers.errors import RulesInvalid

MOST_TEXT = 1_000_000


@require_safe
@needs("view")
def adoption(request: PageRequest) -> HttpResponse:
    return _page(request)


def _page(
    request: PageRequest,
    *,
    rules: str | None = None,
    proposal: str | None = None,
    status: int = 200,
) -> HttpResponse:
    """The page, with what a person typed kept where it was refused."""
    look = adopting.last_look()
    context: dict[str, object] = {
        "lacks_manage": missing_right(request.user, "fleet.manage"),
        "rules": adopting.rules_text(adopting.own_rules()) if rules is None else rules,
    }
    if look:
        found, looked_at, looked_by = look
        in_force = adopting.current_rules()
        result = adopt(found, in_force)
        text = adopting.proposal_of(found, result, in_force) if proposal is None else proposal
        context |= {
            "found": found, "looked_at": looked_at, "looked_by": looked_by, "result": result,
            "proposal": text, "lacks": _lacks(text),
        }  # fmt: skip
    return render_page(request, "tiers/adoption.html", context, status=status)


def _lacks(text: str) -> str:
    """What the fleet file still lacks, or an empty string."""
    try:
        adopting.parse_fleet(text)
    except FleetFileInvalid as err:
        return err.problem
    return ""


@require_POST
@needs("fleet.manage")
def look_again(request: PageRequest) -> HttpResponse:
    services.request_look(by=request.user.get_username())
    messages.success(request, "A look was asked for; what it finds appears here within a minute.")
    return redirect("tiers:adoption")


@require_POST
@needs("fleet.manage")
def save_rules(request: PageRequest) -> HttpResponse:
    text = request.POST.get("rules", "")[:MOST_TEXT]
    try:
        adopting.save_rules(text, by=request.user.get_username())
    except RulesInvalid as err:
        messages.error(request, f"The rules stay as they were: {err}")
        return _page(request, rules=text, status=400)
    messages.success(request, "The rules hold from now on; nothing was written to a cluster.")
    return redirect("tiers:adoption")


@require_POST
@needs("fleet.manage")
def apply(request: PageRequest) -> HttpResponse:
    text = request.POST.get("proposal", "")[:MOST_TEXT]
    try:
        config = adopting.apply_proposal(text, by=request.user.get_username())
    except (FleetFileInvalid, ProtectedError) as err:
        problem = err.problem if isinstance(err, FleetFileInvalid) else f"still in use: {err}"
        messages.error(request, f"The fleet stays as it was: {problem}")
        return _page(request, proposal=text, status=400)
    messages.success(
        request, f"Applied: {len(config.clusters)} clusters, {len(config.pools)} pools."
    )
    return redirect("tiers:adoption")
