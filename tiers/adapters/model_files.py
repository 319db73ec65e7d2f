"""Trained weights as safetensors files, whole or not at all, proved by their SHA-256."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
from safetensors.numpy import load, save

from tiers.core.forecast.errors import ModelCorrupt, ModelFileMissing, ModelUnusable
from tiers.core.forecast.weights import Weights

SCHEMA = "forecast-model/2"
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
    return hashlib.sha256(data).hexdigest()


def drop_partials(folder: Path) -> None:
    """Remove what writers left that were killed; nobody else may be writing."""
    for partial in folder.glob(".*.safetensors.*"):
        partial.unlink(missing_ok=True)


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
