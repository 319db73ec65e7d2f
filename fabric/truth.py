"""The exact answer, from the vectors that PostgreSQL keeps: what every store is held against."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fabric.core.measures import recall_at
from fabric.core.scope import Scope
from fabric.core.vectors import Ids, Vectors, nearest
from fabric.models import Collection, Document

CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class Truth:
    """Every vector of a collection, in the order of their ids."""

    ids: Ids
    vectors: Vectors
    partitions: NDArray[np.str_]

    def exact(self, query: Vectors, k: int, scope: Scope) -> tuple[Ids, NDArray[np.float32]]:
        inside = np.isin(self.partitions, list(scope.partitions))
        order, distances = nearest(self.vectors[inside], query, k)
        return self.ids[inside][order], distances

    def distances(self, query: Vectors, ids: Iterable[int]) -> list[float]:
        """Exact distances of these documents; one that is gone is left out."""
        wanted = np.fromiter(dict.fromkeys(ids), dtype=np.int64)
        rows = np.searchsorted(self.ids, wanted)
        wanted, rows = wanted[rows < len(self.ids)], rows[rows < len(self.ids)]
        rows = rows[self.ids[rows] == wanted]
        return [float(d) for d in 1.0 - self.vectors[rows] @ query]

    def recall(self, query: Vectors, found: Sequence[int], k: int, scope: Scope) -> float | None:
        """Recall of an answer against the exact one; None where nothing is in scope."""
        _, distances = self.exact(query, k, scope)
        return recall_at(k, self.distances(query, found), [float(d) for d in distances])


def read_truth(collection: Collection) -> Truth:
    """All of a collection's vectors: 1 kB a document at 256 dimensions."""
    rows = Document.objects.filter(collection=collection).order_by("pk")
    ids: list[int] = []
    partitions: list[str] = []
    parts: list[bytes] = []
    for pk, partition, vector in rows.values_list("pk", "partition", "vector").iterator(CHUNK):
        ids.append(pk)
        partitions.append(partition)
        parts.append(bytes(vector))
    vectors = np.frombuffer(b"".join(parts), dtype=np.float32)
    shape = (len(ids), collection.dimension)
    return Truth(np.array(ids, dtype=np.int64), vectors.reshape(shape), np.array(partitions))


def vector_of(kept: bytes | memoryview) -> Vectors:
    return np.frombuffer(bytes(kept), dtype=np.float32)
