"""Why work waits, from what Kueue, the scheduler and the kubelet say, and from what stands free.

When it starts by itself is known only where ends are: runs with a deadline, and reservations that
begin. Everything else ends when it ends, and the time is unknown.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Reason = Literal[
    "quota", "contiguous block", "flavour", "image", "priority", "GPUs", "held", "unknown"
]
# What is said, in the order in which it decides: a pod with a node waits for its image alone.
_SAID: tuple[tuple[str, Reason], ...] = (
    (r"ErrImagePull|ImagePullBackOff|InvalidImageName|ImageInspectError", "image"),
    (r"is (on )?hold|stopPolicy|StopPolicy|inactive|deactivated|SchedulingGated", "held"),
    (r"topology|doesn't allow to fit|contiguous", "contiguous block"),
    (r"insufficient (unused )?quota|exceed(s|ed)? (its )?quota|maximum capacity|borrowing limit",
     "quota"),
    # Nodes of its kind are full; that others are not of its kind is no reason.
    (r"[Ii]nsufficient nvidia\.com/", "GPUs"),
    (r"untolerated taint|didn't match Pod's node (affinity|selector)|flavor .* (doesn't|does not)"
     r" match|not match.* flavor|no flavor", "flavour"),
    (r"preempt|higher priority", "priority"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ask:
    """Work that waits: one pod, or a gang as one. `since` None is unknown; `said` are the words
    of conditions and container states."""

    namespace: str
    name: str
    tier: str | None
    gpus: int
    gpus_per_pod: int
    since: datetime | None = None
    priority: int | None = None
    queue: str = ""
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FreeNode:
    """A node's usable free GPUs."""

    node: str
    tier: str | None
    gpus: int


@dataclass(frozen=True, slots=True)
class Release:
    """GPUs that come free in a tier by this time at the latest."""

    at: datetime
    tier: str
    gpus: int


@dataclass(frozen=True, slots=True)
class Wait:
    ask: Ask
    reason: Reason
    words: str
    starts_by: datetime | None


def waits(asks: Sequence[Ask], free: Sequence[FreeNode], releases: Sequence[Release]) -> list[Wait]:
    """Each ask with its reason; those of a tier are served by priority, then by age."""
    found = []
    for tier in sorted({a.tier for a in asks}, key=str):
        own = [n for n in free if n.tier == tier]
        ahead = 0
        line = sorted((a for a in asks if a.tier == tier), key=_turn)
        for ask in line:
            reason, words = _why(ask, own, ahead)
            starts = _starts_by(ask, ahead, sum(n.gpus for n in own), releases, reason)
            found.append(Wait(ask, reason, words, starts))
            ahead += ask.gpus
    return found


def _turn(ask: Ask) -> tuple[float, float, str]:
    age = ask.since.timestamp() if ask.since else float("inf")
    return -(ask.priority or 0), age, ask.name


def _why(ask: Ask, free: Sequence[FreeNode], ahead: int) -> tuple[Reason, str]:
    for pattern, reason in _SAID:
        for words in ask.said:
            if re.search(pattern, words):
                if reason == "GPUs":
                    return _by_arithmetic(ask, free, ahead, words)
                return reason, words
    return _by_arithmetic(ask, free, ahead, "; ".join(ask.said))


def _by_arithmetic(ask: Ask, free: Sequence[FreeNode], ahead: int, said: str) -> tuple[Reason, str]:
    """What the free GPUs of its tier say: too few, too scattered, or spoken for by others."""
    total = sum(n.gpus for n in free)
    tail = f" ({said})" if said else ""
    if total < ask.gpus:
        return "GPUs", f"{ask.gpus} GPUs asked for, {total} free in its tier{tail}"
    fits = sum(n.gpus // ask.gpus_per_pod for n in free) if ask.gpus_per_pod else 0
    if fits * ask.gpus_per_pod < ask.gpus:
        widest = max((n.gpus for n in free), default=0)
        return (
            "contiguous block",
            f"{total} GPUs are free, on no node more than {widest} of the {ask.gpus_per_pod} that "
            f"one pod asks for{tail}",
        )
    if total - ahead < ask.gpus:
        return "priority", f"{ahead} GPUs are asked for by work that goes first{tail}"
    return "unknown", said or "GPUs enough are free: nothing says why it waits"


def _starts_by(
    ask: Ask, ahead: int, free: int, releases: Iterable[Release], reason: Reason
) -> datetime | None:
    """The time by which enough GPUs have come free for it and all before it."""
    if reason not in {"GPUs", "priority", "quota"}:
        return None
    needed = ahead + ask.gpus - (0 if reason == "quota" else free)
    own = sorted((r for r in releases if r.tier == ask.tier), key=lambda r: r.at)
    for release in own:
        needed -= release.gpus
        if needed <= 0:
            return release.at
    return None
