"""The page of reports, its schedule and the command: who may, and what is kept."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from infra_console.audit.models import AuditRow
from infra_console.reports.errors import NotAllowed, ScheduleInvalid
from infra_console.reports.making import make
from infra_console.reports.models import Delivery, Report, Schedule
from infra_console.reports.services import Draft, save_schedule
from tests.infra_console.reports.conftest import SLOT, report_row, scheduled
from tests.people import person

pytestmark = pytest.mark.django_db
FORM = {
    "enabled": "on", "at": "07:30", "weekday": "fri", "time_zone": "Europe/Berlin",
    "recipients": "a@example.com\r\nb@example.com\r\n",
}  # fmt: skip


@pytest.fixture
def admin(client):
    client.force_login(person("admin"))
    return client


def test_an_admin_keeps_a_schedule_for_beat_with_its_audit_row(admin):
    admin.post("/reports/schedule/weekly", FORM)
    row = Schedule.objects.get()
    tab = row.task.crontab
    assert (tab.minute, tab.hour, tab.day_of_week, str(tab.timezone)) == (
        "30", "7", "fri", "Europe/Berlin"
    )  # fmt: skip
    assert (row.task.task, row.task.enabled) == ("reports.tick", True)
    assert row.recipients == ["a@example.com", "b@example.com"]
    assert AuditRow.objects.filter(action="report.scheduled", actor="admin").count() == 1
    page = admin.get("/reports/").content.decode()
    assert 'value="07:30"' in page
    assert "a@example.com" in page


def test_a_change_keeps_one_task_and_turning_it_off_stops_it(admin):
    admin.post("/reports/schedule/daily", FORM)
    admin.post("/reports/schedule/daily", {**FORM, "at": "08:00", "enabled": ""} | {"at": "08:00"})
    off = {name: value for name, value in FORM.items() if name != "enabled"}
    admin.post("/reports/schedule/daily", off)
    assert PeriodicTask.objects.filter(name="reports daily").count() == 1
    assert not Schedule.objects.get().task.enabled


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"at": "25:00"}, "07:00"),
        ({"time_zone": "Mars/Olympus"}, "time zone"),
        ({"recipients": ""}, "recipient"),
        ({"recipients": "a@example.com\rBcc: b@example.com"}, "no mail address"),
        ({"weekday": "someday"}, "weekday"),
    ],
)
def test_a_wrong_schedule_is_refused_whole(admin, change, word):
    page = admin.post("/reports/schedule/daily", FORM | change, follow=True).content.decode()
    assert "Nothing was changed" in page
    assert word in page
    assert not Schedule.objects.exists()


def test_what_is_due_when_the_time_is_changed_is_not_lost():
    scheduled("a@example.com")
    now = SLOT + timedelta(minutes=2)
    save_schedule(
        Draft("daily", enabled=True, at="09:00", recipients=["b@example.com"]),
        by=person("admin"), now=now,
    )  # fmt: skip
    (report,) = Report.objects.all()
    assert (report.slot, report.recipients) == (SLOT, ["a@example.com"])


def test_only_admins_edit_make_and_send_again(client):
    client.force_login(person("planner"))
    for path in ("schedule/daily", "make/daily", "deliveries/1/again"):
        assert client.post(f"/reports/{path}", FORM).status_code == 403
    with pytest.raises(NotAllowed):
        save_schedule(Draft("daily"), by=person("operator"))
    with pytest.raises(ScheduleInvalid):
        save_schedule(Draft("hourly"), by=person("admin"))


def test_viewers_read_reports_but_not_who_gets_them(client, mailbox):
    report = report_row(recipients=["a@example.com"])
    make(report.id, now=SLOT)
    client.force_login(person("viewer"))
    page = client.get("/reports/").content.decode()
    assert "as mailed" in page
    assert "a@example.com" not in page
    answer = client.get(f"/reports/{report.id}/csv")
    assert answer["Content-Disposition"] == 'attachment; filename="daily-20260304T0600Z.csv"'
    assert "81.2 %" in client.get(f"/reports/{report.id}/text").content.decode()


def test_the_page_offers_to_send_an_unclear_mail_again(admin, mailbox):
    report = report_row(recipients=["a@example.com"])
    make(report.id, now=SLOT)
    Delivery.objects.update(state="unclear", problem="nobody knows")
    page = admin.get("/reports/").content.decode()
    assert "nobody knows" in page
    admin.post(f"/reports/deliveries/{Delivery.objects.get().id}/again")
    assert Delivery.objects.get().state == "waiting"
    assert AuditRow.objects.filter(action="report.sent_again").count() == 1


def test_one_made_by_hand_goes_to_nobody(admin):
    scheduled("a@example.com", since=timezone.now())
    admin.post("/reports/make/daily")
    report = Report.objects.get()
    make(report.id, now=timezone.now())
    report.refresh_from_db()
    assert (report.state, report.asked_by) == ("made", "admin")
    assert not Delivery.objects.exists()


def test_the_page_says_that_no_server_is_configured(admin, settings):
    settings.MAIL_SERVER = settings.MAIL_FOLDER = None
    assert "No mail server is configured" in admin.get("/reports/").content.decode()


def test_the_command_sends_once_to_each_recipient(mailbox, capsys):
    words = ["daily", "--to", "a@example.com", "--slot", SLOT.isoformat()]
    call_command("send_report", *words)
    call_command("send_report", *words)
    assert mailbox.recipients == ["a@example.com"]
    assert capsys.readouterr().out.splitlines() == ["a@example.com: sent"] * 2


def test_the_command_writes_the_mail_to_a_file_and_sends_nothing(mailbox, tmp_path):
    file = tmp_path / "report.eml"
    call_command("send_report", "weekly", "--eml", str(file))
    assert b"weekly report" in file.read_bytes()
    assert not mailbox.mails
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["daily"], "Nobody"),
        (["daily", "--to", "a@example.com\nBcc: b@example.com"], "no mail address"),
        (["daily", "--to", "a@example.com", "--slot", "today"], "no ISO time"),
        (["daily", "--to", "a@example.com", "--slot", "2126-01-01"], "future"),
    ],
)
def test_the_command_refuses_what_cannot_be(mailbox, words, said):
    with pytest.raises(CommandError, match=said):
        call_command("send_report", *words)
    assert not mailbox.mails


def test_the_command_fails_when_somebody_got_none(mailbox):
    mailbox.on_rcpt = lambda to: "550 gone"
    with pytest.raises(CommandError, match="Not everybody"):
        call_command("send_report", "daily", "--to", "a@example.com", "--slot", "2026-03-04")
    assert Report.objects.get().slot == datetime(2026, 3, 4, tzinfo=UTC)
