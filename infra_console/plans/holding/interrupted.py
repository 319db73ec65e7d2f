"""The audit rows that a killed worker left open are closed by the one that goes on.

Whether such a write took effect is not known from here: the step reads the object before it writes
again. What the trail says is that nobody is at it any more.
"""

from infra_console.audit.models import AuditRow
from infra_console.audit.services import record_audit
from infra_console.plans.holding.fence import EXECUTOR
from infra_console.plans.holding.lease import Lease

CLOSED = ("step.written", "step.refused", "step.interrupted")


def close_interrupted(lease: Lease) -> int:
    """Close every open write of earlier workers on this plan; return how many there were."""
    rows = AuditRow.objects.filter(object_kind="plan", object_id=str(lease.plan_id))
    closed = set(rows.filter(action__in=CLOSED).values_list("detail__opened", flat=True))
    left = [r for r in rows.filter(action="step.writing") if r.seq not in closed]
    for row in left:
        detail = row.detail | {"opened": row.seq, "closed_by_epoch": lease.epoch}
        record_audit(
            actor=EXECUTOR,
            action="step.interrupted",
            object_kind="plan",
            object_id=str(lease.plan_id),
            detail=detail,
        )
    return len(left)
