"""The one writer of the audit trail."""

import logging
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from infra_console.audit.chain import GENESIS, plain_json, row_hash
from infra_console.audit.heads import Head, append_head, sign_head
from infra_console.audit.models import AuditRow

log = logging.getLogger(__name__)

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
        # The lock first, then the database's clock: rows are in the order of their times.
        cursor.execute("SELECT pg_advisory_xact_lock(%s), clock_timestamp()", [CHAIN_LOCK])
        at = cursor.fetchone()[1]
    last = AuditRow.objects.order_by("-seq").only("seq", "hash").first()
    fields = {
        "seq": last.seq + 1 if last else 1,
        "at": at,
        "actor": actor,
        "action": action,
        "object_kind": object_kind,
        "object_id": object_id,
        "detail": plain_json(detail),
        "prev_hash": last.hash if last else GENESIS,
    }
    row = AuditRow.objects.create(**fields, hash=row_hash(**fields))
    return row.seq


def export_head() -> Head | None:
    """Sign where the chain ends now, say it in the log and keep it outside the database.

    The file gets a line only when rows were added; the log line tells each minute that we live.
    """
    last = AuditRow.objects.order_by("-seq").only("seq", "hash").first()
    if last is None:
        return None
    head = sign_head(last.seq, last.hash, timezone.now(), key=settings.AUDIT_KEY)
    append_head(settings.AUDIT_HEADS_FILE, head)
    log.info("audit head %s", head.line())
    return head
