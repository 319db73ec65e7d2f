"""Reads of the audit trail, and the proof that nobody rewrote it."""

from dataclasses import dataclass

from infra_console.audit.chain import GENESIS, row_hash
from infra_console.audit.models import AuditRow

BATCH_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class ChainReport:
    """`head` is the last sound (sequence, hash); `broken_at` the first row that does not fit."""

    rows: int
    head_seq: int
    head_hash: str
    broken_at: int | None
    problem: str

    @property
    def ok(self) -> bool:
        return self.broken_at is None


def verify_chain() -> ChainReport:
    """Walk the whole chain and stop at the first row that was edited, removed or put elsewhere.

    Rows cut off the end leave a sound shorter chain: compare the head with one kept elsewhere.
    """
    seq, head, rows = 0, GENESIS, 0
    for row in AuditRow.objects.order_by("seq").iterator(chunk_size=BATCH_ROWS):
        if problem := _problem(row, expected_seq=seq + 1, prev_hash=head):
            return ChainReport(rows, seq, head, broken_at=row.seq, problem=problem)
        seq, head, rows = row.seq, row.hash, rows + 1
    return ChainReport(rows, seq, head, broken_at=None, problem="")


def _problem(row: AuditRow, *, expected_seq: int, prev_hash: str) -> str:
    if row.seq != expected_seq:
        return f"row {expected_seq} is missing"
    if row.prev_hash != prev_hash:
        return f"row {row.seq} does not follow row {row.seq - 1}"
    computed = row_hash(
        seq=row.seq,
        at=row.at,
        actor=row.actor,
        action=row.action,
        object_kind=row.object_kind,
        object_id=row.object_id,
        detail=row.detail,
        prev_hash=row.prev_hash,
    )
    return "" if computed == row.hash else f"row {row.seq} was changed after it was written"
