"""The learned embedding as a file of the state folder, checked by its own version when read."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from fabric.core.lsa import Lsa, embed_texts, fit_lsa
from fabric.core.vectors import Vectors
from fabric.errors import EmbedderLost

DIMENSION = 256
SEED = 1


class LsaEmbedder:
    """The port over a fitted projection."""

    def __init__(self, model: Lsa) -> None:
        self._model = model
        self._index = {feature: row for row, feature in enumerate(model.features)}
        self.version = model.version
        self.dimension = model.dimension

    def embed(self, texts: Sequence[str]) -> tuple[Vectors, NDArray[np.bool_]]:
        return embed_texts(self._model, texts, self._index)


def fit_embedder(texts: Sequence[str], *, dimension: int = DIMENSION) -> LsaEmbedder:
    return LsaEmbedder(fit_lsa(texts, dimension=dimension, seed=SEED))


def keep_embedder(embedder: LsaEmbedder) -> None:
    """Write it once; the same version is the same file."""
    model, path = embedder._model, _path(embedder.version)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez(
            file, features=np.array(model.features), weights=model.weights,
            projection=model.projection,
        )  # fmt: skip
    partial.replace(path)


@cache
def kept_embedder(version: str) -> LsaEmbedder:
    """The embedding of this version.

    Raises:
        EmbedderLost: its file is gone or is not what was written.
    """
    try:
        with np.load(_path(version), allow_pickle=False) as read:
            features = tuple(str(f) for f in read["features"])
            embedder = LsaEmbedder(Lsa(features, read["weights"], read["projection"]))
    except (OSError, ValueError, KeyError) as err:
        raise EmbedderLost(version, "its file is gone or cannot be read") from err
    if embedder.version != version:
        raise EmbedderLost(version, "its file is not what was written")
    return embedder


def _path(version: str) -> Path:
    return Path(settings.STATE_DIR) / "fabric" / "embedders" / f"{version}.npz"
