"""The one writer of the audit trail."""

from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from infra_console.audit.chain import GENESIS, plain_json, row_hash
from infra_console.audit.models import AuditRow

# One writer at a time, or two rows would follow the same hash. Any constant of ours will do.
CHAIN_LOCK = 0x1F7A_AD17


@transaction.atomic
def record_audit(
    *, actor: str, action: str, object_kind: str, object_id: str, detail: dict[str, Any]
) -> int:
    """Append one row to the chain and return its sequence number.

    Call it last in a transaction: the chain is locked until the transaction ends, so a caller that
    waits for other rows afterwards holds everybody up.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CHAIN_LOCK])
    last = AuditRow.objects.order_by("-seq").only("seq", "hash").first()
    fields = {
        "seq": last.seq + 1 if last else 1,
        "at": timezone.now(),
        "actor": actor,
        "action": action,
        "object_kind": object_kind,
        "object_id": object_id,
        "detail": plain_json(detail),
        "prev_hash": last.hash if last else GENESIS,
    }
    row = AuditRow.objects.create(**fields, hash=row_hash(**fields))
    return row.seq
