"""The fabric's section of a report: what was found of what should have been, as audits measured."""

from collections.abc import Iterator
from typing import Any

from fabric.models import Collection, RecallAudit, StoreIndex
from infra_console.reports.sections import Column, Period, Section, counted, table

RECALL = (
    Column(title="Collection"), Column(title="Audits", format="count"),
    Column(title="Questions", format="count"), Column(title="Recall@10", format="ratio"),
    Column(title="Newest, at least", format="ratio"), Column(title="Target", format="ratio"),
    Column(title="Effort raised in"),
)  # fmt: skip


def recall(period: Period) -> Section:
    """Each collection's audits in the period; the mean is over their questions."""
    collections = list(Collection.objects.all())
    rows = [_row(collection, period) for collection in collections]
    return Section(
        key="recall", title="Recall of the fabric",
        sentences=tuple(_words(rows)),
        tables=(table("Recall@10 of audited questions", RECALL, rows,
                      empty="No collection was taken in."),),
        missing=(*_not_audited(rows), *_not_usable()),
    )  # fmt: skip


def _row(collection: Collection, period: Period) -> tuple[Any, ...]:
    audits = list(
        RecallAudit.objects.filter(
            collection=collection, at__gte=period.start, at__lt=period.end
        )
    )  # fmt: skip
    asked = sum(audit.queries for audit in audits)
    mean = sum(audit.recall * audit.queries for audit in audits) / asked if asked else None
    newest = audits[0] if audits else None
    raised = sorted({store for audit in audits for store in audit.raised})
    return (
        collection.name, len(audits), asked, mean, newest.recall_lower if newest else None,
        collection.target_recall, ", ".join(raised),
    )  # fmt: skip


def _words(rows: list[tuple[Any, ...]]) -> Iterator[str]:
    audited = [row for row in rows if row[3] is not None]
    if not audited:
        return
    asked = sum(row[2] for row in audited)
    yield f"{counted(asked, 'question')} repeated exactly in {counted(len(audited), 'collection')}."
    below = [row[0] for row in audited if row[3] < row[5]]
    if below:
        yield f"Below the target: {', '.join(below)}."
    unproven = [row[0] for row in audited if row[0] not in below and row[4] < row[5]]
    if unproven:
        yield (
            f"At the target, though the newest sample alone does not prove it with 95 % "
            f"confidence: {', '.join(unproven)}."
        )


def _not_audited(rows: list[tuple[Any, ...]]) -> Iterator[str]:
    if not rows:
        yield "no collection was taken in, so nothing is known of recall"
    for row in rows:
        if row[3] is None:
            yield f"{row[0]}: no question was asked and audited in this period"


def _not_usable() -> Iterator[str]:
    failed = StoreIndex.objects.filter(state=StoreIndex.State.FAILED)
    for index in failed.select_related("collection"):
        yield f"{index.collection.name} in {index.store}: {index.problem}"
