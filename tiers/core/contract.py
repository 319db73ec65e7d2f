"""The ledger against the contract: what was reserved, what stands there, and the difference named.

A reservation names a pool, or a cluster with or without a GPU type, or nothing (the whole fleet).
The narrowest scope takes its pools first, so that no GPU is held against two reservations.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Reserved:
    """One line of the contract; empty scope parts mean any."""

    id: str
    start: datetime
    end: datetime
    gpus: int
    pool: str = ""
    cluster: str = ""
    gpu_type: str = ""

    @property
    def scope(self) -> tuple[str, str, str]:
        return self.pool, self.cluster, self.gpu_type

    def runs(self, now: datetime) -> bool:
        return self.start <= now < self.end


@dataclass(frozen=True, slots=True)
class PoolSeen:
    """GPUs that stand in a pool now; None where its cluster was never read."""

    id: str
    cluster: str
    gpu_type: str
    purchase: str
    gpus: int | None


@dataclass(frozen=True, slots=True)
class ContractLine:
    """One scope: contracted now, starting later, and seen. `seen` None is unknown."""

    scope: str
    reservations: tuple[str, ...]
    contracted: int
    later: int
    seen: int | None
    words: str

    @property
    def difference(self) -> int | None:
        return None if self.seen is None else self.seen - self.contracted


def contract_lines(
    reservations: Sequence[Reserved], pools: Iterable[PoolSeen], *, now: datetime
) -> list[ContractLine]:
    """Every reserved GPU in exactly one line: by scope, then pools that no reservation names.

    Without any reservation there is nothing to hold them against, and no line.
    """
    if not reservations:
        return []
    left = [p for p in pools if p.purchase == "reserved"]
    current = [r for r in reservations if r.end > now]
    lines = []
    for scope in sorted({r.scope for r in current}, key=lambda s: (-_narrowness(s), s)):
        taken = [p for p in left if _within(p, scope)]
        left = [p for p in left if p not in taken]
        lines.append(_line(scope, [r for r in current if r.scope == scope], taken, now))
    if left:
        seen = _sum(left)
        words = "no reservation names them" if seen else ""
        scope_words = ", ".join(p.id for p in left[:3]) + (" …" if len(left) > 3 else "")
        lines.append(ContractLine(f"pools {scope_words}", (), 0, 0, seen, words))
    return lines


def gpus_not_started(reservations: Iterable[Reserved], *, now: datetime) -> int:
    """GPUs of reservations that begin later."""
    return sum(r.gpus for r in reservations if r.start > now)


def _line(
    scope: tuple[str, str, str], held: Sequence[Reserved], pools: Sequence[PoolSeen], now: datetime
) -> ContractLine:
    contracted = sum(r.gpus for r in held if r.runs(now))
    seen = _sum(pools) if pools else 0
    return ContractLine(
        scope=scope_words(scope),
        reservations=tuple(r.id for r in held),
        contracted=contracted,
        later=gpus_not_started(held, now=now),
        seen=seen,
        words=_difference_words(contracted, seen, [r.id for r in held if r.runs(now)]),
    )


def _difference_words(contracted: int, seen: int | None, ids: Sequence[str]) -> str:
    if seen is None:
        return "unknown: its cluster was never read"
    if seen < contracted:
        return f"{contracted - seen} GPUs of {', '.join(ids)} are paid for and not seen"
    if seen > contracted:
        return f"{seen - contracted} GPUs are seen that no running reservation covers"
    return ""


def _narrowness(scope: tuple[str, str, str]) -> int:
    pool, cluster, gpu_type = scope
    return 4 * bool(pool) + 2 * bool(cluster) + bool(gpu_type)


def _within(pool: PoolSeen, scope: tuple[str, str, str]) -> bool:
    return all(
        not wanted or wanted == own
        for wanted, own in zip(scope, (pool.id, pool.cluster, pool.gpu_type), strict=True)
    )


def scope_words(scope: tuple[str, str, str]) -> str:
    pool, cluster, gpu_type = scope
    if pool:
        return f"pool {pool}"
    return " ".join(filter(None, (cluster, gpu_type))) or "the whole fleet"


def _sum(pools: Iterable[PoolSeen]) -> int | None:
    counts = [p.gpus for p in pools]
    return None if None in counts else sum(c for c in counts if c is not None)
