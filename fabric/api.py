"""HTTP API of the fabric: what its page shows, questions with their reasons, proposals to rebuild.

A question is answered within the roles of whoever asks, and logged for the audit as any other.
"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import Http404, HttpRequest
from ninja import Field, Router, Schema, Status

from fabric.asking import MAX_K, Answer, ask
from fabric.core.errors import FabricInvalid
from fabric.core.points import EXACT
from fabric.errors import EmbedderLost, StoreError, UnknownCollection
from fabric.models import Collection, IndexBuild, RecallAudit
from fabric.queries import CollectionRow, IndexRow, collection_row, collection_rows
from fabric.rebuild_plans import propose_rebuild
from infra_console.access.roles import roles_of
from infra_console.api.auth import require
from infra_console.api.pagination import Limit, cut_page, read_cursor
from infra_console.api.problems import Problem
from infra_console.plans.models import Plan

router = Router()
MAX_QUESTION = 2_000


class PointOut(Schema):
    """One measured effort; `exact` reads every vector and has no effort."""

    effort: int
    exact: bool
    chosen: bool
    recall: float
    recall_lower: float
    mean_ms: float
    p50_ms: float
    p95_ms: float
    queries: int


class BoundsOut(Schema):
    low: int
    high: int
    usual: int


class BuildOut(Schema):
    """An index beside the one in use: being built for a plan, or kept for its way back."""

    plan: UUID
    state: str
    parameters: dict[str, int]
    indexed: int
    problem: str
    ordered_at: datetime


class StoreOut(Schema):
    """`indexed` is null where the store cannot count; efforts below `least_effort` are unused."""

    store: str
    state: str
    detail: str
    indexed: int | None
    built_with: dict[str, int]
    may_be: dict[str, BoundsOut]
    generation: int
    built_at: datetime | None
    least_effort: int
    points: list[PointOut]
    builds: list[BuildOut]


class AuditOut(Schema):
    """`raised` names stores whose effort rose: from, to."""

    at: datetime
    queries: int
    recall: float
    recall_lower: float
    below_80: float
    target: float
    raised: dict[str, list[int]]


class CollectionOut(Schema):
    name: str
    state: str
    reason: str
    documents: int
    expected: int
    skipped: int
    embedder: str
    target_recall: float
    limit_ms: int
    ingested_at: datetime | None
    audit: AuditOut | None
    stores: list[StoreOut]


class Collections(Schema):
    items: list[CollectionOut]


class Audits(Schema):
    items: list[AuditOut]
    next_cursor: str


class AskIn(Schema):
    """`partitions` narrow what the roles give, never widen it."""

    text: Annotated[str, Field(max_length=MAX_QUESTION)] = ""
    k: Annotated[int, Field(ge=1, le=MAX_K)] = 10
    partitions: list[str] | None = None


class HitOut(Schema):
    key: str
    title: str
    text: str
    partition: str
    metadata: dict[str, Any]
    distance: float
    stores: list[str]


class AskedOut(Schema):
    store: str
    effort: int
    exact: bool


class AnswerOut(Schema):
    """`partial` says that a store failed or was left out, or that the target is not proven."""

    hits: list[HitOut]
    partial: bool
    proven: bool
    asked: list[AskedOut]
    reasons: list[str]
    problems: dict[str, str]
    left_out: dict[str, str]
    ms: float


class RebuildIn(Schema):
    """What is not named is as it is usual for the store."""

    store: str = ""
    parameters: dict[str, int] = Field(default_factory=dict)


class ProposedOut(Schema):
    id: UUID
    number: int
    state: str
    title: str
    hash: str


@router.get("/collections", response=Collections)
def list_collections(request: HttpRequest) -> dict[str, Any]:
    """Every collection with its stores, their operating points and the newest audit."""
    require(request, "view")
    return {"items": [_collection(row) for row in collection_rows()]}


@router.get("/collections/{slug:name}", response=CollectionOut)
def get_collection(request: HttpRequest, name: str) -> dict[str, Any]:
    require(request, "view")
    return _collection(collection_row(_named(name)))


@router.get("/collections/{slug:name}/audits", response=Audits)
def list_audits(
    request: HttpRequest, name: str, cursor: str = "", limit: Limit = 50
) -> dict[str, Any]:
    """Its audits, newest first."""
    require(request, "view")
    rows = RecallAudit.objects.filter(collection=_named(name))
    before = read_cursor(cursor)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows[: limit + 1])
    items, next_cursor = cut_page(found, [audit.pk for audit in found], limit)
    return {"items": items, "next_cursor": next_cursor}


@router.post("/collections/{slug:name}/ask", response=AnswerOut)
def ask_collection(request: HttpRequest, name: str, question: AskIn) -> dict[str, Any]:
    """The nearest documents that the caller's roles may read, and why they were found so."""
    user = require(request, "view")
    try:
        answer = ask(
            name, question.text, roles=roles_of(user), k=question.k,
            partitions=question.partitions,
        )  # fmt: skip
    except UnknownCollection as err:
        raise Http404 from err
    except FabricInvalid as err:
        raise Problem(422, "invalid", str(err)) from err
    except EmbedderLost as err:
        raise Problem(409, "embedding-lost", str(err)) from err
    return _answer(answer)


@router.post("/collections/{slug:name}/rebuild", response={201: ProposedOut})
def rebuild(request: HttpRequest, name: str, wish: RebuildIn) -> Status[Plan]:
    """Propose to build one index anew, as a plan under review in the caller's name."""
    user = require(request, "plan.propose")
    try:
        return Status(201, propose_rebuild(name, wish.store, wish.parameters, by=user))
    except UnknownCollection as err:
        raise Http404 from err
    except FabricInvalid as err:
        raise Problem(422, "invalid", f"{err}. Nothing was proposed.") from err
    except StoreError as err:
        raise Problem(409, "store-unusable", f"{err}. Nothing was proposed.") from err


def _named(name: str) -> Collection:
    found = Collection.objects.filter(name=name).first()
    if found is None:
        raise Http404
    return found


def _collection(row: CollectionRow) -> dict[str, Any]:
    plain = ("name", "state", "reason", "expected", "skipped", "embedder", "target_recall",
             "limit_ms", "ingested_at")  # fmt: skip
    return {name: getattr(row.collection, name) for name in plain} | {
        "documents": row.documents, "audit": row.audit,
        "stores": [_store(index) for index in row.indexes],
    }  # fmt: skip


def _store(row: IndexRow) -> dict[str, Any]:
    index = row.index
    return {
        "store": index.store, "state": row.state, "detail": row.detail, "indexed": row.indexed,
        "built_with": row.built_with, "may_be": {name: one for name, _, one in row.choices},
        "generation": index.generation, "built_at": index.built_at,
        "least_effort": index.least_effort,
        "points": [
            {**{name: getattr(p, name) for name in PointOut.model_fields if hasattr(p, name)},
             "exact": p.effort == EXACT, "chosen": p == row.chosen}
            for p in row.points
        ],
        "builds": [_build(build) for build in row.builds],
    }  # fmt: skip


def _build(build: IndexBuild) -> dict[str, Any]:
    return {name: getattr(build, name) for name in BuildOut.model_fields}


def _answer(answer: Answer) -> dict[str, Any]:
    plain = ("key", "title", "text", "partition", "metadata")
    return {
        "hits": [
            {name: getattr(hit.document, name) for name in plain}
            | {"distance": hit.ranked.distance, "stores": list(hit.ranked.stores)}
            for hit in answer.hits
        ],
        "partial": answer.partial, "proven": answer.route.proven,
        "asked": [
            {"store": a.store, "effort": a.effort, "exact": a.effort == EXACT}
            for a in answer.route.asks
        ],
        "reasons": list(answer.route.reasons), "problems": answer.problems,
        "left_out": dict(answer.route.left_out), "ms": answer.ms,
    }  # fmt: skip
