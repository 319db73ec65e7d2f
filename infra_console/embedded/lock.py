"""One stack per state folder: a lock that the kernel releases when its holder dies, however."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from infra_console.embedded.errors import AlreadyRunning


@contextmanager
def single_copy(state_dir: Path, *, command: str, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the state folder's lock. Raises AlreadyRunning, saying who holds it.

    What the file says is for people only; a file left behind by a dead process locks nobody out.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_s
    with (state_dir / "running.lock").open("a+") as file:
        while not _try_lock(file.fileno()):
            if time.monotonic() >= deadline:
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise AlreadyRunning(
                    f"A console already runs on {state_dir}: {holder}. Stop it first, or choose "
                    "another state folder with --state."
                )
            time.sleep(0.1)
        file.truncate(0)
        file.write(f"`{command}`, process {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M}Z")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
