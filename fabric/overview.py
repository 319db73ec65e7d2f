"""The fabric's part of the first page: what was audited, and which index cannot serve."""

from collections.abc import Iterator

from django.urls import reverse

from fabric.models import Collection, RecallAudit, StoreIndex
from infra_console.overview.cards import Alert, Card
from infra_console.overview.scope import Scope


def recall_card(_scope: Scope) -> Card:
    """Each collection with its audited recall. Reads the database only: no store is asked here."""
    rows = [(c, RecallAudit.objects.filter(collection=c).first()) for c in Collection.objects.all()]
    return Card(
        key="fabric",
        template="fabric/card.html",
        context={"rows": rows},
        place="side",
        live_kinds="fabric",
        alerts=tuple(_alerts(rows)),
    )


def _alerts(rows: list[tuple[Collection, RecallAudit | None]]) -> Iterator[Alert]:
    page = reverse("fabric:index")
    for collection, audit in rows:
        if audit and audit.recall < audit.target:
            text = f"{collection.name} finds {audit.recall:.4f} of its nearest, not {audit.target}"
            yield Alert("warn", text, page)
    for index in StoreIndex.objects.filter(state=StoreIndex.State.FAILED).select_related(
        "collection"
    ):
        text = f"{index.collection.name} cannot be searched in {index.store}: {index.problem}"
        yield Alert("warn", text, page)
