"""What the children are told, as environment variables; settings.py reads them."""

import os
import secrets
from pathlib import Path

from infra_console.embedded.private import write_private

PREFIX = "INFRA_CONSOLE_"
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


def ensure_secret_key(state_dir: Path) -> None:
    """Generate the key that signs sessions, once per state folder, unless one is given."""
    path = state_dir / "secret-key"
    if not os.environ.get(f"{PREFIX}SECRET_KEY") and not path.exists():
        write_private(path, secrets.token_urlsafe(48))


def given(name: str) -> str:
    """The value of INFRA_CONSOLE_<name>, empty when it is not set."""
    return os.environ.get(f"{PREFIX}{name}", "")
