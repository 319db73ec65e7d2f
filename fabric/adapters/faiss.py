"""faiss HNSW in files of the state folder: no server, one machine.

An index is one file, written beside and renamed, with its checksum in a second; a file that does
not match is refused as damaged and never searched. What was added is kept in this process until
`build` writes it: a killed build leaves the file before it, or none.

HNSW under a filter walks the whole graph and keeps what passes, so a narrow scope would find too
little. Below NARROW documents or a share of 1 / SPARSE the scope is read exactly, which is then the
faster way too; above, the effort is stretched by the share.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from fabric.adapters.memory import MemoryStore
from fabric.core.parameters import Bounds, usual
from fabric.core.scope import Scope
from fabric.core.vectors import Ids, Vectors, checked
from fabric.errors import IndexMissing, StoreDamaged, StoreError, StoreNotInstalled
from fabric.ports import Batch, Found, Health, IndexSpec

PARAMETERS = {"m": Bounds(4, 100, 32), "ef_construction": Bounds(8, 2000, 200)}
NARROW = 2_000
SPARSE = 20
MAX_EFFORT = 10_000


@dataclass(frozen=True)
class Loaded:
    """A file as read: the graph, and by position id and partition."""

    digest: str
    graph: Any
    ids: Ids
    partitions: NDArray[np.str_]


class FaissStore:
    """Files below `folder`, the state folder's own unless told otherwise."""

    name = "faiss"
    efforts: tuple[int, ...] = (16, 32, 64, 128, 256, 512, 1024)  # efSearch
    parameters: Mapping[str, Bounds] = PARAMETERS

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or settings.STATE_DIR / "fabric" / "faiss"
        self._added = MemoryStore()
        self._loaded: dict[str, Loaded] = {}
        self._lock = Lock()

    def create(self, spec: IndexSpec) -> None:
        self._faiss()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._added.create(spec)

    def add(self, spec: IndexSpec, batch: Batch) -> None:
        checked(batch.vectors, spec.dimension)
        if self._added.health(spec).state != "ready":
            raise IndexMissing(self.name, f"no index {spec.name}")
        if not self._added.health(spec).indexed and self._file(spec).exists():
            self._take_up(spec)
        self._added.add(spec, batch)

    def build(self, spec: IndexSpec) -> None:
        if not self._added.health(spec).indexed:
            self._load(spec)  # built before: only checked
            return
        faiss, kept = self._faiss(), self._added.rows_of(spec)
        wanted = usual(PARAMETERS) | spec.parameters
        graph = faiss.IndexHNSWFlat(spec.dimension, wanted["m"], faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = wanted["ef_construction"]
        graph.add(kept.vectors)
        self._write(spec, faiss.serialize_index(graph), kept.ids, kept.partitions)
        self._added.drop(spec)
        self._added.create(spec)

    def search(
        self, spec: IndexSpec, query: Vectors, k: int, *, effort: int, scope: Scope, limit_ms: float
    ) -> Found:
        faiss, asked = self._faiss(), checked(query[None, :], spec.dimension)
        loaded = self._load(spec)
        inside = np.isin(loaded.partitions, list(scope.partitions))
        within, total = int(inside.sum()), len(inside)
        if within < total and (within < NARROW or within * SPARSE < total):
            return self._read(loaded, inside, asked[0], k)
        parameters = faiss.SearchParametersHNSW()
        parameters.efSearch = min(MAX_EFFORT, max(k, effort * total // max(within, 1)))
        if within < total:
            bits = np.packbits(inside, bitorder="little")
            parameters.sel = faiss.IDSelectorBitmap(bits)
        scores, rows = loaded.graph.search(asked, k, params=parameters)
        kept = rows[0] >= 0
        return Found(loaded.ids[rows[0][kept]], (1 - scores[0][kept]).astype(np.float32))

    def exact(
        self, spec: IndexSpec, query: Vectors, k: int, *, scope: Scope, limit_ms: float
    ) -> Found:
        asked, loaded = checked(query[None, :], spec.dimension)[0], self._load(spec)
        inside = np.isin(loaded.partitions, list(scope.partitions))
        return self._read(loaded, inside, asked, k)

    def health(self, spec: IndexSpec) -> Health:
        try:
            return Health("ready", len(self._load(spec).ids))
        except IndexMissing:
            return Health("not built", 0)
        except StoreError as err:
            return Health(err.state, None, err.problem)

    def drop(self, spec: IndexSpec) -> None:
        self._added.drop(spec)
        self._loaded.pop(spec.name, None)
        for path in (self._sums(spec), self._file(spec)):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        self._loaded.clear()

    def _read(self, loaded: Loaded, inside: NDArray[np.bool_], query: Vectors, k: int) -> Found:
        """Every vector within the scope, straight from the graph's own storage."""
        faiss, rows = self._faiss(), np.flatnonzero(inside).astype(np.int64)
        if not len(rows):
            return Found(rows, np.empty(0, np.float32))
        flat = faiss.downcast_index(loaded.graph.storage)
        if len(rows) == len(inside):
            scores, found = flat.search(query[None, :], min(k, len(rows)))
        else:
            selected = faiss.SearchParameters(sel=faiss.IDSelectorBatch(rows))
            scores, found = flat.search(query[None, :], min(k, len(rows)), params=selected)
        return Found(loaded.ids[found[0]], (1 - scores[0]).astype(np.float32))

    def _take_up(self, spec: IndexSpec) -> None:
        """Go on from the file: its documents stand beside the new ones in the next build."""
        loaded = self._load(spec)
        vectors = loaded.graph.reconstruct_n(0, len(loaded.ids))
        self._added.add(spec, Batch(loaded.ids, vectors, loaded.partitions.tolist()))

    def _write(
        self, spec: IndexSpec, graph: NDArray[np.uint8], ids: Ids, partitions: NDArray[np.str_]
    ) -> None:
        partial = self._file(spec).with_suffix(".part")
        with partial.open("wb") as file:
            np.savez(file, graph=graph, ids=ids, partitions=partitions)
            file.flush()
            os.fsync(file.fileno())
        sums = {"sha256": _digest(partial), "dimension": spec.dimension, "count": len(ids)}
        partial.replace(self._file(spec))
        self._sums(spec).write_text(json.dumps(sums))

    def _load(self, spec: IndexSpec) -> Loaded:
        """The index from memory while its checksum file says the same, else from disk."""
        try:
            sums = json.loads(self._sums(spec).read_text())
        except FileNotFoundError as err:
            raise IndexMissing(self.name, f"no index {spec.name}") from err
        except ValueError as err:
            raise StoreDamaged(self.name, "its checksum file cannot be read") from err
        with self._lock:
            known = self._loaded.get(spec.name)
            if known is None or known.digest != sums["sha256"]:
                known = self._loaded[spec.name] = self._from_disk(spec, sums["sha256"])
        if known.graph.d != spec.dimension:
            problem = f"built with {known.graph.d} dimensions, the collection has {spec.dimension}"
            raise StoreDamaged(self.name, problem)
        return known

    def _from_disk(self, spec: IndexSpec, digest: str) -> Loaded:
        faiss, path = self._faiss(), self._file(spec)
        try:
            if _digest(path) != digest:
                raise StoreDamaged(self.name, f"{path.name} is not what was written")
            with np.load(path, allow_pickle=False) as read:
                graph = faiss.deserialize_index(read["graph"])
                return Loaded(digest, graph, read["ids"], read["partitions"])
        except OSError as err:
            raise StoreDamaged(self.name, f"{path.name} cannot be read: {err.strerror}") from err

    def _faiss(self) -> Any:
        """The library, loaded when first needed: it is heavy, and may be missing."""
        try:
            faiss = import_module("faiss")
        except ImportError as err:
            raise StoreNotInstalled(self.name, "install it: pip install faiss-cpu") from err
        faiss.omp_set_num_threads(1)  # one question, one core: the others serve other people
        return faiss

    def _file(self, spec: IndexSpec) -> Path:
        return self._folder / f"{spec.name}.npz"

    def _sums(self, spec: IndexSpec) -> Path:
        return self._folder / f"{spec.name}.json"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
