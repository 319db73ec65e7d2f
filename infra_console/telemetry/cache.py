"""A value kept for a few seconds within this process."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

_Value = TypeVar("_Value")


class ShortCache(Generic[_Value]):
    """The last computed value while it is younger than `keep_s`; one thread computes at a time."""

    def __init__(self, *, keep_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep_s = keep_s
        self._clock = clock
        self._lock = threading.Lock()
        self._held: tuple[float, _Value] | None = None

    def get(self, compute: Callable[[], _Value]) -> _Value:
        """The kept value, or a new one; a failure is not kept."""
        with self._lock:
            now_s = self._clock()
            if self._held is None or now_s - self._held[0] >= self._keep_s:
                self._held = (now_s, compute())
            return self._held[1]

    def clear(self) -> None:
        with self._lock:
            self._held = None
