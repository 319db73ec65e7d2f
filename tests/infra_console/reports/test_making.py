"""Each slot has one report, a missed one is caught up once, and no section takes a report down."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.core.checks import run_checks
from django.db import connection

from infra_console.reports import making
from infra_console.reports.models import Delivery, Report, ReportState
from infra_console.reports.pictures import draw
from infra_console.reports.sections import Document
from tests.infra_console.reports.conftest import SLOT, report_row, scheduled

pytestmark = pytest.mark.django_db


def in_threads(work, times: int = 2) -> list:
    """The same work at once, each on a connection of its own."""
    start, found = threading.Barrier(times), []

    def one() -> None:
        try:
            start.wait(5)
            found.append(work())
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return found


def test_a_due_slot_becomes_a_report_with_a_mail_for_each_recipient():
    scheduled("a@example.com", "b@example.com")
    now = SLOT + timedelta(seconds=30)
    making.take_due(now=now)
    assert making.make_due(now=now) == 1
    report = Report.objects.get()
    assert (report.slot, report.state, report.late_s) == (SLOT, ReportState.MADE, None)
    assert "81.2 %" in report.html
    assert set(Delivery.objects.values_list("recipient", "state")) == {
        ("a@example.com", "waiting"), ("b@example.com", "waiting")
    }  # fmt: skip
    assert making.take_due(now=now + timedelta(minutes=1)) == 0


def test_of_several_missed_slots_the_newest_is_made_late_and_the_others_are_shown():
    scheduled("a@example.com")
    now = SLOT + timedelta(days=2, hours=3)
    assert making.take_due(now=now) == 3
    making.make_due(now=now)
    states = list(Report.objects.order_by("slot").values_list("state", "late_s"))
    assert states == [("skipped", None), ("skipped", None), ("made", 3 * 3600.0)]
    newest = Report.objects.latest("slot")
    assert "Late by 3.0 hours" in newest.html
    assert "LATE by 3.0 hours" in newest.text
    assert Delivery.objects.count() == 1


def test_a_schedule_that_is_off_makes_nothing():
    scheduled("a@example.com", on=False)
    assert making.take_due(now=SLOT + timedelta(days=3)) == 0


@pytest.mark.django_db(transaction=True)
def test_two_ticks_at_once_make_one_report_with_one_mail():
    scheduled("a@example.com")
    now = SLOT + timedelta(minutes=1)

    def tick() -> int:
        making.take_due(now=now)
        return making.make_due(now=now)

    assert sum(in_threads(tick)) == 1
    assert Report.objects.count() == Delivery.objects.count() == 1


def test_a_report_whose_worker_died_is_made_by_the_next():
    report = report_row(state=ReportState.MAKING, making_at=SLOT, recipients=["a@example.com"])
    assert making.make_due(now=SLOT + timedelta(minutes=5)) == 0
    assert making.make_due(now=SLOT + timedelta(minutes=16)) == 1
    report.refresh_from_db()
    assert report.state == ReportState.MADE


def test_a_slot_that_a_person_had_made_before_is_still_mailed_to_the_schedules_recipients():
    schedule = scheduled("a@example.com")
    making.take_slot("daily", SLOT, time_zone="UTC", by="planner", now=SLOT)
    making.make_due(now=SLOT)
    assert not Delivery.objects.exists()
    making.take_due(now=SLOT + timedelta(seconds=40))
    assert list(Delivery.objects.values_list("recipient", flat=True)) == schedule.recipients


@pytest.mark.parametrize("state", [ReportState.SKIPPED, ReportState.FAILED])
def test_a_person_may_have_a_skipped_or_failed_report_made_after_all_for_nobody(state):
    report_row(state=state, attempts=3, recipients=["a@example.com"])
    making.take_slot("daily", SLOT, time_zone="UTC", by="planner", now=SLOT)
    assert making.make_due(now=SLOT) == 1
    assert not Delivery.objects.exists()


def broken(period: object) -> None:
    raise RuntimeError("the source burst")


def bad_query(period: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 / 0")


@pytest.mark.parametrize("name", ["broken", "bad_query"])
def test_a_section_that_fails_says_so_and_leaves_the_others(settings, caplog, name):
    settings.REPORT_SECTIONS = [f"{__name__}.{name}", *settings.REPORT_SECTIONS]
    report = report_row()
    making.make(report.id, now=SLOT)
    report.refresh_from_db()
    assert report.state == ReportState.MADE
    assert "This part could not be made." in report.html
    assert "81.2 %" in report.html
    assert "the source burst" not in report.html
    assert f"The report's section {__name__}.{name} failed" in caplog.text


def test_what_cannot_be_made_is_tried_three_times_and_then_said(monkeypatch):
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(making, "collect", fail)
    report = report_row()
    for _ in range(5):
        making.make_due(now=SLOT)
    report.refresh_from_db()
    assert (report.state, report.attempts) == (ReportState.FAILED, 3)
    assert "log" in report.problem


@pytest.mark.parametrize(
    ("path", "code"),
    [("infra_console.nowhere.section", "reports.E001"), (f"{__name__}.SLOT", "reports.E002")],
)
def test_a_named_section_that_is_none_is_refused_at_start(settings, path, code):
    settings.REPORT_SECTIONS = [path]
    assert [e.id for e in run_checks() if e.id.startswith("reports")] == [code]


def document_with_picture() -> Document:
    from infra_console.reports.figures import lines
    from infra_console.reports.sections import Kind, Period, Picture, Section

    period = Period(kind=Kind.DAILY, start=SLOT - timedelta(days=1), end=SLOT)
    times = [SLOT.timestamp() - 900 * k for k in range(4)]
    figure = lines(times, {"training": [0.5, None, 0.7, 0.8]}, axis="busy", percent=True)
    picture = Picture(name="busy", title="Busy", alt="training 67 %", figure=figure)
    section = Section(key="u", title="Utilisation", pictures=(picture,))
    return Document(
        kind=Kind.DAILY, period=period, time_zone="UTC", made_at=datetime.now(UTC), late_s=None,
        sections=(section,),
    )  # fmt: skip


@pytest.mark.browser
def test_pictures_are_drawn_by_the_browser():
    drawn, problem = draw(document_with_picture())
    assert problem == ""
    assert drawn["busy"].startswith("iVBORw0KGgo")  # a PNG


def test_without_a_browser_the_numbers_stand_as_a_table(monkeypatch):
    from infra_console.reports.rendering import as_html, as_text

    monkeypatch.setenv("BROWSER_PATH", "/nowhere/chromium")
    document = document_with_picture()
    drawn, problem = draw(document)
    assert (drawn, "no browser" in problem) == ({}, True)
    for page in (as_html(document, drawn=drawn, problem=problem), as_text(document, drawn=drawn)):
        assert "80.0 %" in page
        assert "unknown" in page
    assert "Pictures stand as tables" in as_html(document, drawn=drawn, problem=problem)


def test_a_browser_that_hangs_is_ended(monkeypatch, tmp_path):
    slow = tmp_path / "chromium"
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setenv("BROWSER_PATH", str(slow))
    assert draw(document_with_picture(), limit_s=0.5) == ({}, "the browser took longer than 0.5 s")
