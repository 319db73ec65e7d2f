"""Mails under way: at most one to each recipient of a slot, and what came of each is told.

`sending` is committed before the first word to the mail server. A worker that dies in between
leaves it there; it becomes `unclear` and is never repeated by itself. What the server refused for
now is tried again for a day, ever more seldom.
"""

import logging
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F

from infra_console.live.services import publish
from infra_console.reports.errors import (
    AddressInvalid,
    HeaderUnsafe,
    MailDeferred,
    MailRefused,
    MailUnclear,
    ServerAway,
)
from infra_console.reports.mail import message_of
from infra_console.reports.models import Delivery, DeliveryState
from infra_console.reports.posting import post, write_eml

log = logging.getLogger(__name__)

NO_SERVER = "no mail server is configured"
LOST = "the worker died while it sent: the mail may or may not have been taken"
LOST_AFTER = timedelta(minutes=10)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
# A slow server must not keep a worker for long; the next tick goes on.
BUDGET_S = 45.0


def pause_after(attempts: int) -> timedelta:
    """1, 2, 4, … minutes, at most an hour."""
    doublings = min(max(attempts - 1, 0), 10)
    return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << doublings))


def flag_lost(*, now: datetime) -> int:
    """Say of mails whose worker is gone that nobody knows."""
    stuck = Delivery.objects.filter(state=DeliveryState.SENDING, sending_at__lt=now - LOST_AFTER)
    flagged = stuck.update(state=DeliveryState.UNCLEAR, problem=LOST)
    if flagged:
        log.warning("%s mails of reports are unclear: their worker died", flagged)
        publish("report", "lost", 1)
    return flagged


def give_up(*, now: datetime) -> int:
    """End what was tried for a day."""
    old = Delivery.objects.filter(state=DeliveryState.WAITING, give_up_at__lte=now)
    return old.update(state=DeliveryState.FAILED, next_try_at=None)


def send_due(*, now: datetime, budget_s: float = BUDGET_S) -> int:
    """Send what is due; how many were taken by the server."""
    due = Delivery.objects.filter(state=DeliveryState.WAITING, next_try_at__lte=now)
    if settings.MAIL_SERVER is None and settings.MAIL_FOLDER is None:
        due.update(problem=NO_SERVER, next_try_at=now + LONGEST_PAUSE / 12)
        return 0
    begun, sent = time.monotonic(), 0
    for delivery in due.select_related("report").order_by("next_try_at", "id"):
        if time.monotonic() - begun > budget_s:
            break
        try:
            sent += deliver(delivery, now=now)
        except ServerAway as err:
            due.update(problem=err.words)  # one question tells of all
            break
    return sent


def deliver(delivery: Delivery, *, now: datetime) -> bool:
    """Send one mail unless somebody else does; whether the server took it.

    Raises:
        ServerAway: no mail can be sent now; this one waits.
    """
    with transaction.atomic(durable=True):
        waiting = Delivery.objects.filter(id=delivery.id, state=DeliveryState.WAITING)
        taken = waiting.update(
            state=DeliveryState.SENDING, sending_at=now, attempts=F("attempts") + 1
        )
    if not taken:
        return False
    delivery.refresh_from_db(fields=["attempts", "sending_at"])
    try:
        _hand_over(delivery)
    except (AddressInvalid, HeaderUnsafe, MailRefused) as err:
        _note(delivery, DeliveryState.FAILED, problem=str(err), next_try_at=None)
        return False
    except MailUnclear as err:
        words = f"the connection broke after the mail was handed over: {err.words}"
        _note(delivery, DeliveryState.UNCLEAR, problem=words, next_try_at=None)
        return False
    except (MailDeferred, ServerAway) as err:
        again = now + pause_after(delivery.attempts)
        _note(delivery, DeliveryState.WAITING, problem=err.words, next_try_at=again)
        if isinstance(err, ServerAway):
            raise
        return False
    _note(delivery, DeliveryState.SENT, problem="", sent_at=now, next_try_at=None)
    return True


def _hand_over(delivery: Delivery) -> None:
    message = message_of(delivery.report, delivery.recipient)
    server, folder = settings.MAIL_SERVER, settings.MAIL_FOLDER
    if server is not None:
        sender = settings.MAIL_FROM
        post(message, sender=sender, recipient=delivery.recipient, server=server)
        return
    if folder is None:
        raise ServerAway(NO_SERVER)
    report = delivery.report
    name = f"{report.kind}-{report.slot:%Y%m%dT%H%MZ}-{delivery.id}.eml"
    try:
        write_eml(message, folder / name)
    except OSError as err:
        raise ServerAway(f"the mail folder: {err}") from err


def _note(delivery: Delivery, state: DeliveryState, **values: object) -> None:
    """What came of it, unless it was flagged as lost meanwhile and is not ours any more."""
    ours = Delivery.objects.filter(
        id=delivery.id, state=DeliveryState.SENDING, sending_at=delivery.sending_at
    )
    ours.update(state=state, **values)
    publish("report", str(delivery.report_id), delivery.attempts)
