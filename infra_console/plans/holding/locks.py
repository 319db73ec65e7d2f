"""One plan at a time in each tier of each cluster. Pairs are taken in sorted order, all or none."""

from django.db import transaction

from infra_console.plans import clock
from infra_console.plans.errors import LockHeld
from infra_console.plans.models import LockRow, Plan


@transaction.atomic
def take_locks(plan: Plan) -> None:
    """Take every (cluster, tier) of the plan; those it already holds are kept.

    Raises:
        LockHeld: another plan works there; none was taken.
    """
    for cluster, tier in sorted({(k.cluster, k.tier) for k in plan.spec.locks}):
        row, _ = LockRow.objects.get_or_create(
            cluster=cluster, tier=tier, defaults={"plan": plan, "taken_at": clock.now()}
        )
        if row.plan_id != plan.id:
            raise LockHeld(cluster, tier, row.plan.number)


def release_locks(plan: Plan) -> None:
    LockRow.objects.filter(plan=plan).delete()
