"""The proof that nobody rewrote the trail: pure, over rows in order and the exported heads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from infra_console.audit.chain import GENESIS, row_hash
from infra_console.audit.heads import Head


class Row(Protocol):
    """One audit row as stored."""

    seq: int
    at: datetime
    actor: str
    action: str
    object_kind: str
    object_id: str
    detail: Any
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class ChainReport:
    """`head_*` is the last sound row; `broken_at` the first sequence that cannot be trusted.

    `proven_to` is the last exported head that the rows agree with: what stands after it is sound by
    its own word alone.
    """

    rows: int
    head_seq: int
    head_hash: str
    proven_to: int
    heads: int
    broken_at: int | None
    problem: str

    @property
    def ok(self) -> bool:
        return self.broken_at is None


def check_chain(rows: Iterable[Row], heads: Sequence[Head]) -> ChainReport:
    """Walk rows by ascending sequence, and stop at the first that does not fit."""
    exported: dict[int, set[str]] = {}
    for head in heads:
        exported.setdefault(head.seq, set()).add(head.hash)
    walk = _Walk(exported, len(heads))
    for row in rows:
        if found := walk.step(row):
            return found
    return walk.end()


class _Walk:
    def __init__(self, exported: dict[int, set[str]], heads: int) -> None:
        self._exported = exported
        self._heads = heads
        self._seq, self._hash, self._proven = 0, GENESIS, 0

    def step(self, row: Row) -> ChainReport | None:
        """Take one row; the report when it does not fit."""
        expected = self._seq + 1
        if row.seq < expected:
            return self._broken(row.seq, f"row {row.seq} was put in before the first")
        if row.seq > expected:
            return self._broken(expected, f"row {expected} is missing")
        if row.prev_hash != self._hash:
            return self._broken(expected, f"row {expected} does not follow row {self._seq}")
        if computed_hash(row) != row.hash:
            return self._broken(expected, f"row {expected} was changed after it was written")
        self._seq, self._hash = row.seq, row.hash
        return self._against_heads()

    def _against_heads(self) -> ChainReport | None:
        kept = self._exported.get(self._seq)
        if kept is None:
            return None
        if kept != {self._hash}:
            first = self._proven + 1
            words = f"rows {first} to {self._seq} are not those of the head exported at {self._seq}"
            return self._broken(first, words)
        self._proven = self._seq
        return None

    def end(self) -> ChainReport:
        last = max(self._exported, default=0)
        if last > self._seq:
            first = self._seq + 1
            return self._broken(first, f"rows {first} to {last} are gone: their head was exported")
        return self._report(None, "")

    def _broken(self, at: int, problem: str) -> ChainReport:
        return self._report(at, problem)

    def _report(self, broken_at: int | None, problem: str) -> ChainReport:
        return ChainReport(
            rows=self._seq,
            head_seq=self._seq,
            head_hash=self._hash,
            proven_to=self._proven,
            heads=self._heads,
            broken_at=broken_at,
            problem=problem,
        )


def computed_hash(row: Row) -> str:
    """The hash that a row of these contents must carry."""
    return row_hash(
        seq=row.seq,
        at=row.at,
        actor=row.actor,
        action=row.action,
        object_kind=row.object_kind,
        object_id=row.object_id,
        detail=row.detail,
        prev_hash=row.prev_hash,
    )
