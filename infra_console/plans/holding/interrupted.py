"""The audit rows that a killed worker left open are closed by the one that goes on.

Whether such a write took effect is not known from here: the step reads the object before it writes
again. What the trail says is that nobody is at it any more.
"""

from uuid import UUID

from infra_console.audit.models import AuditRow
from infra_console.audit.services import record_audit
from infra_console.plans.holding.fence import EXECUTOR
from infra_console.plans.holding.lease import Lease

CLOSED = ("step.written", "step.refused", "step.interrupted")


def close_interrupted(lease: Lease) -> int:
    """Close every open write of earlier workers on this plan; return how many there were."""
    left = _open_writes(lease.plan_id)
    for row in left:
        _close(lease.plan_id, row, closed_by_epoch=lease.epoch)
    return len(left)


def close_hand_backs(plan_id: UUID, what: str) -> None:
    """Close the audit rows of workers that died while they handed this field back."""
    for row in _open_writes(plan_id):
        if row.detail.get("hand_back") and row.detail.get("what") == what:
            _close(plan_id, row)


def _open_writes(plan_id: UUID) -> list[AuditRow]:
    rows = AuditRow.objects.filter(object_kind="plan", object_id=str(plan_id))
    closed = set(rows.filter(action__in=CLOSED).values_list("detail__opened", flat=True))
    return [r for r in rows.filter(action="step.writing") if r.seq not in closed]


def _close(plan_id: UUID, row: AuditRow, **by: int) -> None:
    record_audit(
        actor=EXECUTOR,
        action="step.interrupted",
        object_kind="plan",
        object_id=str(plan_id),
        detail=row.detail | {"opened": row.seq} | by,
    )
