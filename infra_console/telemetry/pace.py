"""How often one source may be read: a cap per minute that stretches the interval by itself. Pure.

Measured is what really was fetched in the last minute: questions (tries that failed included),
series, and bytes as unpacked. Each minute in which a cap is reached doubles the interval between
two readings of the same number, to four minutes at most, where numbers are still delayed and not
yet stale; once half as much would do, it halves again. Within a minute whose cap is used up, what
was read less than four minutes ago is given again, at its own age, and what was not is refused.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

READ_EVERY_S = 15.0
WINDOW_S = 60.0
MOST_S = 240.0
# Halving the interval doubles what is fetched: only where that stays well below the cap.
EASE_BELOW = 0.4
FULL = 0.8  # where questions were held back, so much is a minute's cap used up


@dataclass(frozen=True, slots=True)
class Use:
    """What was, or may be, fetched in a minute. As a cap, 0 is none."""

    queries: int = 0
    series: int = 0
    bytes: int = 0

    def __add__(self, other: "Use") -> "Use":
        return Use(
            self.queries + other.queries, self.series + other.series, self.bytes + other.bytes
        )

    @property
    def any(self) -> bool:
        return bool(self.queries or self.series or self.bytes)

    @property
    def words(self) -> str:
        return f"{self.queries:,} questions, {self.series:,} series, {self.bytes / 2**20:.1f} MiB"


def fullest(used: Use, caps: Use) -> tuple[float, str]:
    """The fullest cap's share in use, and that cap in words; without one nothing is."""
    shares = [
        (used.queries, caps.queries, f"{caps.queries:,} questions/min"),
        (used.series, caps.series, f"{caps.series:,} series/min"),
        (used.bytes, caps.bytes, f"{caps.bytes / 2**20:.0f} MiB/min"),
    ]
    return max(((have / cap, words) for have, cap, words in shares if cap), default=(0.0, ""))


class Pace:
    """The pace of one source within this process; `others` is what other processes fetch."""

    def __init__(
        self, caps: Use | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.caps = caps or Use()
        self.others = Use()
        self.others_words = ""  # what the budget does to their readings
        self.every_s = READ_EVERY_S
        self.reached = ""  # the cap that stretches the interval, in words
        self.total = Use()  # since it began
        self._clock = clock
        self._lock = threading.Lock()
        self._spent: deque[tuple[float, Use]] = deque()
        self._judged_s = clock()
        self._since = Use()  # spent since the interval was last judged
        self._held_back = False

    def spend(self, *, queries: int = 0, series: int = 0, size: int = 0) -> None:
        with self._lock:
            self._spent.append((self._clock(), Use(queries, series, size)))
            self._since += Use(queries, series, size)
            self.total += Use(queries, series, size)

    @property
    def used(self) -> Use:
        """What this process fetched in the last minute."""
        with self._lock:
            since_s = self._clock() - WINDOW_S
            while self._spent and self._spent[0][0] <= since_s:
                self._spent.popleft()
            return sum((use for _, use in self._spent), Use())

    @property
    def is_spent(self) -> bool:
        """Whether this minute's cap is used up."""
        self._judge()
        spent = self._share(self.used)[0] >= 1.0
        self._held_back |= spent
        return spent

    @property
    def stretched(self) -> bool:
        self._judge()
        return self.every_s > READ_EVERY_S

    @property
    def held_s(self) -> float:
        """How old an answer may be that is given again."""
        return MOST_S if self.stretched or self.is_spent else 0.0

    @property
    def cap_words(self) -> str:
        """The fullest cap."""
        return self._share(self.used)[1]

    @property
    def words(self) -> str:
        """What the cap does to the readings; empty where nothing."""
        if not self.stretched:
            return ""
        return (
            f"reads every {self.every_s:.0f} s instead of {READ_EVERY_S:.0f} s: "
            f"the source's budget of {self.reached} is used up"
        )

    def _share(self, own: Use) -> tuple[float, str]:
        return fullest(own + self.others, self.caps)

    def _judge(self) -> None:
        """Once a minute: stretch, ease or leave the interval."""
        minutes = (self._clock() - self._judged_s) / WINDOW_S
        if minutes < 1:
            return
        share, words = self._share(self._since)
        share /= minutes
        if share >= 1.0 or (self._held_back and share >= FULL):
            self.every_s, self.reached = min(MOST_S, 2 * self.every_s), words
        elif share < EASE_BELOW:
            self.every_s = max(READ_EVERY_S, self.every_s / 2)
        self._judged_s, self._since, self._held_back = self._clock(), Use(), False


_paces: dict[str, Pace] = {}
_lock = threading.Lock()


def pace_of(name: str, caps: Use) -> Pace:
    """The process's one pace of the source of this name; anew where its caps were changed."""
    with _lock:
        if name not in _paces or _paces[name].caps != caps:
            _paces[name] = Pace(caps)
        return _paces[name]


def forget_paces() -> None:
    with _lock:
        _paces.clear()
