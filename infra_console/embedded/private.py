"""Small private files of a server: its port and passwords, readable by their owner alone."""

import json
import os
import secrets
from pathlib import Path
from typing import Any


def new_password() -> str:
    """A password of letters, digits, - and _: safe in URLs, configuration files and SQL quotes."""
    return secrets.token_urlsafe(24)


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 600 in one step: readers see the old text or the new, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_text(text)
    partial.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, or an empty one when the file is absent or unreadable."""
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Keep an object in a private JSON file."""
    write_private(path, json.dumps(values, indent=1) + "\n")
