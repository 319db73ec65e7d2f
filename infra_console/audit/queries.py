"""Reads of the audit trail, and the proof that nobody rewrote it."""

from django.conf import settings

from infra_console.audit.heads import HeadsUnreadable, read_heads
from infra_console.audit.models import AuditRow
from infra_console.audit.proof import ChainReport, check_chain

__all__ = ["ChainReport", "verify_chain"]

BATCH_ROWS = 2_000


def verify_chain() -> ChainReport:
    """Walk the whole chain against the exported heads.

    A head that is not ours is itself a sign of tampering: then no row is trusted.
    """
    rows = AuditRow.objects.order_by("seq").iterator(chunk_size=BATCH_ROWS)
    try:
        heads = read_heads(settings.AUDIT_HEADS_FILE, key=settings.AUDIT_KEY)
    except HeadsUnreadable as err:
        return ChainReport(0, 0, "", proven_to=0, heads=0, broken_at=1, problem=str(err))
    return check_chain(rows, heads)
