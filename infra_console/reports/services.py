"""What people do with reports: keep the schedule, ask for one, send a mail again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from zoneinfo import available_timezones

from celery import current_app
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from infra_console.access.roles import missing_right
from infra_console.audit.services import record_audit
from infra_console.live.services import publish
from infra_console.reports.errors import (
    AddressInvalid,
    NotAllowed,
    NothingToResend,
    ScheduleInvalid,
)
from infra_console.reports.mail import address
from infra_console.reports.making import RETRY_FOR, take_due, take_slot
from infra_console.reports.models import Delivery, DeliveryState, Report, Schedule
from infra_console.reports.sections import Kind
from infra_console.reports.slots import WEEKDAYS, cron_of

RIGHT = "report.manage"
TICK = "reports.tick"
MOST_RECIPIENTS = 50
EXPIRES_S = 300


@dataclass(frozen=True, slots=True)
class Draft:
    """A schedule as somebody wrote it, before it is checked."""

    kind: str
    enabled: bool = False
    at: str = "07:00"
    weekday: str = "mon"
    time_zone: str = "UTC"
    recipients: Sequence[str] = ()


def save_schedule(draft: Draft, *, by: User, now: datetime | None = None) -> Schedule:
    """Keep a schedule; it counts from now on. Slots that are due by then are taken first.

    Raises:
        NotAllowed, ScheduleInvalid: see each; nothing was changed.
    """
    _require(by)
    moment = now or timezone.now()
    kind, hour, minute, recipients = _checked(draft)
    take_due(now=moment)
    with transaction.atomic():
        task = _task(kind, draft, cron_of(kind, hour=hour, minute=minute, weekday=draft.weekday))
        row, _ = Schedule.objects.update_or_create(
            kind=kind,
            defaults={
                "task": task, "recipients": recipients, "slots_from": moment,
                "changed_by": by.get_username(), "changed_at": moment,
            },
        )  # fmt: skip
        publish("report", kind, 1)
        record_audit(
            actor=by.get_username(), action="report.scheduled", object_kind="report",
            object_id=kind,
            detail={
                "enabled": draft.enabled, "at": draft.at, "time_zone": draft.time_zone,
                "weekday": draft.weekday, "recipients": recipients,
            },
        )  # fmt: skip
    return row


def _checked(draft: Draft) -> tuple[Kind, int, int, list[str]]:
    problems = []
    if draft.kind not in list(Kind):
        problems.append("a report is daily or weekly")
    try:
        at = datetime.strptime(draft.at, "%H:%M")
    except ValueError:
        at = datetime.min
        problems.append("the time must look like 07:00")
    if draft.weekday not in WEEKDAYS:
        problems.append("there is no such weekday")
    if draft.time_zone not in available_timezones():
        problems.append(f"there is no time zone {draft.time_zone[:63]!r}")
    recipients: list[str] = []
    for text in draft.recipients:
        try:
            recipients.append(address(text))
        except AddressInvalid as err:
            problems.append(str(err))
    if len(set(recipients)) > MOST_RECIPIENTS:
        problems.append(f"at most {MOST_RECIPIENTS} recipients: use a mailing list")
    if draft.enabled and not draft.recipients:
        problems.append("somebody must get it: name a recipient, or turn it off")
    if problems:
        raise ScheduleInvalid(problems)
    return Kind(draft.kind), at.hour, at.minute, list(dict.fromkeys(recipients))


def _task(kind: Kind, draft: Draft, cron: str) -> PeriodicTask:
    """The beat's entry, which makes the slot prompt; the tick of each minute makes it certain."""
    minute, hour, _, _, weekday = cron.split()
    tab, _ = CrontabSchedule.objects.get_or_create(
        minute=minute, hour=hour, day_of_week=weekday, day_of_month="*", month_of_year="*",
        timezone=draft.time_zone,
    )  # fmt: skip
    task, _ = PeriodicTask.objects.get_or_create(
        name=f"reports {kind}", defaults={"task": TICK, "crontab": tab, "enabled": False}
    )
    task.crontab, task.enabled, task.expire_seconds = tab, draft.enabled, EXPIRES_S
    task.save()  # not update(): its save tells beat that the schedule changed
    return task


@transaction.atomic
def ask_report(kind: Kind, *, by: User, now: datetime | None = None) -> Report:
    """Have a report made of the time until now, to be read here; nobody gets a mail.

    Raises:
        NotAllowed: the user may not; nothing was asked for.
    """
    _require(by)
    moment = (now or timezone.now()).replace(microsecond=0)
    row = Schedule.objects.filter(kind=kind).select_related("task__crontab").first()
    zone = str(row.task.crontab.timezone) if row and row.task.crontab else "UTC"
    report = take_slot(kind, moment, time_zone=zone, by=by.get_username(), now=moment)
    transaction.on_commit(partial(current_app.send_task, TICK), robust=True)
    record_audit(
        actor=by.get_username(), action="report.asked", object_kind="report",
        object_id=str(report.id), detail={"kind": kind},
    )  # fmt: skip
    return report


@transaction.atomic
def send_again(delivery_id: int, *, by: User, now: datetime | None = None) -> None:
    """Send a mail that failed or is unclear once more, because a person says so.

    Raises:
        NotAllowed, NothingToResend: see each; nothing was changed.
    """
    _require(by)
    moment = now or timezone.now()
    ended = Delivery.objects.filter(
        id=delivery_id, state__in=(DeliveryState.FAILED, DeliveryState.UNCLEAR)
    )
    if not ended.update(
        state=DeliveryState.WAITING, attempts=0, next_try_at=moment, problem="",
        give_up_at=moment + RETRY_FOR, asked_by=by.get_username(),
    ):  # fmt: skip
        raise NothingToResend
    publish("report", "again", delivery_id)
    transaction.on_commit(partial(current_app.send_task, TICK), robust=True)
    record_audit(
        actor=by.get_username(), action="report.sent_again", object_kind="report_delivery",
        object_id=str(delivery_id), detail={},
    )  # fmt: skip


def _require(by: User) -> None:
    if missing := missing_right(by, RIGHT):
        raise NotAllowed(missing)
