"""What is made to go wrong at one cluster's API, on command; cutting it off is `server`'s.

A fault has a kind, says which requests it strikes, and ends after a number of strikes or at a
moment. Chance comes from a seeded generator, so a run with faults can be repeated.
"""

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

KINDS: dict[str, str] = {
    "latency": "the answer comes `seconds` late",
    "throttle": "429 with Retry-After of `seconds`",
    "error": "500",
    "conflict": "409, as if somebody else had written in between",
    "gone": "410, as for a list whose token is too old",
    "unavailable": "503 with Retry-After of `seconds`",
    "reset": "the connection is reset, nothing is done",
    "hang": "the request is taken and never answered, nothing is done",
    "lost": "the request is carried out, then the connection is reset",
    "stall": "a watch stays open and silent",
    "skew": "the server's clock is `seconds` ahead (behind, when negative)",
}
DEFAULT_SECONDS = {"latency": 1.0, "throttle": 1.0, "unavailable": 1.0, "skew": 300.0}


@dataclass(frozen=True)
class Match:
    """Which requests are struck; an empty word matches all."""

    verb: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    user: str = ""

    def fits(self, asked: "Match") -> bool:
        """Whether a request (all its words filled in) is meant."""
        wanted, given = asdict(self), asdict(asked)
        return all(not word or word == given[key] for key, word in wanted.items())


@dataclass
class Fault:
    """One fault that waits for requests; `times` and `until` None mean: until it is cleared."""

    id: int
    kind: str
    match: Match
    times: int | None = None
    until: datetime | None = None
    probability: float = 1.0
    seconds: float = 0.0
    strikes: int = 0

    def told(self) -> dict[str, Any]:
        """As JSON data, for whoever lists the faults."""
        words = {key: word for key, word in asdict(self.match).items() if word}
        return {
            "id": self.id,
            "kind": self.kind,
            **words,
            "times": self.times,
            "until": self.until.isoformat() if self.until else None,
            "probability": self.probability,
            "seconds": self.seconds,
            "strikes": self.strikes,
        }


@dataclass
class Faults:
    """The faults of one cluster. `clock` is the true one, whatever the skew."""

    clock: Callable[[], datetime]
    seed: int = 0
    latency_s: float = 0.0
    _waiting: list[Fault] = field(default_factory=list)
    _made: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311 - a repeatable draw, no secret

    def add(
        self,
        kind: str,
        match: Match | None = None,
        *,
        times: int | None = None,
        minutes: float | None = None,
        probability: float = 1.0,
        seconds: float | None = None,
    ) -> Fault:
        """Let something go wrong from now on.

        Raises:
            ValueError: an unknown kind, or a number out of its range.
        """
        if kind not in KINDS:
            raise ValueError(f"unknown kind of fault {kind!r}; there are {', '.join(KINDS)}")
        if not 0 < probability <= 1 or (times is not None and times < 1):
            raise ValueError("probability lies in (0, 1] and times is at least 1")
        self._made += 1
        until = None if minutes is None else self.clock() + timedelta(minutes=minutes)
        given = DEFAULT_SECONDS.get(kind, 0.0) if seconds is None else seconds
        fault = Fault(self._made, kind, match or Match(), times, until, probability, given)
        self._waiting.append(fault)
        return fault

    def clear(self, fault_id: int | None = None) -> int:
        """End one fault, or all; returns how many ended."""
        held = len(self._waiting)
        self._waiting = [f for f in self._waiting if fault_id not in (None, f.id)]
        return held - len(self._waiting)

    def active(self) -> list[Fault]:
        """What can still strike."""
        now = self.clock()
        self._waiting = [
            f
            for f in self._waiting
            if (f.times is None or f.strikes < f.times) and (f.until is None or now < f.until)
        ]
        return list(self._waiting)

    def strike(self, asked: Match) -> list[Fault]:
        """The faults that this request meets, counted as strikes: latencies, then one other."""
        met: list[Fault] = []
        for fault in self.active():
            ends = fault.kind != "latency" and any(f.kind != "latency" for f in met)
            if fault.kind == "skew" or ends or not fault.match.fits(asked):
                continue
            if fault.kind == "stall" and asked.verb != "watch":
                continue
            if self._chance.random() < fault.probability:
                fault.strikes += 1
                met.append(fault)
        return met

    def stalls(self, asked: Match) -> bool:
        """Whether an open watch falls silent now."""
        return any(f.kind == "stall" and f.match.fits(asked) for f in self.active())

    def skew(self) -> timedelta:
        return timedelta(seconds=sum(f.seconds for f in self.active() if f.kind == "skew"))
