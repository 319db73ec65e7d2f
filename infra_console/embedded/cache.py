"""The one folder outside the checkout that we write to: downloads any checkout can use."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """$XDG_CACHE_HOME/infra-console, by default ~/.cache/infra-console. It need not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return root / "infra-console"
