"""Reads of the fabric for its page."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import perf_counter

from fabric.asking import Answer, ask, embed_question, scope_for
from fabric.core.measures import recall_at
from fabric.core.parameters import Bounds, usual
from fabric.core.points import EXACT, Point, cheapest
from fabric.errors import StoreError
from fabric.models import Collection, Document, IndexBuild, RecallAudit, StoreIndex
from fabric.ports import Health
from fabric.stores import spec_of, store_named
from fabric.truth import read_truth

# A page reads the exact answer from every vector: 1 kB each at 256 dimensions.
MOST_EXACT = 100_000
K = 10


@dataclass(frozen=True, slots=True)
class IndexRow:
    """An index with what its store says of it now, and what would be chosen."""

    index: StoreIndex
    state: str
    detail: str
    indexed: int | None
    points: tuple[Point, ...]
    chosen: Point | None
    built_with: dict[str, int]
    choices: tuple[tuple[str, int, Bounds], ...]  # what may be chosen: name, as it is, bounds
    builds: tuple[IndexBuild, ...]


@dataclass(frozen=True, slots=True)
class CollectionRow:
    """A collection, its indexes and its newest audit."""

    collection: Collection
    documents: int
    indexes: tuple[IndexRow, ...]
    audit: RecallAudit | None


@dataclass(frozen=True, slots=True)
class ExactHit:
    """A document of the exact answer."""

    document: Document
    distance: float
    found: bool


@dataclass(frozen=True, slots=True)
class Tested:
    """A question's answer beside the exact one; `exact` is None where it was too much to read."""

    answer: Answer
    exact: tuple[ExactHit, ...] | None
    recall: float | None
    exact_ms: float | None


def collection_rows() -> list[CollectionRow]:
    return [collection_row(collection) for collection in Collection.objects.all()]


def collection_row(collection: Collection) -> CollectionRow:
    total = Document.objects.filter(collection=collection).count()
    indexes = StoreIndex.objects.filter(collection=collection).prefetch_related("points", "builds")
    return CollectionRow(
        collection=collection,
        documents=total,
        indexes=tuple(_index_row(index, total) for index in indexes),
        audit=RecallAudit.objects.filter(collection=collection).first(),
    )


def _index_row(index: StoreIndex, total: int) -> IndexRow:
    health = _health(index)
    state = health.state
    if state == "ready" and (health.indexed or 0) < total:
        state = "half-indexed"
    if index.state == StoreIndex.State.BUILDING and state != "down":
        state = "building"
    points = tuple(
        Point(index.store, p.effort, p.recall, p.recall_lower, p.mean_ms, p.p50_ms, p.p95_ms,
              p.queries)
        for p in index.points.all()
    )  # fmt: skip
    chosen = cheapest(
        points, target=index.collection.target_recall, limit_ms=index.collection.limit_ms,
        least_effort=index.least_effort,
    )  # fmt: skip
    detail = health.detail or index.problem
    bounds = _bounds(index.store)
    built_with = usual(bounds) | index.parameters
    choices = tuple((name, built_with[name], one) for name, one in bounds.items())
    builds = tuple(index.builds.all())
    return IndexRow(
        index, state, detail, health.indexed, points, chosen, built_with, choices, builds
    )


def _bounds(store: str) -> Mapping[str, Bounds]:
    """What may be chosen of a store; nothing where it cannot be used here."""
    try:
        return store_named(store).parameters
    except StoreError:
        return {}


def _health(index: StoreIndex) -> Health:
    try:
        return store_named(index.store).health(spec_of(index.collection, index))
    except StoreError as err:
        return Health(err.state, None, err.problem)


def tested(name: str, text: str, *, roles: Iterable[str], k: int = K) -> Tested:
    """A question and its exact answer side by side; not logged for the audit.

    Raises:
        UnknownCollection, FabricInvalid, EmbedderLost: nothing was asked.
    """
    roles = list(roles)
    answer = ask(name, text, roles=roles, k=k, keep=False)
    collection = Collection.objects.get(name=name)
    scope = scope_for(collection, roles)
    if not scope or Document.objects.filter(collection=collection).count() > MOST_EXACT:
        return Tested(answer, None, None, None)
    start = perf_counter()
    vector = embed_question(collection, text)
    ids, distances = read_truth(collection).exact(vector, k, scope)
    ms = 1e3 * (perf_counter() - start)
    rows = Document.objects.in_bulk([int(i) for i in ids])
    got = {hit.ranked.id for hit in answer.hits}
    exact = tuple(
        ExactHit(rows[int(i)], float(d), int(i) in got)
        for i, d in zip(ids, distances, strict=True)
    )  # fmt: skip
    found = [hit.ranked.distance for hit in answer.hits]
    return Tested(answer, exact, recall_at(k, found, [hit.distance for hit in exact]), ms)


def effort_words(effort: int) -> str:
    return "exact" if effort == EXACT else str(effort)
