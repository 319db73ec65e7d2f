"""Trained weights on disk: whole, proved, and refused when they are not what was written."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from tiers.adapters.model_files import CheckpointFiles, load_model, save_model
from tiers.core.forecast.errors import ModelCorrupt, ModelFileMissing

WEIGHTS = {"first.weight": np.arange(6, dtype=np.float32).reshape(2, 3)}


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "models" / "one.safetensors"
    sha256 = save_model(path, WEIGHTS, seen_until_s=1_760_054_400.5)
    stored = load_model(path, sha256=sha256)
    np.testing.assert_array_equal(stored.weights["first.weight"], WEIGHTS["first.weight"])
    assert stored.seen_until_s == 1_760_054_400.5
    assert [file.name for file in path.parent.iterdir()] == ["one.safetensors"]


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    sha256 = save_model(path, WEIGHTS, seen_until_s=0.0)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelCorrupt, match="SHA-256"):
        load_model(path, sha256=sha256)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileMissing, match=r"gone\.safetensors: cannot be read"):
        load_model(tmp_path / "gone.safetensors", sha256="0" * 64)


@pytest.mark.parametrize(
    "data", [b"", b"not a model", save(WEIGHTS), save(WEIGHTS, metadata={"schema": "other/9"})]
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelCorrupt):
        load_model(path, sha256=hashlib.sha256(data).hexdigest())


def test_a_torn_checkpoint_is_left_aside_and_those_of_other_trainings_go(tmp_path: Path) -> None:
    state = {"weight.a": np.arange(3.0), "random": np.arange(4, dtype=np.uint8)}
    CheckpointFiles(tmp_path, "old").keep("patches", state)
    files = CheckpointFiles(tmp_path, "new")
    assert not list(tmp_path.glob(".old*"))
    files.keep("patches", {**state, "weight.a": np.zeros(3)})
    files.keep("patches", state)
    found = files.load("patches")
    assert found is not None
    np.testing.assert_array_equal(found["weight.a"], state["weight.a"])
    assert files.load("others") is None
    (path,) = tmp_path.iterdir()  # the one before is gone
    path.write_bytes(path.read_bytes()[:-8])
    assert files.load("patches") is None
    files.drop()
    assert not list(tmp_path.iterdir())
