"""Pages of the fabric."""

from django.http import HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from fabric.core.errors import FabricInvalid
from fabric.errors import EmbedderLost, UnknownCollection
from fabric.figures import points_figure
from fabric.models import Collection
from fabric.queries import Tested, collection_rows, tested
from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.access.roles import roles_of
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
    }  # fmt: skip
    return render_page(request, "fabric/index.html", context, parts=PARTS)


@require_safe
@needs("view")
def chart(_request: PageRequest) -> JsonResponse:
    return JsonResponse(points_figure(collection_rows()))


def _tested(request: PageRequest, name: str, text: str) -> tuple[Tested | None, str]:
    try:
        return tested(name, text, roles=roles_of(request.user)), ""
    except (UnknownCollection, FabricInvalid, EmbedderLost) as err:
        return None, str(err)
