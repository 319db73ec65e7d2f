"""Keeps children running: starts them in groups, restarts what dies, stops them in reverse order.

Groups are the order: every child of a group starts at once, and the next group waits until all are
ready. A child that dies later is started again after a pause that doubles from half a second to
half a minute; when it keeps dying this is reported, and tried on. All work happens in the main
thread, because the kernel ties "signal me when my parent dies" to the thread that started a child.
"""

import errno
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from infra_console.embedded import child as children
from infra_console.embedded.child import Child
from infra_console.embedded.errors import ChildFailed, DiskFull

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
HEALTHY_AFTER_S = 60.0  # a child that lived this long starts again with the first pause
CRASH_LOOP_AT = 5  # deaths in a row


def say(line: str) -> None:
    """One line for the person at the terminal, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@dataclass
class Running:
    """A child with its process and the history that decides how long to wait before a restart."""

    child: Child
    process: subprocess.Popen[bytes]
    started_at: float
    deaths: int = 0
    restart_at: float | None = None


@dataclass
class Supervisor:
    """Runs children until `stop()`; a context manager, so that no way out leaves one behind."""

    log_dir: Path
    grace_s: float = 10.0
    report: Callable[[str], None] = say
    first_pause_s: float = FIRST_PAUSE_S
    groups: list[list[Running]] = field(default_factory=list)
    stopping: bool = False

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start_group(self, group: Sequence[Child]) -> None:
        """Start all children of a group at once and wait until every one is ready.

        Raises ChildFailed (or DiskFull) naming the first that is not, with its last log line.
        """
        self.launch_group(group)
        self.wait_all()

    def launch_group(self, group: Sequence[Child]) -> None:
        """Start a group without waiting, to be followed by `wait_all`."""
        self.groups.append([])
        for child in group:
            self.groups[-1].append(Running(child, self._spawn(child), time.monotonic()))

    def wait_all(self) -> None:
        """Wait until every child launched is ready. Raises ChildFailed or DiskFull."""
        for running in self._all():
            if not children.wait_ready(running.child, running.process):
                raise self._failure(running)

    def watch(self, *, every_s: float = 0.2) -> None:
        """Restart what dies until `stopping` is set, by a signal or by another way."""
        while not self.stopping:
            self.check()
            time.sleep(every_s)

    def check(self) -> None:
        """One look at every child: note deaths, start again what has waited long enough."""
        now = time.monotonic()
        for running in self._all():
            if running.restart_at is None:
                if running.process.poll() is not None:
                    self._note_death(running, now)
            elif now >= running.restart_at:
                self._restart(running, now)

    def stop(self) -> None:
        """Stop every child, last group first; kill what does not end in `grace_s`."""
        self.stopping = True
        while self.groups:
            group = self.groups.pop()
            for running in group:
                if running.process.poll() is None:
                    running.process.send_signal(running.child.stop_signal)
            deadline = time.monotonic() + self.grace_s
            for running in group:
                left = max(0.0, deadline - time.monotonic())
                children.wait_or_kill(running.process, grace_s=left)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM ask for an orderly stop while this context lasts."""

        def ask(number: int, _frame: FrameType | None) -> None:
            if self.stopping:
                return
            self.stopping = True
            self.report(f"stopping ({signal.Signals(number).name})")
            raise StopAsked

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        except StopAsked:
            pass
        finally:
            self.stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _all(self) -> Iterator[Running]:
        for group in self.groups:
            yield from group

    def log_file(self, child: Child) -> Path:
        return self.log_dir / f"{child.name}.log"

    def _spawn(self, child: Child) -> subprocess.Popen[bytes]:
        try:
            return children.start(child, self.log_file(child))
        except OSError as err:
            if err.errno == errno.ENOSPC:
                raise DiskFull(f"The disk is full: {child.name} cannot start.") from err
            raise ChildFailed(f"{child.name} cannot start: {err}.") from err

    def _failure(self, running: Running) -> ChildFailed | DiskFull:
        log_file, code = self.log_file(running.child), running.process.poll()
        line = last_line(log_file)
        if "No space left on device" in line:
            return DiskFull(f"The disk is full: {running.child.name} cannot start. See {log_file}.")
        what = f"was not ready after {running.child.start_timeout_s:.0f} s"
        if code is not None:
            what = f"ended with {code}"
        return ChildFailed(f"{running.child.name} {what}: {line} (log: {log_file})")

    def _note_death(self, running: Running, now: float) -> None:
        children.kill_session(running.process)  # what it started must not outlive it
        lived_s = now - running.started_at
        running.deaths = 1 if lived_s > HEALTHY_AFTER_S else running.deaths + 1
        pause_s = min(LONGEST_PAUSE_S, self.first_pause_s * 2 ** (running.deaths - 1))
        running.restart_at = now + pause_s
        name, code = running.child.name, running.process.returncode
        self.report(f"{name} ended with {code}; starting it again in {pause_s:g} s")
        if running.deaths % CRASH_LOOP_AT == 0:
            log_file = self.log_file(running.child)
            self.report(
                f"{name} keeps ending ({running.deaths} times in a row): "
                f"{last_line(log_file)} (log: {log_file})"
            )

    def _restart(self, running: Running, now: float) -> None:
        try:
            running.process = self._spawn(running.child)
        except (ChildFailed, DiskFull) as err:
            self.report(str(err))
            running.restart_at = now + LONGEST_PAUSE_S
            return
        running.started_at, running.restart_at = now, None


class StopAsked(BaseException):
    """Raised by the signal handler to leave whatever is being done; not an Exception, so that
    nothing on the way takes it for a failure."""


def last_line(log_file: Path, *, limit_bytes: int = 4096) -> str:
    """The last line with text in a log, for a message; empty when there is none."""
    try:
        with log_file.open("rb") as file:
            file.seek(max(0, log_file.stat().st_size - limit_bytes))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
