"""At most one mail a slot and recipient, whatever the mail server does."""

from dataclasses import replace
from datetime import timedelta

import pytest

from infra_console.reports import delivering, making
from infra_console.reports.errors import NothingToResend
from infra_console.reports.mail_server import MailServer
from infra_console.reports.models import Delivery
from infra_console.reports.services import send_again
from tests.infra_console.reports.conftest import SLOT, MailBox, report_row
from tests.infra_console.reports.test_making import in_threads
from tests.people import person

pytestmark = pytest.mark.django_db
A, B = "a@example.com", "b@example.com"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def made() -> None:
    """A report that waits to be sent to two people."""
    making.make(report_row(recipients=[A, B]).id, now=SLOT)


def state_of(recipient: str) -> tuple[str, str]:
    delivery = Delivery.objects.get(recipient=recipient)
    return delivery.state, delivery.problem


def states() -> set[str]:
    return set(Delivery.objects.values_list("state", flat=True))


def test_each_recipient_gets_one_mail_of_their_own(made, mailbox):
    assert delivering.send_due(now=SLOT) == 2
    assert delivering.send_due(now=SLOT + MINUTE) == 0
    assert mailbox.recipients == [A, B]
    for tos, mail in mailbox.mails:
        assert [mail["To"]] == tos
        other = B if tos == [A] else A
        assert other not in mail.as_string()
    assert states() == {"sent"}


def test_the_mail_has_text_html_and_csv_with_the_same_numbers(made, mailbox):
    delivering.send_due(now=SLOT)
    mail = mailbox.mails[0][1]
    assert mail["Subject"] == "infra-console daily report, 2026-03-04 06:00 UTC"
    text = mail.get_body(("plain",)).get_content()
    html = mail.get_body(("html",)).get_content()
    (csv,) = mail.iter_attachments()
    assert "81.2 %" in text
    assert "81.2 %" in html
    assert "0.8125" in csv.get_content()
    assert csv.get_filename() == "daily-20260304T0600Z.csv"


def test_one_of_two_refused_does_not_hold_up_the_other(made, mailbox):
    mailbox.on_rcpt = lambda to: "550 5.1.1 no such person" if to == A else None
    delivering.send_due(now=SLOT)
    assert state_of(A) == ("failed", "550 5.1.1 no such person")
    assert state_of(B) == ("sent", "")
    delivering.send_due(now=SLOT + timedelta(hours=2))
    assert mailbox.recipients == [B]


@pytest.mark.parametrize("hook", ["on_rcpt", "on_data"])
def test_not_now_is_tried_again_ever_more_seldom(made, mailbox, hook):
    setattr(mailbox, hook, lambda to: "451 4.7.1 greylisted")
    delivering.send_due(now=SLOT)
    assert state_of(A) == ("waiting", "451 4.7.1 greylisted")
    assert delivering.send_due(now=SLOT + MINUTE / 2) == 0
    delivering.send_due(now=SLOT + MINUTE)
    first = Delivery.objects.get(recipient=A)
    assert (first.attempts, first.next_try_at) == (2, SLOT + 3 * MINUTE)
    setattr(mailbox, hook, lambda to: None)
    assert delivering.send_due(now=SLOT + 3 * MINUTE) == 2
    assert mailbox.recipients == [A, B]


def test_never_after_the_text_fails_with_the_servers_words(made, mailbox):
    mailbox.on_data = lambda to: "554 5.6.0 too big"
    delivering.send_due(now=SLOT)
    assert state_of(A) == ("failed", "554 5.6.0 too big")


def test_a_server_that_is_down_is_asked_again_for_a_day(made, mailbox, settings):
    up = settings.MAIL_SERVER
    settings.MAIL_SERVER = MailServer("127.0.0.1", 9, "smtp", timeout_s=0.5)
    delivering.send_due(now=SLOT)
    assert states() == {"waiting"}
    assert "Connection refused" in state_of(A)[1]
    assert "Connection refused" in state_of(B)[1]  # one question tells of all
    settings.MAIL_SERVER = up
    assert delivering.send_due(now=SLOT + MINUTE) == 2


def test_after_a_day_it_is_given_up_with_the_last_problem(made, settings):
    settings.MAIL_SERVER = MailServer("127.0.0.1", 9, "smtp", timeout_s=0.5)
    delivering.send_due(now=SLOT)
    assert delivering.give_up(now=SLOT + timedelta(hours=23)) == 0
    assert delivering.give_up(now=SLOT + timedelta(hours=24)) == 2
    assert state_of(A)[0] == "failed"
    assert "Connection refused" in state_of(A)[1]


def test_a_server_that_is_slow_before_the_text_is_tried_again(made, mailbox):
    mailbox.delay_s = 0.8
    delivering.send_due(now=SLOT)
    assert state_of(A) == ("waiting", "it did not answer in time")
    assert not mailbox.mails


def test_a_server_that_offers_no_tls_is_told_no_password(made, mailbox, settings):
    secret = {"tls": "smtp+starttls", "username": "me", "password": "s3cret"}
    settings.MAIL_SERVER = replace(settings.MAIL_SERVER, **secret)
    assert delivering.send_due(now=SLOT) == 0
    state, problem = state_of(A)
    assert (state, "STARTTLS" in problem, "s3cret" in problem) == ("waiting", True, False)


def test_a_connection_that_breaks_after_the_text_is_unclear_and_never_repeated(made, mailbox):
    mailbox.drops = True
    delivering.send_due(now=SLOT)
    assert state_of(A)[0] == "unclear"
    assert "handed over" in state_of(A)[1]
    mailbox.drops = False
    delivering.send_due(now=SLOT + timedelta(hours=5))
    assert mailbox.recipients == [A, B]


def test_a_person_may_send_an_unclear_mail_again(made, mailbox):
    mailbox.drops = True
    delivering.send_due(now=SLOT)
    mailbox.drops = False
    admin = person("admin")
    send_again(Delivery.objects.get(recipient=A).id, by=admin, now=SLOT + MINUTE)
    assert delivering.send_due(now=SLOT + MINUTE) == 1
    assert mailbox.recipients == [A, A, B]
    with pytest.raises(NothingToResend):
        send_again(Delivery.objects.get(recipient=A).id, by=admin, now=SLOT + MINUTE)


class Killed(BaseException):
    """A worker that dies takes no leave."""


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_dies_while_it_sends_leaves_an_unclear_mail(made, mailbox, monkeypatch):
    def die(*args: object, **kwargs: object) -> None:
        raise Killed

    monkeypatch.setattr(delivering, "post", die)
    with pytest.raises(Killed):
        delivering.send_due(now=SLOT)
    assert state_of(A)[0] == "sending"
    monkeypatch.undo()
    later = SLOT + delivering.LOST_AFTER + MINUTE
    assert delivering.flag_lost(now=SLOT + MINUTE) == 0
    assert delivering.flag_lost(now=later) == 1
    delivering.send_due(now=later)
    assert state_of(A)[0] == "unclear"
    assert mailbox.recipients == [B]


@pytest.mark.django_db(transaction=True)
def test_sending_is_committed_before_the_first_word(made, mailbox: MailBox):
    seen = {}

    def look(to: str) -> None:
        from django.db import connection

        seen[to] = state_of(to)[0]  # by another thread, so on another connection
        connection.close()

    mailbox.on_rcpt = lambda to: in_threads(lambda: look(to), 1) and None
    delivering.send_due(now=SLOT)
    assert seen == {A: "sending", B: "sending"}


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_send_each_mail_once(made, mailbox):
    assert sum(in_threads(lambda: delivering.send_due(now=SLOT))) == 2
    assert mailbox.recipients == [A, B]


def test_without_a_server_mails_wait_and_say_why(made, settings):
    settings.MAIL_SERVER = settings.MAIL_FOLDER = None
    assert delivering.send_due(now=SLOT) == 0
    assert state_of(A) == ("waiting", "no mail server is configured")
    assert Delivery.objects.get(recipient=A).attempts == 0


def test_a_demo_writes_its_mails_to_a_folder(made, settings, tmp_path):
    settings.MAIL_SERVER, settings.MAIL_FOLDER = None, tmp_path / "mail"
    assert delivering.send_due(now=SLOT) == 2
    files = sorted((tmp_path / "mail").iterdir())
    assert len(files) == 2
    assert b"To: a@example.com" in files[0].read_bytes()
