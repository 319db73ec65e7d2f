"""Workers and beats as Celery's own processes under our supervisor, on servers that can be halted.

Only servers of this run are touched, by their process: see tests/servers.py for how they start.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from django.db import connection
from django.db.utils import InterfaceError, OperationalError

from infra_console.embedded import child as children
from infra_console.embedded.child import Child
from infra_console.embedded.supervisor import Running, Supervisor
from tests.servers import SERVERS

QUIET = ("--loglevel", "WARNING")
WORKER = ("worker", "-Q", "execute,control", "--pool", "solo", "--without-gossip", *QUIET)


class Processes:
    """A worker and a beat unless others are named; what dies is started again, as in life."""

    def __init__(self, environment: Mapping[str, str], folder: Path, *first: str) -> None:
        self._first = first or ("worker", "beat")
        self._folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self._environment = {
            **environment,
            "INFRA_CONSOLE_KUBECONFIG": str(self.kubeconfig),
            "INFRA_CONSOLE_LOG_LEVEL": "WARNING",
        }
        self._supervisor = Supervisor(
            log_dir=folder / "log", grace_s=5.0, report=lambda line: None, first_pause_s=0.2
        )

    def __enter__(self) -> "Processes":
        self.start(*self._first)
        return self

    def __exit__(self, *_: object) -> None:
        self._supervisor.stop()

    def start(self, *names: str, **more: str) -> None:
        """Start processes of these names: `worker…` or `beat…`; more words for the environment."""
        self._supervisor.launch_group([self._child(name, more) for name in names])

    def kill(self, name: str, *, for_good: bool = False) -> None:
        """SIGKILL to the process and what it started."""
        running = self._running(name)
        children.kill_session(running.process)
        running.process.wait()
        if for_good:
            self.forget(name)

    def forget(self, name: str) -> None:
        """Start it no more when it dies."""
        for group in self._supervisor.groups:
            group[:] = [r for r in group if r.child.name != name]

    def ended(self, name: str, *, within_s: float) -> bool:
        """Wait for the end of a process that is not started again meanwhile."""
        deadline, process = time.monotonic() + within_s, self._running(name).process
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return process.poll() is not None

    def wait(self, condition: Callable[[], bool], *, within_s: float) -> bool:
        """Look after the processes until the condition holds; the database may be away."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            self._supervisor.check()
            try:
                if condition():
                    return True
            except (OperationalError, InterfaceError):
                connection.close()
            time.sleep(0.05)
        return False

    def point_at(self, kubeconfig: str) -> None:
        """Let the workers find this cluster."""
        fresh = self.kubeconfig.with_suffix(".new")
        shutil.copy(kubeconfig, fresh)
        fresh.replace(self.kubeconfig)

    def log(self, name: str) -> str:
        return (self._folder / "log" / f"{name}.log").read_text(errors="replace")

    def _running(self, name: str) -> Running:
        every = [running for group in self._supervisor.groups for running in group]
        return next(running for running in every if running.child.name == name)

    def _child(self, name: str, more: Mapping[str, str]) -> Child:
        beat = ("beat", "--pidfile", "", *QUIET)
        words = beat if name.startswith("beat") else (*WORKER, "-n", f"{name}@%h")
        return Child(
            name=name,
            command=(sys.executable, "-m", "benchmarks.fault_celery", *words),
            env={**self._environment, **more},
            cwd=Path.cwd(),
            is_ready=lambda: True,
        )


def halt(name: str) -> None:
    """Stop `postgres` or `valkey` as an operator would: at once, and cleanly."""
    child, process = SERVERS.running[name]
    children.stop(child, process)


@contextmanager
def hung(name: str, *, at_most_s: float = 20.0) -> Iterator[None]:
    """The server's process does not run: its sockets take what comes and answer nothing."""
    _, process = SERVERS.running[name]
    os.kill(process.pid, signal.SIGSTOP)
    awake = threading.Timer(at_most_s, os.kill, (process.pid, signal.SIGCONT))
    awake.start()
    try:
        yield
    finally:
        awake.cancel()
        os.kill(process.pid, signal.SIGCONT)


def revive(name: str) -> None:
    """Start it again, on the same port and data."""
    child, _ = SERVERS.running[name]
    process = children.start(child, SERVERS.state_dir / "log" / f"{name}.log")
    SERVERS.running[name] = (child, process)
    if not children.wait_ready(child, process):
        raise subprocess.SubprocessError(f"{name} did not start again")
