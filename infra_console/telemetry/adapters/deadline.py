"""One deadline for a whole conversation: at its end the sockets are shut, whatever they wait for.

A timeout of a socket is one for each read: a server that sends a byte every few seconds would keep
us for ever.
"""

import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self


class Deadline:
    """Sockets to shut after `seconds`, unless the block is left before."""

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._ends_s = time.monotonic() + seconds
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True

    def watch(self, connected: socket.socket) -> None:
        """Shut this one too; through a handle of our own, which outlives its wrapping in TLS."""
        with self._lock:
            self._sockets.append(connected.dup())
        if self.passed:
            self._shut()

    @property
    def left_s(self) -> float:
        return max(0.001, self._ends_s - time.monotonic())

    def _shut(self) -> None:
        self.passed = True
        with self._lock:
            for held in self._sockets:
                with suppress(OSError):
                    held.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        with self._lock:
            while self._sockets:
                self._sockets.pop().close()
