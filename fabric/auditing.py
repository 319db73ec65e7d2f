"""The audit: logged questions asked again, exactly; what fell short searches harder from then on.

Effort only ever rises here. A sample that could not reach the target even without a miss judges
nothing.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import numpy as np
from django.db import transaction
from django.utils import timezone

from fabric.core.measures import recall_lower
from fabric.core.points import EXACT, raised
from fabric.core.scope import Scope
from fabric.errors import StoreError
from fabric.models import Collection, QueryLog, RecallAudit, StoreIndex
from fabric.stores import store_named
from fabric.truth import read_truth, vector_of
from infra_console.audit.services import record_audit
from infra_console.live.services import publish

SAMPLE = 400
KEEP = 10_000
ACTOR = "fabric audit"
Group = tuple[str, int]


def audit_collection(
    collection: Collection, *, seed: int, sample: int = SAMPLE
) -> RecallAudit | None:
    """Judge what was answered since the last audit; None where nothing was."""
    last = RecallAudit.objects.filter(collection=collection).first()
    since = QueryLog.objects.filter(collection=collection, pk__gt=last.until if last else 0)
    keys = list(since.values_list("pk", flat=True))
    if not keys:
        return None
    chosen = np.random.default_rng(seed).permutation(keys)[:sample].tolist()
    rows = list(QueryLog.objects.filter(pk__in=chosen))
    recalls = _recalls(collection, rows)
    if not recalls:
        return None
    audit = _judged(collection, rows, recalls, until=max(keys))
    _prune(collection)
    return audit


def _recalls(collection: Collection, rows: Sequence[QueryLog]) -> dict[int, float]:
    """Recall by logged question; one whose scope holds nothing has none."""
    truth = read_truth(collection)
    found = {}
    for row in rows:
        scope = Scope(frozenset(row.partitions))
        recall = truth.recall(vector_of(row.vector), row.results, row.k, scope)
        if recall is not None:
            found[row.pk] = recall
    return found


@transaction.atomic
def _judged(
    collection: Collection, rows: Sequence[QueryLog], recalls: dict[int, float], *, until: int
) -> RecallAudit:
    values, k = list(recalls.values()), min(row.k for row in rows)
    groups = defaultdict[Group, list[float]](list)
    switched = _switched(collection)
    for row in rows:
        was_it = not row.asks or row.at >= switched.get(row.asks[0][0], row.at)
        if row.pk in recalls and len(row.asks) == 1 and was_it:
            groups[row.asks[0][0], row.asks[0][1]].append(recalls[row.pk])
    audit = RecallAudit.objects.create(
        collection=collection, at=timezone.now(), queries=len(values),
        recall=float(np.mean(values)), recall_lower=recall_lower(values, k) or 0.0,
        below_80=float(np.mean([v < 0.8 for v in values])), target=collection.target_recall,
        until=until, raised=_raise_short(collection, groups, k),
    )  # fmt: skip
    publish("fabric", collection.name, audit.pk)
    if audit.raised:
        record_audit(
            actor=ACTOR, action="fabric.effort_raised", object_kind="collection",
            object_id=collection.name, detail={"recall_lower": audit.recall_lower, **audit.raised},
        )  # fmt: skip
    return audit


def _switched(collection: Collection) -> dict[str, datetime]:
    """Since when each store's index is the one in use: answers of the former say nothing of it."""
    held = StoreIndex.objects.filter(collection=collection, switched_at__isnull=False)
    return {index.store: index.switched_at for index in held if index.switched_at}


def _raise_short(
    collection: Collection, groups: dict[Group, list[float]], k: int
) -> dict[str, list[int]]:
    changed = {}
    for (name, effort), values in sorted(groups.items()):
        if effort == EXACT or not is_short(values, k, collection.target_recall):
            continue
        try:
            efforts = store_named(name).efforts
        except StoreError:
            continue
        index = StoreIndex.objects.select_for_update().get(collection=collection, store=name)
        wanted = raised(efforts, effort)
        if wanted > index.least_effort:
            StoreIndex.objects.filter(pk=index.pk).update(least_effort=wanted)
            changed[name] = [effort, wanted]
    return changed


def is_short(recalls: Sequence[float], k: int, target: float) -> bool:
    """Whether a sample that is large enough to reach the target does not."""
    best = recall_lower([1.0] * len(recalls), k)
    reached = recall_lower(recalls, k)
    return best is not None and reached is not None and best >= target > reached


def _prune(collection: Collection) -> None:
    keys = QueryLog.objects.filter(collection=collection).values_list("pk", flat=True)
    oldest = keys.order_by("-pk")[KEEP : KEEP + 1].first()
    if oldest is not None:
        QueryLog.objects.filter(collection=collection, pk__lte=oldest).delete()
