"""The page of data sources: thin doors to services.py and health.py."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.access.roles import missing_right
from infra_console.fleet.queries import list_clusters
from infra_console.overview.pages import render_page
from infra_console.telemetry import services
from infra_console.telemetry.cards import source_cards
from infra_console.telemetry.drafts import SECRET_NAMES, Draft
from infra_console.telemetry.errors import SourceInvalid, SourceMissing
from infra_console.telemetry.expected import cap_words, expected_reading
from infra_console.telemetry.forms import FLAVOURS, Sizing, draft_from, sizing_from, values_of
from infra_console.telemetry.health import examine_and_note
from infra_console.telemetry.models import DataSource
from infra_console.telemetry.pace import Use
from infra_console.telemetry.sources import bound_row, caps_of, current_sources

NEW = services.ADDRESS_OF_NEW


@require_safe
@needs("view")
def index(request: PageRequest) -> HttpResponse:
    context = {
        "cards": source_cards,
        "orphans": _unowned(),
        "lacks_manage": missing_right(request.user, "source.manage"),
    }
    return render_page(request, "telemetry/sources.html", context)


@require_safe
@needs("source.manage")
def edit(request: PageRequest, source_id: str) -> HttpResponse:
    if source_id == NEW:
        return _form(request, None)
    row = DataSource.objects.filter(id=source_id).first()
    if row is None:
        raise Http404
    return _form(request, row)


@require_safe
@needs("source.manage")
def expected(request: PageRequest) -> HttpResponse:
    """What reading would cost of a source as the form stands; it is asked nothing."""
    return render(request, "telemetry/expected.html", _expected(sizing_from(request.GET)))


@require_POST
@sensitive_post_parameters(*SECRET_NAMES, "headers")
@needs("source.manage")
def save(request: PageRequest, source_id: str) -> HttpResponse:
    is_new, draft = source_id == NEW, None
    wanted = request.POST.get("id", "") if is_new else source_id
    try:
        draft = draft_from(request.POST, source_id=wanted)
        services.save_source(draft, by=request.user, new=is_new)
    except SourceMissing as err:
        raise Http404 from err
    except SourceInvalid as err:
        row = None if is_new else DataSource.objects.filter(id=source_id).first()
        return _form(request, draft or row, row=row, problems=err.problems)
    messages.success(request, f"The source {wanted} is kept. Test it to see what it has.")
    return redirect("sources:index")


def _expected(sizing: Sizing) -> dict[str, object]:
    """Without a cluster chosen, for all that no source owns yet."""
    chosen = sizing.clusters or tuple(_unowned()) or tuple(c.id for c in list_clusters())
    found = expected_reading(chosen, nodes=sizing.nodes)
    return {"expected": found, "cap_words": cap_words(found.total, sizing.caps)}


def _unowned() -> list[str]:
    owned = {cluster for source in current_sources() for cluster in source.clusters}
    return [c.id for c in list_clusters() if c.id not in owned]


def _form(
    request: PageRequest,
    shown: DataSource | Draft | None,
    *,
    row: DataSource | None = None,
    problems: list[str] | None = None,
) -> HttpResponse:
    row = shown if isinstance(shown, DataSource) else row
    context: dict[str, object] = {
        "row": row,
        "values": values_of(shown),
        "problems": problems or [],
        "flavours": FLAVOURS,
        "cluster_ids": [cluster.id for cluster in list_clusters()],
    }
    context |= _expected(
        Sizing(tuple(shown.clusters), None, caps_of(shown)) if shown else Sizing((), None, Use())
    )
    status = 400 if problems else 200
    return render_page(request, "telemetry/source_form.html", context, status=status)


@require_POST
@needs("source.manage")
def remove(request: PageRequest, source_id: str) -> HttpResponse:
    try:
        services.remove_source(source_id, by=request.user)
    except SourceMissing as err:
        raise Http404 from err
    messages.success(request, f"The source {source_id} and its credentials are gone.")
    return redirect("sources:index")


@require_POST
@needs("source.manage")
def test(request: PageRequest, source_id: str) -> HttpResponse:
    """Ask one source everything, now."""
    bound = next((s for s in current_sources() if s.id == source_id), None)
    if bound is None:
        row = DataSource.objects.filter(id=source_id).first()
        if row is None:
            raise Http404
        bound = bound_row(row)
    health, findings = examine_and_note(bound, now=timezone.now())
    context = {"source_id": source_id, "health": health, "findings": findings}
    template = "telemetry/findings.html" if request.htmx else "telemetry/tested.html"
    return render_page(request, template, context)
