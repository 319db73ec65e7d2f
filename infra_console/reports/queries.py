"""What the page of reports shows."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from infra_console.reports.making import cron_and_zone
from infra_console.reports.models import Report, Schedule
from infra_console.reports.sections import Kind
from infra_console.reports.services import Draft
from infra_console.reports.slots import WEEKDAYS, next_slot

NEWEST = 30


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A schedule as the form shows it; `next_at` is None while it is off."""

    draft: Draft
    next_at: datetime | None
    changed_by: str

    @property
    def recipients(self) -> str:
        return "\n".join(self.draft.recipients)


def schedule_rows(*, now: datetime) -> list[ScheduleRow]:
    """Both schedules, with defaults where none was ever kept."""
    kept = {s.kind: s for s in Schedule.objects.select_related("task__crontab")}
    return [_row(kind, kept.get(kind), now) for kind in Kind]


def _row(kind: Kind, row: Schedule | None, now: datetime) -> ScheduleRow:
    if row is None:
        return ScheduleRow(Draft(kind), None, "")
    cron, zone = cron_and_zone(row)
    minute, hour, _, _, weekday = cron.split()
    draft = Draft(
        kind=kind,
        enabled=row.task.enabled,
        at=f"{int(hour):02}:{int(minute):02}",
        weekday=weekday if weekday in WEEKDAYS else "mon",
        time_zone=zone,
        recipients=tuple(row.recipients),
    )
    due = next_slot(cron, zone, after=now) if row.task.enabled else None
    return ScheduleRow(draft, due, row.changed_by)


def newest_reports() -> list[Report]:
    """The newest reports with their deliveries, without their texts."""
    heavy = ("document", "html", "text", "csv", "pictures")
    return list(Report.objects.defer(*heavy).prefetch_related("deliveries")[:NEWEST])


def where_mails_go() -> str:
    """In words, for the page."""
    if settings.MAIL_SERVER is not None:
        return f"Mails are handed to {settings.MAIL_SERVER.name} as {settings.MAIL_FROM}."
    if settings.MAIL_FOLDER is not None:
        return (
            f"This demo sends nothing: its mails are written as .eml files to "
            f"{settings.MAIL_FOLDER}."
        )
    return (
        "No mail server is configured (INFRA_CONSOLE_SMTP_URL): reports are made and shown here, "
        "and nobody gets a mail."
    )
