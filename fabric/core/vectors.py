"""Vectors as every store takes them: float32, finite, of unit length. Distance is 1 − cosine."""

import numpy as np
from numpy.typing import NDArray

from fabric.core.errors import FabricInvalid, NotFinite, WrongDimension

Vectors = NDArray[np.float32]
Ids = NDArray[np.int64]
# Stores add in other orders and widths: float32 distances of the same pair differ by less.
TIE = 1e-5


def checked(vectors: Vectors, dimension: int) -> Vectors:
    """The vectors `(n, d)` as float32.

    Raises:
        WrongDimension, NotFinite, FabricInvalid: they are refused as a whole.
    """
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != dimension:
        raise WrongDimension(rows.shape[-1] if rows.ndim else 0, dimension)
    if not np.isfinite(rows).all():
        raise NotFinite
    lengths = np.linalg.norm(rows, axis=1)
    if len(rows) and np.abs(lengths - 1).max() > 1e-3:
        raise FabricInvalid("vector", "it is not of unit length")
    return rows


def nearest(vectors: Vectors, query: Vectors, k: int) -> tuple[NDArray[np.intp], Vectors]:
    """Rows nearest to `query` `(d,)`, nearest first, and their distances; at most `k`."""
    distances = np.asarray(1.0 - vectors @ query, dtype=np.float32)
    k = min(k, len(distances))
    if k == 0:
        return np.empty(0, np.intp), distances[:0]
    some = np.argpartition(distances, k - 1)[:k]
    order = some[np.lexsort((some, distances[some]))]
    return order, distances[order]
