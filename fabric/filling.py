"""Bringing one index up to its collection: what is missing of it is added, then it is built.

Documents are added in the order of their ids, a batch at once, so a count says which are there: an
index that was left half way is gone on with, and nothing is in it twice.
"""

from collections.abc import Callable

import numpy as np

from fabric.models import Collection, Document
from fabric.ports import Batch, IndexSpec, VectorStore

BATCH = 500
Noted = Callable[[int, int], None]


def fill_index(collection: Collection, store: VectorStore, spec: IndexSpec, *, noted: Noted) -> int:
    """Add, build, and count.

    Args:
        noted: told after each batch how many documents are there, and of how many; what it raises
            ends the filling between two batches.

    Raises:
        StoreError: the store cannot be used; what was added stays.
    """
    store.create(spec)
    done = store.health(spec).indexed or 0
    rows = Document.objects.filter(collection=collection).order_by("pk")
    total = rows.count()
    while done < total:
        some = list(rows[done : done + BATCH].values_list("pk", "partition", "vector"))
        vectors = np.frombuffer(b"".join(bytes(v) for _, _, v in some), dtype=np.float32)
        ids = np.array([pk for pk, _, _ in some], dtype=np.int64)
        shaped = vectors.reshape(len(some), collection.dimension)
        store.add(spec, Batch(ids, shaped, [partition for _, partition, _ in some]))
        done += len(some)
        noted(done, total)
    store.build(spec)
    return store.health(spec).indexed or 0
