"""Trained weights as safetensors files, whole or not at all, proved by their SHA-256."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
from safetensors.numpy import load, save

from tiers.core.forecast.errors import ModelCorrupt, ModelFileMissing, ModelUnusable
from tiers.core.forecast.weights import Weights

SCHEMA = "forecast-model/2"
_CHECKPOINT = ".checkpoint"
_LENGTH_BYTES = 8  # safetensors begins with its header's length


@dataclass(frozen=True, slots=True, eq=False)
class StoredModel:
    """What a file holds: the weights and the time up to which they have seen the series."""

    weights: Weights
    seen_until_s: float


def save_model(path: Path, weights: Weights, *, seen_until_s: float) -> str:
    """Write a file that appears whole; returns its SHA-256 in hexadecimal. Raises OSError."""
    # One entry: safetensors writes several in an order of chance, and the hash would differ.
    data = save(dict(weights), metadata={SCHEMA: repr(seen_until_s)})
    _write_whole(path, data)
    return hashlib.sha256(data).hexdigest()


def _write_whole(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def drop_partials(folder: Path) -> None:
    """Remove what writers left that were killed; nobody else may be writing."""
    for pattern in (".*.safetensors.*", f".*{_CHECKPOINT}.*"):
        for partial in folder.glob(pattern):
            partial.unlink(missing_ok=True)


class CheckpointFiles:
    """What a training under way has reached, a file for each network, its SHA-256 in its name.

    The next training of the same version goes on from there; those of others are removed.
    """

    def __init__(self, folder: Path, version: str) -> None:
        self.folder, self.version = folder, version
        for path in folder.glob(f".*{_CHECKPOINT}"):
            if not path.name.startswith(f".{version}."):
                path.unlink(missing_ok=True)

    def load(self, kind: str) -> Mapping[str, np.ndarray] | None:
        """None where there is none, or it is not what was written."""
        for path in self._of(kind):
            try:
                data = path.read_bytes()
                if f".{hashlib.sha256(data).hexdigest()}{_CHECKPOINT}" in path.name:
                    found: Mapping[str, np.ndarray] = load(data)
                    return found
            except (OSError, safetensors.SafetensorError):
                continue
        return None

    def keep(self, kind: str, state: Mapping[str, np.ndarray]) -> None:
        """Write the state whole, then remove the one before. Raises OSError."""
        data = save({name: np.ascontiguousarray(value) for name, value in state.items()})
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.folder / f".{self.version}.{kind}.{sha256}{_CHECKPOINT}"
        before = self._of(kind)
        _write_whole(path, data)
        for old in before:
            if old != path:
                old.unlink(missing_ok=True)

    def drop(self) -> None:
        """The training has ended: nothing of it is needed."""
        for path in self.folder.glob(f".{self.version}.*{_CHECKPOINT}"):
            path.unlink(missing_ok=True)

    def _of(self, kind: str) -> list[Path]:
        return list(self.folder.glob(f".{self.version}.{kind}.*{_CHECKPOINT}"))


def load_model(path: Path, *, sha256: str) -> StoredModel:
    """Read a file back.

    Raises:
        ModelFileMissing: there is none, or it cannot be read.
        ModelCorrupt: it is not the file that was recorded, or not in our format.
    """
    try:
        data = path.read_bytes()
    except OSError as err:
        raise ModelFileMissing(path.name, f"cannot be read: {err.strerror}") from err
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ModelCorrupt(path.name, "its SHA-256 is not the recorded one")
    try:
        weights = load(data)
        seen_until_s = _metadata(data).get(SCHEMA)
        if seen_until_s is None:
            raise ModelCorrupt(path.name, f"its schema is not {SCHEMA}")
        return StoredModel(weights, float(seen_until_s))
    except ModelUnusable:
        raise
    except (safetensors.SafetensorError, ValueError, TypeError) as err:
        raise ModelCorrupt(path.name, "it is not a model file") from err


def _metadata(data: bytes) -> Mapping[str, str]:
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
    found: Mapping[str, str] = header.get("__metadata__", {})
    return found
