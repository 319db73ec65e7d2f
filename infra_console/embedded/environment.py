"""What the children are told, as environment variables; settings.py reads them.

What the stack chose by itself (addresses, passwords, the fleet file) is kept in a private file of
the state folder too, where settings.py finds it in a shell that names nothing. No kubeconfig is.
"""

import os
import secrets
from pathlib import Path

from infra_console.embedded.private import read_json, write_json, write_private

PREFIX = "INFRA_CONSOLE_"
KEPT = "environment.json"
# Never in the common environment: each worker is given the one it may hold, or none.
KUBECONFIG_NAME = f"{PREFIX}KUBECONFIG"
KUBECONFIG_NAMES = {KUBECONFIG_NAME, f"{PREFIX}KUBECONFIG_READ", "KUBECONFIG"}


def common_environment(state_dir: Path, values: dict[str, str]) -> dict[str, str]:
    """Our environment with `values` (names without the prefix) and no kubeconfig.

    The secret key is made here, before any child, so that two cannot make two.
    """
    ensure_secret_key(state_dir)
    env = {name: text for name, text in os.environ.items() if name not in KUBECONFIG_NAMES}
    env |= {f"{PREFIX}{name}": text for name, text in values.items()}
    env |= {
        f"{PREFIX}STATE": str(state_dir),
        "DJANGO_SETTINGS_MODULE": "infra_console.settings",
        "PYTHONUNBUFFERED": "1",
    }
    return env


def keep_for_shells(state_dir: Path, values: dict[str, str]) -> None:
    """Let commands in a plain shell find what this start chose; an older start's is forgotten."""
    write_json(state_dir / KEPT, values)


def kept_for_shells(state_dir: Path) -> dict[str, str]:
    """What the stack on this state folder chose at its last start (names without the prefix)."""
    return read_json(state_dir / KEPT)


def ensure_secret_key(state_dir: Path) -> None:
    """Generate the key that signs sessions, once per state folder, unless one is given."""
    path = state_dir / "secret-key"
    if not os.environ.get(f"{PREFIX}SECRET_KEY") and not path.exists():
        write_private(path, secrets.token_urlsafe(48))


def given(name: str) -> str:
    """The value of INFRA_CONSOLE_<name>, empty when it is not set."""
    return os.environ.get(f"{PREFIX}{name}", "")
