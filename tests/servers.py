"""A pytest plugin: one embedded PostgreSQL and one Valkey for each test process, and no network.

It is loaded with `-p` because their addresses must stand in the environment before Django's
settings are read. The servers themselves start when the first test asks for them, so a run of pure
tests pays nothing; until then a bound socket keeps each port from being taken.
"""

import ipaddress
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from infra_console.embedded import child as children
from infra_console.embedded.loopback import HOST
from infra_console.embedded.postgres import DATABASE, ROLE, prepare_postgres
from infra_console.embedded.private import new_password, write_json
from infra_console.embedded.valkey import prepare_valkey

# Tests can be run again: durability would only cost time.
THROWAWAY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class NetworkBlocked(Exception):
    """A test tried to reach something beyond the loopback address."""


class Servers:
    """The run's state folder and servers; addresses are fixed at once, processes start late."""

    def __init__(self) -> None:
        self.state_dir = Path(tempfile.mkdtemp(prefix="infra-console-tests-"))
        self.state_dir.chmod(0o711)  # PostgreSQL's unprivileged user walks through it
        (self.state_dir / "static").mkdir()  # whitenoise warns where collectstatic never ran
        self._reserved = {name: _reserve_port() for name in ("postgres", "valkey")}
        self.running: dict[str, tuple[children.Child, subprocess.Popen[bytes]]] = {}
        password = {"postgres": new_password(), "valkey": new_password()}
        for name, secret in password.items():
            kept = {"password": secret, "owner_password": new_password()}
            write_json(self.state_dir / name / "server.json", kept)
        self.database_url = (
            f"postgresql://{ROLE}:{password['postgres']}@{HOST}:{self._port('postgres')}/{DATABASE}"
        )
        self.broker_url = f"redis://:{password['valkey']}@{HOST}:{self._port('valkey')}/0"

    def _port(self, name: str) -> int:
        return int(self._reserved[name].getsockname()[1])

    def start(self, name: str) -> None:
        """Start `postgres` or `valkey` unless it runs already."""
        if name in self.running:
            return
        port = self._port(name)
        if name == "postgres":
            server = prepare_postgres(self.state_dir, port=port, options=THROWAWAY)
        else:
            server = prepare_valkey(self.state_dir, port=port)
        child, log_file = server.child(), self.state_dir / "log" / f"{name}.log"
        self._reserved[name].close()
        process = children.start(child, log_file)
        self.running[name] = (child, process)
        if not children.wait_ready(child, process):
            pytest.exit(f"{name} did not start:\n{log_file.read_text()}", returncode=3)

    def stop(self) -> None:
        for child, process in self.running.values():
            children.stop(child, process)
        for reserved in self._reserved.values():
            reserved.close()
        shutil.rmtree(self.state_dir, ignore_errors=True)


def _reserve_port() -> socket.socket:
    reserved = socket.socket()
    reserved.bind((HOST, 0))
    return reserved


def _set_environment(servers: Servers) -> None:
    for name in [name for name in os.environ if name.startswith("INFRA_CONSOLE_")]:
        if name != "INFRA_CONSOLE_PROMETHEUS":  # where a binary is, not what to talk to
            del os.environ[name]
    os.environ["INFRA_CONSOLE_STATE"] = str(servers.state_dir)
    os.environ["INFRA_CONSOLE_DATABASE_URL"] = servers.database_url
    os.environ["INFRA_CONSOLE_BROKER_URL"] = servers.broker_url
    os.environ["INFRA_CONSOLE_APPROVAL_UNDO_S"] = "0"  # tests of undo set their own


SERVERS = Servers()
_set_environment(SERVERS)
_network_allowed = False
_connect, _connect_ex = socket.socket.connect, socket.socket.connect_ex


def _refuse_beyond_loopback(sock: socket.socket, address: object) -> None:
    if _network_allowed or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    host = str(address[0]) if isinstance(address, tuple) else str(address)
    if host != "localhost" and not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        raise NetworkBlocked(f"{address}: tests may talk to the loopback address only")


def _guarded_connect(sock: socket.socket, address: object) -> None:
    _refuse_beyond_loopback(sock, address)
    return _connect(sock, address)


def _guarded_connect_ex(sock: socket.socket, address: object) -> int:
    _refuse_beyond_loopback(sock, address)
    return _connect_ex(sock, address)


def pytest_configure() -> None:
    socket.socket.connect = _guarded_connect
    socket.socket.connect_ex = _guarded_connect_ex


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Only tests on a real cluster, which one asks for by name, may leave this machine."""
    global _network_allowed  # noqa: PLW0603  one process-wide switch for a process-wide patch
    _network_allowed = item.get_closest_marker("cluster") is not None


def pytest_unconfigure() -> None:
    SERVERS.stop()
