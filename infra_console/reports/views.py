"""The page of reports: thin doors to services.py and queries.py."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.access.roles import missing_right
from infra_console.overview.pages import render_page
from infra_console.reports import queries, services
from infra_console.reports.errors import ReportError
from infra_console.reports.models import Report, ReportState
from infra_console.reports.rendering import with_data_uris
from infra_console.reports.sections import Kind
from infra_console.reports.slots import WEEKDAYS


@require_safe
@needs("view")
def index(request: PageRequest) -> HttpResponse:
    context = {
        "schedules": lambda: queries.schedule_rows(now=timezone.now()),
        "weekdays": WEEKDAYS,
        "reports": queries.newest_reports,
        "where": queries.where_mails_go(),
        "lacks_manage": missing_right(request.user, services.RIGHT),
    }
    parts = {"reports": "reports/list.html"}
    return render_page(request, "reports/index.html", context, parts=parts)


@require_POST
@needs("report.manage")
def schedule(request: PageRequest, kind: str) -> HttpResponse:
    form = request.POST
    draft = services.Draft(
        kind=kind,
        enabled="enabled" in form,
        at=form.get("at", ""),
        weekday=form.get("weekday", "mon"),
        time_zone=form.get("time_zone", "").strip(),
        # Not splitlines(): it would take exotic line breaks for honest ones.
        recipients=tuple(
            line for line in form.get("recipients", "").replace("\r\n", "\n").split("\n") if line
        ),
    )
    try:
        services.save_schedule(draft, by=request.user)
    except ReportError as err:
        messages.error(request, f"Nothing was changed: {err}.")
    else:
        messages.success(request, f"The {kind} report's schedule is kept.")
    return redirect("reports:index")


@require_POST
@needs("report.manage")
def make(request: PageRequest, kind: str) -> HttpResponse:
    if kind not in list(Kind):
        raise Http404
    services.ask_report(Kind(kind), by=request.user)
    messages.success(request, "A worker makes it now; it comes to this page by itself.")
    return redirect("reports:index")


@require_POST
@needs("report.manage")
def again(request: PageRequest, delivery_id: int) -> HttpResponse:
    try:
        services.send_again(delivery_id, by=request.user)
    except ReportError as err:
        messages.error(request, str(err))
    else:
        messages.success(request, "It is sent once more.")
    return redirect("reports:index")


@require_safe
@needs("view")
def mail(request: PageRequest, report_id: int) -> HttpResponse:
    """The mail's HTML, byte for byte, but for pictures: a browser knows no cid."""
    report = _made(report_id)
    return HttpResponse(with_data_uris(report.html, report.pictures))


@require_safe
@needs("view")
def text(request: PageRequest, report_id: int) -> HttpResponse:
    return HttpResponse(_made(report_id).text, content_type="text/plain; charset=utf-8")


@require_safe
@needs("view")
def csv(request: PageRequest, report_id: int) -> HttpResponse:
    report = _made(report_id)
    name = f"{report.kind}-{report.slot:%Y%m%dT%H%MZ}.csv"
    return HttpResponse(
        report.csv.encode("utf-8-sig"),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _made(report_id: int) -> Report:
    return get_object_or_404(Report, id=report_id, state=ReportState.MADE)
