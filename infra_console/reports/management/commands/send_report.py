"""`manage.py send_report daily|weekly`: make a report now and mail it, at most once a recipient."""

from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from infra_console.reports.delivering import NO_SERVER, deliver
from infra_console.reports.errors import ReportError
from infra_console.reports.mail import address, message_of
from infra_console.reports.making import add_deliveries, cron_and_zone, make, take_slot
from infra_console.reports.models import Delivery, DeliveryState, Report, ReportState, Schedule
from infra_console.reports.posting import write_eml
from infra_console.reports.sections import Kind
from infra_console.reports.slots import latest_slot

DEFAULT_CRON = {Kind.DAILY: "0 7 * * *", Kind.WEEKLY: "0 7 * * mon"}


class Command(BaseCommand):
    help = "Make a report and mail it: each slot at most once to each recipient."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=list(Kind))
        parser.add_argument("--to", action="append", default=[], help="instead of the schedule's")
        parser.add_argument("--eml", type=Path, help="write the mail here and send nothing")
        parser.add_argument("--slot", help="ISO time at which it ends (default: the newest slot)")

    def handle(self, *args: Any, **options: Any) -> None:
        kind = Kind(options["kind"])
        schedule = Schedule.objects.filter(kind=kind).select_related("task__crontab").first()
        try:
            recipients = [address(to) for to in options["to"]]
        except ReportError as err:
            raise CommandError(str(err)) from err
        recipients = recipients or list(schedule.recipients if schedule else [])
        eml: Path | None = options["eml"]
        if not recipients and eml is None:
            raise CommandError("Nobody would get it: give --to, --eml, or keep a schedule.")
        cron, zone = cron_and_zone(schedule) if schedule else (DEFAULT_CRON[kind], "UTC")
        slot = _slot(options["slot"], cron, zone)
        report = self._made(kind, slot, zone)
        if eml is not None:
            write_eml(message_of(report, recipients[0] if recipients else "you@localhost"), eml)
            self.stdout.write(f"{report.subject}: written to {eml}; nothing was sent.")
            return
        self._send(report, recipients)

    def _made(self, kind: Kind, slot: datetime, zone: str) -> Report:
        now = timezone.now()
        report = take_slot(kind, slot, time_zone=zone, by="system:shell", now=now)
        make(report.id, now=now)
        report.refresh_from_db()
        if report.state != ReportState.MADE:
            raise CommandError(f"{report} is {report.state}: {report.problem or 'try again'}.")
        return report

    def _send(self, report: Report, recipients: list[str]) -> None:
        if settings.MAIL_SERVER is None and settings.MAIL_FOLDER is None:
            raise CommandError(f"{NO_SERVER} (INFRA_CONSOLE_SMTP_URL); nothing was sent.")
        now = timezone.now()
        add_deliveries(report, recipients, now=now)
        ours = Delivery.objects.filter(report=report, recipient__in=recipients)
        for delivery in ours.filter(state=DeliveryState.WAITING).select_related("report"):
            try:
                deliver(delivery, now=now)
            except ReportError as err:
                self.stderr.write(str(err))
                break
        for delivery in ours:
            self.stdout.write(f"{delivery.recipient}: {delivery.state} {delivery.problem}".strip())
        if ours.exclude(state=DeliveryState.SENT).exists():
            raise CommandError("Not everybody got it; workers try again what may be tried again.")


def _slot(text: str | None, cron: str, zone: str) -> datetime:
    if not text:
        return latest_slot(cron, zone, at=timezone.now())
    try:
        slot = datetime.fromisoformat(text)
    except ValueError as err:
        raise CommandError(f"--slot: {text!r} is no ISO time.") from err
    slot = slot if slot.tzinfo else slot.replace(tzinfo=ZoneInfo(zone))
    if slot > timezone.now():
        raise CommandError("--slot: it lies in the future.")
    return slot
