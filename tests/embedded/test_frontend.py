"""What the pages load: fetched by a stand-in for npm, since tests have no network."""

import json
from pathlib import Path

import pytest

from infra_console.embedded import frontend
from infra_console.embedded.cache import cache_dir
from infra_console.embedded.errors import BinaryMissing, StageFailed

NPM = """#!/usr/bin/env python3
import os, pathlib, sys
if "--version" in sys.argv:
    raise SystemExit(0)
assert sys.argv[1:3] == ["ci", "--ignore-scripts"], sys.argv
with open("npm-calls", "a") as calls:
    print(os.environ["NPM_CONFIG_CACHE"], file=calls)
for name in {sources!r}:
    file = pathlib.Path("node_modules") / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(name)
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    (tmp_path / "package-lock.json").write_text("{}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NPM_CONFIG_CACHE", raising=False)
    return tmp_path


def put_npm(folder, monkeypatch, text):
    program = folder / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(text)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def test_files_are_put_in_place_once_per_lock_file(checkout, monkeypatch):
    put_npm(checkout, monkeypatch, NPM.format(sources=list(frontend.SERVED.values())))
    assert frontend.install_frontend(checkout) is True
    assert frontend.install_frontend(checkout) is False
    for target, source in frontend.SERVED.items():
        assert (checkout / "static" / "vendor" / target).read_text() == source
    assert (checkout / "npm-calls").read_text() == f"{cache_dir() / 'npm'}\n"
    (checkout / "package-lock.json").write_text('{"changed": 1}')
    assert frontend.install_frontend(checkout) is True


def test_a_failing_npm_is_quoted(checkout, monkeypatch):
    script = '#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "integrity mismatch" >&2\nexit 1\n'
    put_npm(checkout, monkeypatch, script)
    with pytest.raises(StageFailed, match="integrity mismatch"):
        frontend.install_frontend(checkout)
    assert not (checkout / "static" / "vendor" / ".stamp").exists()


def test_where_npm_cannot_be_had_the_error_says_what_to_install(checkout, monkeypatch):
    monkeypatch.setattr(frontend, "_runs", lambda _: False)
    monkeypatch.setattr(frontend.sys, "executable", "/bin/false")  # in the place of pip
    with pytest.raises(BinaryMissing, match=r"Install Node\.js"):
        frontend.install_frontend(checkout)


def test_every_package_served_is_locked_with_a_checksum_and_no_registry_address():
    lock = json.loads((frontend.CHECKOUT / "package-lock.json").read_text())
    packages = {
        name.removeprefix("node_modules/"): entry
        for name, entry in lock["packages"].items()
        if name
    }
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert not [name for name, entry in packages.items() if "resolved" in entry]
    for source in frontend.SERVED.values():
        assert any(source.startswith(f"{name}/") for name in packages), source


@pytest.mark.parametrize("name", ["tabler/tabler.min.css", "plotly/plotly.min.js"])
def test_what_is_served_is_here(name):
    """`make test` fetches it; run it through make."""
    assert (frontend.CHECKOUT / "static" / "vendor" / name).stat().st_size > 100_000


def test_the_world_map_has_the_layers_that_charts_draw():
    path = frontend.CHECKOUT / "static" / "vendor" / "geo" / "world_110m.json"
    layers = json.loads(Path(path).read_text())["objects"]
    assert {"coastlines", "land", "ocean", "countries"} <= set(layers)
