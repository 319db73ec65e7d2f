"""One child process: what it is, how it starts, how it stops.

Each child leads its own session, so Ctrl-C at the terminal reaches the supervisor alone and the
stop stays orderly. The kernel is asked to signal the child when its parent dies (Linux
PR_SET_PDEATHSIG), so that nothing survives a `kill -9` of the supervisor. That request binds to
the thread that started the child: start children from the main thread only.
"""

import ctypes
import math
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra_console.embedded.identity import Identity

PR_SET_PDEATHSIG = 1
LONG_LOG_BYTES = 20 * 2**20
_libc = ctypes.CDLL(None, use_errno=True)  # loaded before any fork: the child may not import


@dataclass(frozen=True, kw_only=True)
class Child:
    """What to run. `env` is the whole environment; None inherits ours."""

    name: str
    command: tuple[str, ...]
    is_ready: Callable[[], bool]
    env: Mapping[str, str] | None = None
    cwd: Path = Path("/")
    identity: Identity | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    start_timeout_s: float = 60.0


def start(child: Child, log_file: Path) -> subprocess.Popen[bytes]:
    """Start the child with its output appended to `log_file`. Raises OSError like Popen."""
    parent = os.getpid()

    def die_with_parent() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, int(child.death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died before the request was made
            os._exit(1)

    log_file.parent.mkdir(parents=True, exist_ok=True)
    _put_long_log_aside(log_file)
    with log_file.open("ab") as log:
        return subprocess.Popen(
            child.command,
            env=child.env,
            cwd=child.cwd,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,  # noqa: PLW1509  prctl only: no locks, no imports
            user=child.identity.uid if child.identity else None,
            group=child.identity.gid if child.identity else None,
            extra_groups=[] if child.identity else None,
        )


def _put_long_log_aside(log_file: Path) -> None:
    """Keep one older log beside the current one, so that years of restarts do not fill a disk."""
    if log_file.exists() and log_file.stat().st_size > LONG_LOG_BYTES:
        log_file.replace(log_file.with_suffix(".log.1"))


def wait_ready(child: Child, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the child answers; False when it ended first or the time ran out."""
    deadline = time.monotonic() + child.start_timeout_s
    while time.monotonic() < deadline and process.poll() is None:
        if child.is_ready():
            return True
        time.sleep(0.05)
    return False


def stop(child: Child, process: subprocess.Popen[bytes], *, grace_s: float = 10.0) -> None:
    """Ask the child to end, and kill its whole session when it has not after `grace_s`."""
    if process.poll() is None:
        process.send_signal(child.stop_signal)
    wait_or_kill(process, grace_s=grace_s)


def wait_or_kill(process: subprocess.Popen[bytes], *, grace_s: float) -> None:
    """Give an ending child its time, then kill its whole session."""
    if not _ends_within(process, grace_s):
        kill_session(process)
        _ends_within(process, math.inf)
    process.poll()


def _ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not _has_ended(process):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Popen itself asks under a lock, which stays taken when a signal's exception leaves it there:
    a stop that waited for it would wait for ever."""
    if process.returncode is not None:
        return True
    try:
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, process.pid, look) is not None
    except ChildProcessError:
        return True


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kill the child and everything it started; harmless when they are gone."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
