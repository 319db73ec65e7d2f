"""Measuring what each effort of each store reaches and costs on this collection, here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from time import perf_counter
from typing import Any

import numpy as np
from django.db import transaction
from django.utils import timezone

from fabric.adapters.embedder import kept_embedder
from fabric.core.measures import recall_lower
from fabric.core.points import EXACT, Point
from fabric.core.scope import Scope
from fabric.core.vectors import Vectors
from fabric.errors import StoreError
from fabric.models import Collection, OperatingPoint, QueryLog, SampleQuery, StoreIndex
from fabric.ports import Found, IndexSpec, VectorStore
from fabric.stores import spec_of, store_named
from fabric.truth import Truth, read_truth, vector_of
from infra_console.live.services import publish

K = 10
QUERIES = 200
FEWEST = 100
LIMIT_MS = 30_000.0
Progress = Callable[[str, int, int], None]


def measure_points(
    collection: Collection, *, progress: Progress = lambda stage, done, total: None
) -> None:
    """New operating points for every index that is ready; the old ones of an index go at once."""
    truth = read_truth(collection)
    queries = sample_vectors(collection, truth)
    indexes = StoreIndex.objects.filter(collection=collection, state=StoreIndex.State.READY)
    for done, index in enumerate(indexes, 1):
        points = measure_index(index, truth, queries)
        if points is None:
            continue
        keep_points(index, points)
        progress(f"measuring {index.store}", done, len(indexes))
    publish("fabric", collection.name, 0)


def measure_index(
    index: StoreIndex, truth: Truth, queries: Sequence[Vectors]
) -> list[Point] | None:
    """The points of one index; None where its store fails, which is kept as its problem."""
    try:
        store = store_named(index.store)
        return measured(store, spec_of(index.collection, index), truth, queries)
    except StoreError as err:
        words = f"{err.state}: {err.problem}"
        StoreIndex.objects.filter(pk=index.pk).update(problem=words)
        return None


def sample_vectors(collection: Collection, truth: Truth) -> list[Vectors]:
    """Questions that came with the collection, and the newest that were asked of it; documents of
    it stand in where they are few."""
    texts = SampleQuery.objects.filter(collection=collection).order_by("pk")[:QUERIES]
    vectors, known = kept_embedder(collection.embedder).embed([sample.text for sample in texts])
    found = list(vectors[known])
    asked = QueryLog.objects.filter(collection=collection, k__gte=K)[:QUERIES]
    found += [vector_of(row.vector) for row in asked]
    if len(found) < FEWEST:
        rows = np.linspace(0, len(truth.ids) - 1, FEWEST - len(found), dtype=int)
        found += [truth.vectors[row] for row in dict.fromkeys(rows.tolist())]
    return found


def measured(
    store: VectorStore, spec: IndexSpec, truth: Truth, queries: Sequence[Vectors]
) -> list[Point]:
    """The exact search and each effort, least first, until one misses nothing."""
    scope = Scope(frozenset(truth.partitions.tolist()))
    points = [_point(store, spec, truth, queries, EXACT, scope)]
    for effort in store.efforts:
        points.append(_point(store, spec, truth, queries, effort, scope))
        if points[-1].recall == 1.0:
            break
    return points


def search_with(
    store: VectorStore, spec: IndexSpec, query: Vectors, k: int, *,
    effort: int, scope: Scope, limit_ms: float,
) -> Found:  # fmt: skip
    """A search, or the exact one where that is the effort."""
    if effort == EXACT:
        return store.exact(spec, query, k, scope=scope, limit_ms=limit_ms)
    return store.search(spec, query, k, effort=effort, scope=scope, limit_ms=limit_ms)


def _point(
    store: VectorStore, spec: IndexSpec, truth: Truth, queries: Sequence[Vectors],
    effort: int, scope: Scope,
) -> Point:  # fmt: skip
    recalls, times = [], []
    for query in queries:
        start = perf_counter()
        found = search_with(store, spec, query, K, effort=effort, scope=scope, limit_ms=LIMIT_MS)
        times.append(1e3 * (perf_counter() - start))
        recalls.append(truth.recall(query, found.ids.tolist(), K, scope) or 0.0)
    p50, p95 = np.percentile(times, [50, 95])
    # An exact search misses nothing by its nature: the sample only had to fail to refute that.
    by_nature = effort == EXACT and min(recalls) == 1.0
    lower = 1.0 if by_nature else recall_lower(recalls, K) or 0.0
    return Point(
        store=store.name, effort=effort, recall=float(np.mean(recalls)),
        recall_lower=lower, mean_ms=float(np.mean(times)),
        p50_ms=float(p50), p95_ms=float(p95), queries=len(queries),
    )  # fmt: skip


def point_of(row: Mapping[str, Any]) -> Point:
    return Point(**{field.name: row[field.name] for field in fields(Point)})


@transaction.atomic
def keep_points(index: StoreIndex, points: Sequence[Point]) -> None:
    """In place of those before; dropped where another index was put in place meanwhile."""
    held = StoreIndex.objects.select_for_update().filter(pk=index.pk).first()
    if held is None or held.generation != index.generation:
        return
    OperatingPoint.objects.filter(index=index).delete()
    OperatingPoint.objects.bulk_create(
        OperatingPoint(
            index=index, effort=p.effort, recall=p.recall, recall_lower=p.recall_lower,
            mean_ms=p.mean_ms, p50_ms=p.p50_ms, p95_ms=p.p95_ms, queries=p.queries,
            measured_at=timezone.now(),
        )
        for p in points
    )  # fmt: skip
