"""A real mail server on loopback, and reports that need neither metrics nor a browser."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from infra_console.embedded.loopback import free_port
from infra_console.reports.mail_server import MailServer
from infra_console.reports.models import Report, Schedule
from infra_console.reports.sections import Column, Period, Section, table

SLOT = datetime(2026, 3, 4, 6, tzinfo=UTC)
HOSTILE = '<script>alert(1)</script>"&'
Hook = Callable[[str], Any]


def plain_section(period: Period) -> Section:
    """Hostile words, a formula, a number, and one that is unknown."""
    columns = (
        Column(title="=Node"),
        Column(title="Share", format="percent"),
        Column(title="GPUs", format="count"),
    )
    rows = [(HOSTILE, 0.8125, 1234), ("=cmd|'/c calc'!A1", None, 8)]
    return Section(
        key="plain", title="Nodes", sentences=(f"{HOSTILE} leads.",),
        tables=(table("By node", columns, rows),), missing=("the exporter of north",),
    )  # fmt: skip


class MailBox:
    """The server's side. What a hook returns is said to the client; None means yes."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self.on_rcpt: Hook = lambda recipient: None
        self.on_data: Hook = lambda recipient: None
        self.delay_s = 0.0
        self.drops = False

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        await asyncio.sleep(self.delay_s)
        said: str | None = self.on_rcpt(address)
        if said is None:
            envelope.rcpt_tos.append(address)
        return said or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        said: str | None = self.on_data(envelope.rcpt_tos[0])
        if said is None:
            mail = message_from_bytes(envelope.content, policy=policy.default)
            self.mails.append((list(envelope.rcpt_tos), mail))
        if self.drops:
            server.transport.abort()
        return said or "250 taken"

    @property
    def recipients(self) -> list[str]:
        return sorted(to for tos, _ in self.mails for to in tos)


@pytest.fixture
def mailbox(settings) -> Iterator[MailBox]:
    """A server that takes mails, and the settings that name it."""
    box = MailBox()
    port = free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    settings.MAIL_SERVER = MailServer("127.0.0.1", port, "smtp", timeout_s=0.5)
    settings.MAIL_FOLDER = None
    yield box
    controller.stop()


@pytest.fixture(autouse=True)
def plain_sections(settings) -> None:
    settings.REPORT_SECTIONS = [f"{__name__}.plain_section"]


def scheduled(
    *recipients: str, kind: str = "daily", cron: str = "0 6 * * *", zone: str = "UTC",
    since: datetime = datetime(2026, 3, 3, 12, tzinfo=UTC), on: bool = True,
) -> Schedule:  # fmt: skip
    minute, hour, _, _, day = cron.split()
    tab = CrontabSchedule.objects.create(minute=minute, hour=hour, day_of_week=day, timezone=zone)
    task = PeriodicTask.objects.create(
        name=f"reports {kind}", task="reports.tick", crontab=tab, enabled=on
    )
    return Schedule.objects.create(
        kind=kind, task=task, recipients=list(recipients), slots_from=since,
        changed_by="tester", changed_at=since,
    )  # fmt: skip


def report_row(*, slot: datetime = SLOT, **changes: Any) -> Report:
    values = {"kind": "daily", "time_zone": "UTC", "taken_at": slot} | changes
    return Report.objects.create(slot=slot, **values)
