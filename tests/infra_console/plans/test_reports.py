"""The plans' sections of a report: who decided, and what came of what was promised."""

from datetime import timedelta

import pytest
from django.utils import timezone

from infra_console.plans.models import Approval, Settlement
from infra_console.plans.reports import decisions, track_record
from infra_console.reports.sections import Kind, Period
from tests.plan_specs import plan_row

pytestmark = pytest.mark.django_db


@pytest.fixture
def day() -> Period:
    now = timezone.now()
    return Period(kind=Kind.DAILY, start=now - timedelta(days=1), end=now + timedelta(seconds=5))


def test_each_decision_stands_with_its_person_and_reason(day):
    plan = plan_row(7, state="approved")
    for at, by, decision in ((timezone.now(), "anna", "approve"), (day.start, "old", "reject")):
        Approval.objects.create(
            plan=plan, plan_hash=plan.hash, by=by, decision=decision, reason="we need it",
            at=at - timedelta(seconds=1),
        )  # fmt: skip
    outcomes, made = decisions(day).tables
    assert outcomes.rows == (("approved", 1),)
    (row,) = made.rows
    assert row[1].startswith("7: ")
    assert row[2:] == ("approved", "anna", "we need it")


def test_a_promise_that_could_not_be_measured_is_unknown_and_named_as_missing(day):
    promises = [
        {"title": "busy", "bound": 0.8, "realised": 0.7, "kept": False},
        {"title": "fast", "bound": 1.0, "realised": None, "kept": None},
    ]
    Settlement.objects.create(
        plan=plan_row(8, state="expired"), at=timezone.now(), shadow=True, harmful=True,
        promises=promises, kept_count=0, missed_count=1, unknown_count=1,
    )  # fmt: skip
    section = track_record(day)
    assert [row[1:] for row in section.tables[0].rows] == [
        ("shadow", "busy", 0.8, 0.7, "missed"), ("shadow", "fast", 1.0, None, None)
    ]  # fmt: skip
    assert section.missing == ("not measured: 1 promise",)
    assert "Settled, in shadow: 1 plan. Promises kept: 0 of 1." in section.sentences
    assert section.sentences[-1] == "Would have hurt, had they been carried out: 1 plan."
