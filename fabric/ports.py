"""What the fabric asks of the outside: stores of vectors, and something that embeds texts.

Every store keeps one promise, tests/fabric/test_store_contract.py: adding is idempotent by id,
searches stay within the partitions they are given, an exact search misses nothing, vectors of
another dimension or with NaN are refused as a whole, and what was only partly added is counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fabric.core.parameters import Bounds
from fabric.core.scope import Scope
from fabric.core.vectors import Ids, Vectors


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """One index of one collection. Names are of our making: lower case, digits, underscores."""

    name: str
    dimension: int
    parameters: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """Documents to index: `ids` `(n,)`, `vectors` `(n, d)` of unit length, a partition each."""

    ids: Ids
    vectors: Vectors
    partitions: Sequence[str]


@dataclass(frozen=True, slots=True)
class Found:
    """Nearest first: ids and distances (1 − cosine) as the store computed them."""

    ids: Ids
    distances: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Health:
    """`ready`, or why not; `indexed` is None where it cannot be counted."""

    state: str
    indexed: int | None
    detail: str = ""


class VectorStore(Protocol):
    """Every verb raises a StoreError when the store cannot be used; `limit_ms` bounds a search."""

    name: str
    efforts: tuple[int, ...]  # what `search` may be asked for, least first
    parameters: Mapping[str, Bounds]  # what `create` and `build` take of a spec

    def create(self, spec: IndexSpec) -> None:
        """Make the index unless it exists."""

    def add(self, spec: IndexSpec, batch: Batch) -> None:
        """Add or replace documents; the same batch twice changes nothing."""

    def build(self, spec: IndexSpec) -> None:
        """Make what was added fast to search and safe on disk; may be called again."""

    def search(
        self, spec: IndexSpec, query: Vectors, k: int, *, effort: int, scope: Scope, limit_ms: float
    ) -> Found: ...

    def exact(
        self, spec: IndexSpec, query: Vectors, k: int, *, scope: Scope, limit_ms: float
    ) -> Found: ...

    def health(self, spec: IndexSpec) -> Health: ...

    def drop(self, spec: IndexSpec) -> None:
        """Remove the index; one that is not there is no error."""

    def close(self) -> None:
        """Give back connections and memory; the next verb takes them again."""


class Embedder(Protocol):
    """Texts to unit vectors; `version` changes whenever the vectors would."""

    version: str
    dimension: int

    def embed(self, texts: Sequence[str]) -> tuple[Vectors, NDArray[np.bool_]]:
        """Vectors `(n, d)`, and which texts could be embedded at all."""
