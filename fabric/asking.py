"""Asking a collection: rights, route, stores side by side, exact rerank, and the reasons.

A store that fails is named in the answer and the question is routed again without it, until one
answers or none is left.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from django.utils import timezone

from fabric.adapters.embedder import kept_embedder
from fabric.core.errors import FabricInvalid, NothingToEmbed, WrongDimension
from fabric.core.fuse import Ranked, candidates, fuse
from fabric.core.points import Point
from fabric.core.route import Ask, Route, StoreView, choose_route
from fabric.core.scope import Scope, narrowed, readable
from fabric.core.vectors import Vectors
from fabric.errors import StoreError, StoreSlow, UnknownCollection
from fabric.measure import search_with
from fabric.models import Collection, Document, QueryLog, StoreIndex
from fabric.ports import Found, IndexSpec, VectorStore
from fabric.stores import spec_of, store_named
from fabric.truth import vector_of

MAX_K = 100
# Searches in faiss cannot be stopped: one beyond its limit keeps its thread until it ends.
_threads = ThreadPoolExecutor(8, thread_name_prefix="fabric")


@dataclass(frozen=True, slots=True)
class Hit:
    """A document of the answer."""

    ranked: Ranked
    document: Document


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found and why so. `partial` means that something which should have answered did
    not, or that the target is not proven; `problems` says what, by store."""

    hits: tuple[Hit, ...]
    route: Route
    problems: dict[str, str]
    ms: float
    partial: bool


def ask(
    name: str, text: str, *, roles: Iterable[str], k: int = 10,
    partitions: Iterable[str] | None = None, keep: bool = True,
) -> Answer:  # fmt: skip
    """The k documents nearest to the text that these roles may read.

    Args:
        partitions: only within these.
        keep: log the question for the audit.

    Raises:
        UnknownCollection, FabricInvalid, EmbedderLost: nothing was asked.
    """
    start = perf_counter()
    collection = Collection.objects.filter(name=name).first()
    if collection is None:
        raise UnknownCollection(name)
    if not 1 <= k <= MAX_K:
        raise FabricInvalid("k", f"between 1 and {MAX_K}")
    scope = scope_for(collection, roles, partitions)
    vector = embed_question(collection, text) if scope else np.empty(0, np.float32)
    route, found, problems = _searched(collection, vector, k, scope)
    hits = _reranked(collection, vector, found, k, scope)
    ms = 1e3 * (perf_counter() - start)
    partial = bool(problems or route.left_out or not route.proven)
    answer = Answer(hits, route, problems, ms, partial)
    if keep and scope and found:
        _log(collection, vector, scope, k, answer, found)
    return answer


def scope_for(
    collection: Collection, roles: Iterable[str], asked: Iterable[str] | None = None
) -> Scope:
    existing = (
        Document.objects.filter(collection=collection).values_list("partition", flat=True)
    )  # fmt: skip
    return narrowed(readable(collection.rights, roles, existing.distinct().order_by()), asked)


def embed_question(collection: Collection, text: str) -> Vectors:
    """Raises NothingToEmbed where the collection knows none of its words."""
    vectors, known = kept_embedder(collection.embedder).embed([text])
    if not known[0]:
        raise NothingToEmbed
    return np.asarray(vectors[0], dtype=np.float32)


def store_views(collection: Collection) -> list[StoreView]:
    """Each index as the router sees it; one that misses documents is not ready."""
    total = Document.objects.filter(collection=collection).count()
    indexes = StoreIndex.objects.filter(collection=collection).prefetch_related("points")
    return [
        StoreView(
            name=index.store,
            points=tuple(
                Point(index.store, p.effort, p.recall, p.recall_lower, p.mean_ms, p.p50_ms,
                      p.p95_ms, p.queries)
                for p in index.points.all()
            ),
            problem=_problem(index, total),
            least_effort=index.least_effort,
        )
        for index in indexes
    ]  # fmt: skip


def _problem(index: StoreIndex, total: int) -> str:
    if index.state == StoreIndex.State.FAILED:
        return index.problem or "failed"
    if index.indexed < total:
        return f"half-indexed: {index.indexed} of {total} documents"
    if index.state != StoreIndex.State.READY:
        return "building"
    return index.problem


def _searched(
    collection: Collection, vector: Vectors, k: int, scope: Scope
) -> tuple[Route, dict[str, Found], dict[str, str]]:
    """The first route that somebody answers, and those that failed on the way."""
    views, problems = store_views(collection), dict[str, str]()
    while True:
        route = choose_route(
            views, scope, target=collection.target_recall, limit_ms=collection.limit_ms
        )
        found, failed = _run(collection, route.asks, vector, k, scope)
        problems |= failed
        if found or not route.asks:
            return route, found, problems
        views = [replace(v, problem=v.problem or failed.get(v.name, "")) for v in views]


def _run(
    collection: Collection, asks: Sequence[Ask], vector: Vectors, k: int, scope: Scope
) -> tuple[dict[str, Found], dict[str, str]]:
    """Every ask at once, each within the collection's time limit."""
    deadline = perf_counter() + collection.limit_ms / 1e3
    indexes = {i.store: i for i in StoreIndex.objects.filter(collection=collection)}
    running: dict[str, Future[Found]] = {}
    found: dict[str, Found] = {}
    failed: dict[str, str] = {}
    for item in asks:
        try:
            store = store_named(item.store)
        except StoreError as err:
            failed[item.store] = _words(err)
            continue
        spec = spec_of(collection, indexes[item.store])
        running[item.store] = _threads.submit(
            _one, store, spec, vector, k, item.effort, scope, float(collection.limit_ms)
        )
    for name, future in running.items():
        try:
            found[name] = future.result(timeout=max(0.0, deadline - perf_counter()))
        except TookTooLong:
            failed[name] = _words(StoreSlow(name, f"no answer within {collection.limit_ms} ms"))
        except WrongDimension as err:
            failed[name] = f"wrong dimension: {err.problem}"
        except StoreError as err:
            failed[name] = _words(err)
    return found, failed


def _one(
    store: VectorStore, spec: IndexSpec, vector: Vectors, k: int, effort: int, scope: Scope,
    limit_ms: float,
) -> Found:  # fmt: skip
    return search_with(store, spec, vector, k, effort=effort, scope=scope, limit_ms=limit_ms)


def _words(err: StoreError) -> str:
    return f"{err.state}: {err.problem}"


def _reranked(
    collection: Collection, vector: Vectors, found: dict[str, Found], k: int, scope: Scope
) -> tuple[Hit, ...]:
    """Exact distances from our own vectors, of documents within the scope and no others."""
    ids = {name: [int(i) for i in one.ids] for name, one in found.items()}
    rows = Document.objects.filter(
        collection=collection, partition__in=scope.partitions, pk__in=candidates(ids.values())
    ).in_bulk()
    distances = {pk: float(1.0 - vector_of(row.vector) @ vector) for pk, row in rows.items()}
    return tuple(Hit(ranked, rows[ranked.id]) for ranked in fuse(ids, distances, k))


def _log(
    collection: Collection, vector: Vectors, scope: Scope, k: int, answer: Answer,
    found: dict[str, Found],
) -> None:  # fmt: skip
    QueryLog.objects.create(
        collection=collection, at=timezone.now(), vector=vector.tobytes(),
        partitions=sorted(scope.partitions), k=k,
        asks=[[a.store, a.effort] for a in answer.route.asks if a.store in found],
        results=[hit.ranked.id for hit in answer.hits], ms=answer.ms, partial=answer.partial,
    )  # fmt: skip
