"""Pages of the fabric."""

from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from fabric.core.errors import FabricInvalid
from fabric.errors import EmbedderLost, StoreError, UnknownCollection
from fabric.figures import points_figure
from fabric.models import Collection
from fabric.queries import Tested, collection_rows, tested
from fabric.rebuild_plans import propose_rebuild
from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.access.roles import missing_right, roles_of
from infra_console.overview.pages import render_page

PARTS = {"stores": "fabric/stores.html", "answer": "fabric/answer.html"}
MAX_QUESTION = 2_000


@require_safe
@needs("view")
def index(request: PageRequest) -> HttpResponse:
    name, text = request.GET.get("collection", ""), request.GET.get("q", "")[:MAX_QUESTION].strip()
    result, problem = _tested(request, name, text) if text else (None, "")
    context = {
        "rows": collection_rows, "collections": Collection.objects.all(), "asked": text,
        "chosen": name, "tested": result, "problem": problem,
        "lacks_propose": missing_right(request.user, "plan.propose"),
    }  # fmt: skip
    return render_page(request, "fabric/index.html", context, parts=PARTS)


@require_POST
@needs("plan.propose")
def rebuild(request: PageRequest) -> HttpResponse:
    """The parameters that the form gives, as a plan; where they do not fit, the page says why."""
    given = request.POST
    try:
        wanted = {name: _whole(name, given[name]) for name in given.getlist("parameter")
                  if name in given}  # fmt: skip
        plan = propose_rebuild(
            given.get("collection", ""), given.get("store", ""), wanted, by=request.user
        )
    except (UnknownCollection, FabricInvalid, StoreError) as err:
        messages.error(request, f"Nothing was proposed. {err}")
        return redirect("fabric:index")
    return redirect("plans:detail", plan.id)


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as err:
        raise FabricInvalid(name, "a whole number") from err


@require_safe
@needs("view")
def chart(_request: PageRequest) -> JsonResponse:
    return JsonResponse(points_figure(collection_rows()))


def _tested(request: PageRequest, name: str, text: str) -> tuple[Tested | None, str]:
    try:
        return tested(name, text, roles=roles_of(request.user)), ""
    except (UnknownCollection, FabricInvalid, EmbedderLost) as err:
        return None, str(err)
