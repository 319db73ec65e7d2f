"""The cache of compiled code follows every file of the loop, not only the one it lies beside."""

import shutil
from pathlib import Path

import pytest

from tiers.core.simulate import loop, state
from tiers.core.simulate.loop import compiled


@pytest.mark.parametrize("edited", compiled.SOURCES, ids=lambda path: path.stem)
def test_an_edit_of_any_file_names_another_cache(tmp_path, edited):
    copies = [Path(shutil.copy(path, tmp_path)) for path in compiled.SOURCES]
    before = compiled.digest(copies)
    copy = tmp_path / edited.name
    copy.write_text(copy.read_text() + "# edited\n")
    assert compiled.digest(copies) != before


def test_the_digest_covers_all_that_is_compiled():
    parts = set(Path(loop.__file__).parent.glob("*.py"))
    assert set(compiled.SOURCES) == parts | {Path(state.__file__)}


def test_what_python_calls_is_cached_under_the_digest():
    name = compiled.digest(compiled.SOURCES)
    for function in (loop.run, loop.lose, loop.leave, loop.stretch):
        assert function.py_func.__qualname__.endswith(name)
