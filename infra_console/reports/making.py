"""From a slot to a report that is kept, once, whoever asks and however often.

A slot is taken by a unique row. Of several that were missed the newest is made, late; the others
are shown as skipped. A worker that dies while it makes a report loses nothing: the next one makes
it again, and mails are there only when the report is.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet

from infra_console.live.services import publish
from infra_console.reports import slots
from infra_console.reports.collecting import collect
from infra_console.reports.models import Delivery, Report, ReportState, Schedule
from infra_console.reports.pictures import draw
from infra_console.reports.rendering import as_csv, as_html, as_text, subject_of
from infra_console.reports.sections import Kind

log = logging.getLogger(__name__)

LATE_AFTER = timedelta(minutes=5)
MAKING_LOST_AFTER = timedelta(minutes=15)
MOST_ATTEMPTS = 3
MOST_SKIPPED = 60  # rows for a console that was away for long
RETRY_FOR = timedelta(hours=24)
SKIPPED = "it was missed, and a newer one was due by the time that the console was back"


def take_due(*, now: datetime) -> int:
    """Take every slot that is due; how many rows are new."""
    schedules = Schedule.objects.filter(task__enabled=True).select_related("task__crontab")
    return sum(_take(schedule, now) for schedule in schedules)


@transaction.atomic
def _take(schedule: Schedule, now: datetime) -> int:
    cron, zone = cron_and_zone(schedule)
    # Rows that a person asked for are no sign that the schedule's were taken.
    own = Report.objects.filter(kind=schedule.kind, asked_by="", slot__gte=schedule.slots_from)
    newest = own.order_by("-slot").values_list("slot", flat=True).first()
    after = newest or schedule.slots_from
    due = slots.slots_between(cron, zone, after=after, until=now)[-MOST_SKIPPED:]
    rows = [
        Report(
            kind=schedule.kind, slot=slot, time_zone=zone, taken_at=now,
            recipients=schedule.recipients,
            state=ReportState.DUE if slot == due[-1] else ReportState.SKIPPED,
            problem="" if slot == due[-1] else SKIPPED,
        )
        for slot in due
    ]  # fmt: skip
    Report.objects.bulk_create(rows, ignore_conflicts=True)
    if due:
        _adopt(schedule, due[-1], now)
        publish("report", schedule.kind, 1)
    return len(due)


def _adopt(schedule: Schedule, slot: datetime, now: datetime) -> None:
    """A slot whose report a person asked for before is the schedule's all the same."""
    asked = Report.objects.filter(kind=schedule.kind, slot=slot).exclude(asked_by="")
    for report in asked.select_for_update():
        Report.objects.filter(id=report.id).update(asked_by="", recipients=schedule.recipients)
        if report.state == ReportState.MADE:
            add_deliveries(report, schedule.recipients, now=now)


def cron_and_zone(schedule: Schedule) -> tuple[str, str]:
    """A schedule's crontab line and time zone."""
    tab = schedule.task.crontab
    if tab is None:
        raise LookupError(f"{schedule} has lost its crontab")
    return f"{tab.minute} {tab.hour} * * {tab.day_of_week}", str(tab.timezone)


def take_slot(kind: Kind, slot: datetime, *, time_zone: str, by: str, now: datetime) -> Report:
    """The report of a slot that a person asks for: the one that is there, else a new one.

    One that was skipped or failed is made after all, for nobody but whom the person names.
    """
    report, _ = Report.objects.get_or_create(
        kind=kind, slot=slot, defaults={"time_zone": time_zone, "taken_at": now, "asked_by": by}
    )
    ended = Report.objects.filter(id=report.id, state__in=(ReportState.SKIPPED, ReportState.FAILED))
    if ended.update(state=ReportState.DUE, problem="", attempts=0, recipients=[]):
        report.refresh_from_db()
    return report


def make_due(*, now: datetime) -> int:
    """Make every report whose slot is taken; how many were made."""
    lost = Q(state=ReportState.MAKING, making_at__lt=now - MAKING_LOST_AFTER)
    waiting = Report.objects.filter(Q(state=ReportState.DUE) | lost).order_by("slot")
    return sum(make(report.id, now=now) for report in waiting.only("id")[:10])


def make(report_id: int, *, now: datetime) -> bool:
    """Make one report unless another worker is at it; whether it was made."""
    lost = Q(state=ReportState.MAKING, making_at__lt=now - MAKING_LOST_AFTER)
    free = Report.objects.filter(Q(state=ReportState.DUE) | lost, id=report_id)
    if not free.update(state=ReportState.MAKING, making_at=now, attempts=F("attempts") + 1):
        return False
    report = Report.objects.get(id=report_id)
    try:
        _make(report, now)
    except Exception:  # a report is owed: it is tried again, and said when it cannot be made
        log.exception("%s could not be made", report)
        again = report.attempts < MOST_ATTEMPTS
        _ours(report).update(
            state=ReportState.DUE if again else ReportState.FAILED,
            problem="it could not be made; the worker's log says how",
        )
        publish("report", str(report.id), 1)
        return False
    return True


def _make(report: Report, now: datetime) -> None:
    late = now - report.slot if not report.asked_by and now - report.slot > LATE_AFTER else None
    period = slots.period_of(Kind(report.kind), report.slot, report.time_zone)
    late_s = late.total_seconds() if late else None
    document = collect(period, time_zone=report.time_zone, now=now, late_s=late_s)
    pictures, problem = draw(document)
    values = {
        "document": document.model_dump(mode="json"),
        "subject": subject_of(document),
        "html": as_html(document, drawn=pictures, problem=problem),
        "text": as_text(document, drawn=pictures, problem=problem),
        "csv": as_csv(document),
        "pictures": pictures,
    }
    with transaction.atomic():
        if _ours(report).update(
            state=ReportState.MADE, made_at=now, late_s=late_s, problem=problem, **values
        ):
            # Read again: the schedule may have taken the slot over meanwhile.
            report.refresh_from_db(fields=["recipients"])
            add_deliveries(report, report.recipients, now=now)
            publish("report", str(report.id), 1)


def _ours(report: Report) -> QuerySet[Report]:
    """The row while nobody took it from us."""
    return Report.objects.filter(id=report.id, state=ReportState.MAKING, making_at=report.making_at)


def add_deliveries(report: Report, recipients: Iterable[str], *, now: datetime) -> None:
    """One delivery for each recipient that has none of this report yet."""
    rows = [
        Delivery(report=report, recipient=to, next_try_at=now, give_up_at=now + RETRY_FOR)
        for to in dict.fromkeys(recipients)
    ]
    Delivery.objects.bulk_create(rows, ignore_conflicts=True)
