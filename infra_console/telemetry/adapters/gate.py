"""Few questions at a time to one source, and none for a while after it was silent.

A source that does not answer would otherwise hold every page and every worker for its whole
timeout, reading after reading.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from infra_console.telemetry.errors import SourceUnreachable

AT_ONCE = 4
REST_S = 10.0


class Gate:
    """The way to one source within this process."""

    def __init__(
        self,
        *,
        at_once: int = AT_ONCE,
        rest_s: float = REST_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places = threading.BoundedSemaphore(at_once)
        self._at_once = at_once
        self._rest_s = rest_s
        self._clock = clock
        self._silent: tuple[float, str] | None = None

    @contextmanager
    def place(self, source: str, *, wait_s: float) -> Iterator[None]:
        """One of the places, for the length of a question.

        Raises:
            SourceUnreachable: it was silent a moment ago, or no place came free in time.
        """
        silent = self._silent
        if silent and self._clock() < silent[0] + self._rest_s:
            raise SourceUnreachable(source, silent[1])
        if not self._places.acquire(timeout=wait_s):
            raise SourceUnreachable(source, f"{self._at_once} questions are under way already")
        try:
            yield
        finally:
            self._places.release()

    def answered(self) -> None:
        self._silent = None

    def was_silent(self, problem: str) -> None:
        self._silent = (self._clock(), problem)


_gates: dict[str, Gate] = {}
_lock = threading.Lock()


def gate_of(name: str) -> Gate:
    """The process's one gate to the source of this name and address."""
    with _lock:
        return _gates.setdefault(name, Gate())


def open_gates() -> None:
    """Forget who was silent; after a change of sources."""
    with _lock:
        _gates.clear()
