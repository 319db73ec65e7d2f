"""Vectors in this process: always exact, gone with the process. For tests, and as the floor."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fabric.core.parameters import Bounds
from fabric.core.scope import Scope
from fabric.core.vectors import Ids, Vectors, checked, nearest
from fabric.errors import IndexMissing
from fabric.ports import Batch, Found, Health, IndexSpec


@dataclass
class Kept:
    """One index: rows in the order they came."""

    ids: Ids
    vectors: Vectors
    partitions: NDArray[np.str_]
    rows: dict[int, int] = field(default_factory=dict)


class MemoryStore:
    """Brute force over numpy arrays; its one effort is the exact search."""

    name = "memory"
    efforts: tuple[int, ...] = ()
    parameters: Mapping[str, Bounds] = {}

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}

    def create(self, spec: IndexSpec) -> None:
        empty = np.empty((0, spec.dimension), np.float32)
        fresh = Kept(np.empty(0, np.int64), empty, np.empty(0, np.str_))
        self._kept.setdefault(spec.name, fresh)

    def add(self, spec: IndexSpec, batch: Batch) -> None:
        kept, vectors = self._of(spec), checked(batch.vectors, spec.dimension)
        fresh = [i for i, id_ in enumerate(batch.ids) if int(id_) not in kept.rows]
        for i, id_ in enumerate(batch.ids):
            if (row := kept.rows.get(int(id_))) is not None:
                kept.vectors[row], kept.partitions[row] = vectors[i], batch.partitions[i]
        start = len(kept.ids)
        kept.rows |= {int(batch.ids[i]): start + n for n, i in enumerate(fresh)}
        kept.ids = np.concatenate([kept.ids, batch.ids[fresh]])
        kept.vectors = np.concatenate([kept.vectors, vectors[fresh]])
        names = np.array([batch.partitions[i] for i in fresh], dtype=np.str_)
        kept.partitions = np.concatenate([kept.partitions, names])

    def build(self, spec: IndexSpec) -> None:
        self._of(spec)

    def search(
        self, spec: IndexSpec, query: Vectors, k: int, *, effort: int, scope: Scope, limit_ms: float
    ) -> Found:
        return self.exact(spec, query, k, scope=scope, limit_ms=limit_ms)

    def exact(
        self, spec: IndexSpec, query: Vectors, k: int, *, scope: Scope, limit_ms: float
    ) -> Found:
        kept, asked = self._of(spec), checked(query[None, :], spec.dimension)[0]
        inside = np.isin(kept.partitions, list(scope.partitions))
        if inside.all():
            order, distances = nearest(kept.vectors, asked, k)
            return Found(kept.ids[order], distances)
        order, distances = nearest(kept.vectors[inside], asked, k)
        return Found(kept.ids[inside][order], distances)

    def health(self, spec: IndexSpec) -> Health:
        kept = self._kept.get(spec.name)
        return Health("ready", len(kept.ids)) if kept else Health("not built", 0)

    def drop(self, spec: IndexSpec) -> None:
        self._kept.pop(spec.name, None)

    def close(self) -> None:
        """What was added stays: there is nowhere to read it from again."""

    def rows_of(self, spec: IndexSpec) -> Kept:
        """Everything that was added, as it lies."""
        return self._of(spec)

    def _of(self, spec: IndexSpec) -> Kept:
        if spec.name not in self._kept:
            raise IndexMissing(self.name, f"no index {spec.name}")
        return self._kept[spec.name]
