"""The house rules that tools check, counted with the tests: style, types, imports, migrations."""

import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

TOOLS = {
    "ruff finds nothing to correct": [BIN / "ruff", "check", "."],
    "ruff finds nothing to format": [BIN / "ruff", "format", "--check", "."],
    "imports point inward and down": [BIN / "lint-imports"],
    "types are strict everywhere": [BIN / "mypy"],
    "models and migrations agree": [sys.executable, "manage.py", "makemigrations", "--check"],
}


def run(*words):
    command = [str(word) for word in words]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("rule", TOOLS)
def test_house_rule(rule, database_url):
    done = run(*TOOLS[rule])
    assert done.returncode == 0, f"{rule}:\n{done.stdout}\n{done.stderr}"


def test_settings_resolve_everything_they_name(database_url):
    """Django's system checks, ours included: an unknown dotted path is refused at start."""
    done = run(sys.executable, "manage.py", "check", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stderr


def test_constraints_pin_every_direct_dependency_exactly():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    wanted = [project["dependencies"], *project["optional-dependencies"].values()]
    pins = dict(
        line.split("==")
        for line in (CHECKOUT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    )
    for requirement in map(Requirement, chain.from_iterable(wanted)):
        pin = pins.get(requirement.name.lower().replace("_", "-"))
        assert pin is not None, f"{requirement.name} is not pinned: run `make constraints`"
        assert requirement.specifier.contains(pin), f"{requirement} does not allow {pin}"
    assert not [name for name in pins if name.startswith("nvidia")]
    assert pins["torch"] == "2.13.0"
