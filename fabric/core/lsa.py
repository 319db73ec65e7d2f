"""An embedding learned from the collection itself: no download, no network, no GPU.

Latent semantic analysis (Deerwester et al. 1990): words and five-letter word beginnings, weighted
(1 + ln tf)·idf and scaled to unit length, projected on the strongest directions of the collection,
which a seeded randomised SVD finds (Halko, Martinsson & Tropp 2011, two power iterations). It knows
which words of *this* collection occur together and nothing of language beyond that: a synonym that
the collection never uses stays unknown. docs/fabric.md has its nDCG.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

import numpy as np
import scipy  # by its parts, at first use: most processes need none
from numpy.typing import NDArray

from fabric.core.errors import FabricInvalid
from fabric.core.vectors import Vectors

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

WORD = re.compile(r"\w+")
STEM = 5
MAX_FEATURES = 50_000
OVERSAMPLE = 20
POWER_ITERATIONS = 2


@dataclass(frozen=True)
class Lsa:
    """A fitted projection; `version` is the hash of everything that decides a vector."""

    features: tuple[str, ...]
    weights: NDArray[np.float64]  # idf by feature
    projection: NDArray[np.float32]  # (features, dimension)

    @property
    def dimension(self) -> int:
        return int(self.projection.shape[1])

    @property
    def version(self) -> str:
        digest = hashlib.sha256("\n".join(self.features).encode())
        digest.update(self.weights.tobytes())
        digest.update(self.projection.tobytes())
        return f"lsa-{self.dimension}-{digest.hexdigest()[:12]}"


def features_of(text: str) -> Counter[str]:
    """Words, and the beginnings of longer ones, which stand in for a stemmer in any language."""
    words = WORD.findall(text.lower())
    found = Counter(words)
    found.update(f"^{w[:STEM]}" for w in words if len(w) > STEM)
    return found


def fit_lsa(texts: Sequence[str], *, dimension: int, seed: int) -> Lsa:
    """Learn the projection from a collection's texts.

    Raises:
        FabricInvalid: the texts share too few words for a projection of any size.
    """
    counted = [features_of(text) for text in texts]
    documents = Counter(feature for found in counted for feature in found)
    kept = sorted(f for f, n in documents.most_common(MAX_FEATURES) if n >= 2)
    dimension = min(dimension, len(kept), len(texts))
    if dimension < 2:
        raise FabricInvalid("texts", "they share too few words to learn an embedding from")
    weights = np.array([log((1 + len(texts)) / (1 + documents[f])) + 1 for f in kept])
    matrix = _weighted(counted, {f: i for i, f in enumerate(kept)}, weights)
    return Lsa(tuple(kept), weights, _directions(matrix, dimension, seed))


def embed_texts(
    model: Lsa, texts: Sequence[str], index: Mapping[str, int]
) -> tuple[Vectors, NDArray[np.bool_]]:
    """Unit vectors `(n, d)`, and which of them mean anything: a text of unknown words has none.

    Args:
        index: row of the projection by feature; the caller keeps it between calls.
    """
    matrix = _weighted([features_of(text) for text in texts], index, model.weights)
    vectors = np.asarray(matrix @ model.projection, dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    known = lengths[:, 0] > 1e-6
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-6), known


def _weighted(
    counted: Sequence[Counter[str]], index: Mapping[str, int], weights: NDArray[np.float64]
) -> "csr_matrix":
    rows, columns, values = [], [], []
    for row, found in enumerate(counted):
        for feature, n in found.items():
            if (column := index.get(feature)) is not None:
                rows.append(row)
                columns.append(column)
                values.append((1 + log(n)) * weights[column])
    shape = (len(counted), len(weights))
    matrix = scipy.sparse.csr_matrix((values, (rows, columns)), shape=shape, dtype=np.float64)
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    lengths[lengths == 0] = 1.0
    return scipy.sparse.csr_matrix(scipy.sparse.diags(1 / lengths) @ matrix)


def _directions(matrix: "csr_matrix", dimension: int, seed: int) -> NDArray[np.float32]:
    """The strongest right singular vectors `(features, dimension)`."""
    rng = np.random.default_rng(seed)
    sample = matrix @ rng.standard_normal((matrix.shape[1], dimension + OVERSAMPLE))
    for _ in range(POWER_ITERATIONS):
        basis, _ = np.linalg.qr(sample)
        sample = matrix @ (matrix.T @ basis)
    basis, _ = np.linalg.qr(sample)
    small = np.asarray((matrix.T @ basis).T)
    values, left = np.linalg.eigh(small @ small.T)
    order = np.argsort(values)[::-1][:dimension]
    right = small.T @ left[:, order] / np.sqrt(np.maximum(values[order], 1e-12))
    return np.asarray(right, dtype=np.float32)
