"""One model in one region as the router sees it: its queue between two observations, its price."""

from collections import deque
from dataclasses import dataclass, field
from math import inf


@dataclass(frozen=True, slots=True)
class Load:
    """What was read of one model in one region at `seen_s`.

    `prefill_tokens_per_s` is of all ready replicas together; None where it is not known.
    """

    seen_s: float
    prefill_tokens_per_s: float | None
    waiting_tokens: float | None


@dataclass(slots=True)
class Cell:
    """The router's running estimate. Times in seconds, prices in milliseconds.

    The queue is a fluid that empties at the measured rate (Lindley's recursion on work): `empty_s`
    is when it will be empty if nothing more comes. What was sent since the observation was made is
    counted on top, so that a router with old news does not send everything to one place.
    """

    tokens_per_s: float = 0.0
    seen_s: float = -inf
    empty_s: float = -inf
    price_ms: float = 0.0
    surcharge_ms: float = 0.0
    work_s: float = 0.0  # sent since the price was last set
    sent: deque[tuple[float, float]] = field(default_factory=deque)

    def observe(self, load: Load) -> None:
        """Take over what was read; unknown leaves the estimate as it is, and it grows old."""
        if load.seen_s < self.seen_s or not load.prefill_tokens_per_s:
            return
        if load.waiting_tokens is None:
            return
        self.seen_s, self.tokens_per_s = load.seen_s, load.prefill_tokens_per_s
        while self.sent and self.sent[0][0] <= load.seen_s:
            self.sent.popleft()
        self.empty_s = load.seen_s + load.waiting_tokens / self.tokens_per_s
        for at_s, tokens in self.sent:
            self.empty_s = max(self.empty_s, at_s) + tokens / self.tokens_per_s

    def wait_s(self, now_s: float) -> float:
        """Seconds until a request that comes now would begin its prefill."""
        return max(0.0, self.empty_s - now_s)

    def send(self, now_s: float, tokens: float) -> None:
        """A request with so many uncached tokens goes there."""
        self.empty_s = max(self.empty_s, now_s) + tokens / self.tokens_per_s
        self.work_s += tokens / self.tokens_per_s
        self.sent.append((now_s, tokens))

    def set_price(self, elapsed_s: float, *, target: float, gain_ms: float, most_ms: float) -> None:
        """One step of the price: up while more work comes than the target share of the time.

        The price is the dual of "work <= target x capacity", moved along its subgradient (Low and
        Lapsley, Optimization flow control I, IEEE/ACM ToN 1999, eq. 9).
        """
        load = self.work_s / elapsed_s
        self.price_ms = min(most_ms, max(0.0, self.price_ms + gain_ms * (load - target)))
        self.work_s = 0.0
