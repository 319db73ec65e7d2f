"""Taking in a collection's folder: each stage finds what the last try left, and goes on.

Killed anywhere and run again, no document and no vector is there twice: documents by their key,
vectors by the document's id, files written beside and renamed.
"""

import logging
from collections.abc import Callable, Sequence

from django.db import transaction
from django.utils import timezone

from fabric.adapters.embedder import LsaEmbedder, fit_embedder, keep_embedder, kept_embedder
from fabric.adapters.folder import Folder
from fabric.core.errors import FabricInvalid
from fabric.core.files import Text
from fabric.core.scope import ALL
from fabric.errors import EmbedderLost, StoreError
from fabric.filling import BATCH, fill_index
from fabric.locks import alone
from fabric.measure import measure_points
from fabric.models import Collection, Document, QueryLog, SampleQuery, StoreIndex
from fabric.stores import spec_of, store_named
from infra_console.audit.services import record_audit
from infra_console.live.services import publish

log = logging.getLogger(__name__)

EVERYONE = {"viewer": [ALL], "planner": [ALL], "approver": [ALL], "operator": [ALL], "admin": [ALL]}
Progress = Callable[[str, int, int], None]


def ingest_folder(
    folder: Folder, *,
    name: str, by: str, stores: Sequence[str],
    rights: dict[str, list[str]] | None = None, partition_by: str | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Collection:  # fmt: skip
    """Documents, vectors, indexes and operating points of a folder, or what is missing of them.

    Args:
        rights: partitions by role; None keeps those it has, and opens a new collection to everybody
            who may see pages.
        partition_by: the metadata field whose value is a document's partition; None keeps it.

    Raises:
        FabricInvalid: the folder breaks its form, or the name holds another corpus.
        IngestRunning: another process is at it.
    """
    with alone(name):
        texts = list(folder.corpus())
        collection = _collection(
            name, folder.digest(), len(texts), rights=rights, partition_by=partition_by, by=by
        )
        try:
            embedder = _embedder(collection, texts)
        except FabricInvalid as err:
            _save(collection, state=Collection.State.FAILED, reason=str(err))
            raise
        _add_documents(collection, texts, embedder, progress)
        _add_samples(collection, folder)
        for store in stores:
            index_store(collection, store, progress=progress)
        measure_points(collection, progress=progress)
        _save(collection, state=Collection.State.READY, reason="", ingested_at=timezone.now())
    return collection


def index_store(
    collection: Collection, store: str, *,
    parameters: dict[str, int] | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> StoreIndex:  # fmt: skip
    """Bring a store's index up to the collection; a store that fails is kept with its reason."""
    index, _ = StoreIndex.objects.get_or_create(
        collection=collection, store=store, defaults={"parameters": parameters or {}}
    )
    try:
        count = _fill(collection, index, progress)
    except StoreError as err:
        words = f"{err.state}: {err.problem}"
        StoreIndex.objects.filter(pk=index.pk).update(state=StoreIndex.State.FAILED, problem=words)
    else:
        StoreIndex.objects.filter(pk=index.pk).update(
            state=StoreIndex.State.READY, problem="", indexed=count, built_at=timezone.now()
        )
    publish("fabric", collection.name, index.pk)
    index.refresh_from_db()
    return index


def _fill(collection: Collection, index: StoreIndex, progress: Progress) -> int:
    def noted(done: int, total: int) -> None:
        StoreIndex.objects.filter(pk=index.pk).update(indexed=done)
        progress(index.store, done, total)

    store, spec = store_named(index.store), spec_of(collection, index)
    return fill_index(collection, store, spec, noted=noted)


@transaction.atomic
def _collection(
    name: str, digest: str, expected: int, *,
    rights: dict[str, list[str]] | None, partition_by: str | None, by: str,
) -> Collection:  # fmt: skip
    """The collection of this name, new or as it was left; rights that were given hold at once."""
    collection, fresh = Collection.objects.get_or_create(
        name=name,
        defaults={
            "digest": digest, "expected": expected, "rights": rights or EVERYONE,
            "partition_by": partition_by or "", "created_at": timezone.now(),
        },
    )  # fmt: skip
    if collection.digest != digest:
        raise FabricInvalid(name, "it holds another corpus; choose another name")
    if partition_by is not None and partition_by != collection.partition_by:
        kept = collection.partition_by or "no field"
        raise FabricInvalid(name, f"its partitions go by {kept}; choose another name")
    changed = rights is not None and rights != collection.rights
    if changed:
        _save(collection, rights=rights)
    if fresh or changed:
        record_audit(
            actor=by, action="fabric.collection_added" if fresh else "fabric.rights_changed",
            object_kind="collection", object_id=name,
            detail={"documents": expected, "rights": collection.rights, "sha256": digest},
        )  # fmt: skip
    return collection


def _embedder(collection: Collection, texts: Sequence[Text]) -> LsaEmbedder:
    """The collection's embedding. A lost one is learned again; where that gives another (floating
    point differs between machines and numbers of threads), everything starts over with it."""
    try:
        return kept_embedder(collection.embedder)
    except EmbedderLost:
        embedder = fit_embedder([text.whole for text in texts])
    if collection.embedder and embedder.version != collection.embedder:
        _forget_vectors(collection)
    keep_embedder(embedder)
    _save(collection, embedder=embedder.version, dimension=embedder.dimension)
    return embedder


def _forget_vectors(collection: Collection) -> None:
    """Everything in the directions of an embedding that is gone: no new question could meet it."""
    for index in StoreIndex.objects.filter(collection=collection).prefetch_related("builds"):
        specs = [spec_of(collection, index), *(spec_of(collection, b) for b in index.builds.all())]
        try:
            for spec in specs:
                store_named(index.store).drop(spec)
        except StoreError as err:
            log.warning("An index of %s stays behind: %s", collection.name, err)
    for model in (StoreIndex, QueryLog, Document):
        model.objects.filter(collection=collection).delete()


def _add_documents(
    collection: Collection, texts: Sequence[Text], embedder: LsaEmbedder, progress: Progress
) -> None:  # fmt: skip
    rows = Document.objects.filter(collection=collection)
    there = set(rows.values_list("key", flat=True))
    missing = [text for text in texts if text.key not in there]
    for start in range(0, len(missing), BATCH):
        some = missing[start : start + BATCH]
        vectors, known = embedder.embed([text.whole for text in some])
        Document.objects.bulk_create(
            [
                Document(
                    collection=collection, key=text.key, title=text.title, text=text.body,
                    partition=text.partition(collection.partition_by), metadata=text.metadata,
                    vector=vector.tobytes(),
                )
                for text, vector, is_known in zip(some, vectors, known, strict=True)
                if is_known
            ]
        )  # fmt: skip
        progress("documents", len(there) + start + len(some), len(texts))
        publish("fabric", collection.name, start)
    _save(collection, skipped=len(texts) - rows.count())


def _add_samples(collection: Collection, folder: Folder) -> None:
    SampleQuery.objects.bulk_create(
        [SampleQuery(collection=collection, key=k, text=t) for k, t in folder.queries().items()],
        ignore_conflicts=True,
    )


def _save(collection: Collection, **fields: object) -> None:
    """These fields and no others: a whole row would undo what others wrote meanwhile."""
    Collection.objects.filter(pk=collection.pk).update(**fields)
    collection.refresh_from_db()
