"""The report's section on recall: what audits measured in the period, and what is not known."""

from datetime import UTC, datetime, timedelta

import pytest

from fabric.models import Collection, RecallAudit, StoreIndex
from fabric.reports import recall
from infra_console.reports.rendering import shown
from infra_console.reports.sections import Kind, Period

pytestmark = pytest.mark.django_db

END = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
DAY = Period(kind=Kind.DAILY, start=END - timedelta(days=1), end=END)


def collection(name="made"):
    return Collection.objects.create(name=name, digest="d", expected=3, created_at=END)


def audit(of, *, hours_ago, recall, lower, queries=100, raised=None):
    RecallAudit.objects.create(
        collection=of, at=END - timedelta(hours=hours_ago), queries=queries, recall=recall,
        recall_lower=lower, below_80=0, target=0.992, until=1, raised=raised or {},
    )  # fmt: skip


def test_audits_of_the_period_are_weighed_by_their_questions():
    made = collection()
    audit(made, hours_ago=30, recall=0.5, lower=0.4)  # before the period
    audit(made, hours_ago=20, recall=0.98, lower=0.97, queries=300, raised={"faiss": [16, 32]})
    audit(made, hours_ago=2, recall=1.0, lower=0.995, queries=100)
    section = recall(DAY)
    (row,) = section.tables[0].rows
    assert row == ("made", 2, 400, pytest.approx(0.985), 0.995, 0.992, "faiss")
    assert section.sentences == (
        "400 questions repeated exactly in 1 collection.", "Below the target: made.",
    )  # fmt: skip
    assert section.missing == ()
    assert shown(row[3], section.tables[0].columns[3].format) == "0.9850"


def test_a_sample_that_proves_nothing_is_told_from_one_that_falls_short():
    audit(collection(), hours_ago=1, recall=1.0, lower=0.94, queries=20)
    assert "does not prove it" in recall(DAY).sentences[1]


def test_what_is_not_known_is_named_and_is_not_zero():
    assert recall(DAY).missing == ("no collection was taken in, so nothing is known of recall",)
    made = collection()
    StoreIndex.objects.create(
        collection=made, store="faiss", state=StoreIndex.State.FAILED, problem="down: refused"
    )
    section = recall(DAY)
    assert section.tables[0].rows == (("made", 0, 0, None, None, 0.992, ""),)
    assert section.missing == (
        "made: no question was asked and audited in this period", "made in faiss: down: refused",
    )  # fmt: skip
