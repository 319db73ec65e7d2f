"""An approved plan's execution: ordered with the last approval, held back while it may be undone.

The order's `not_before` is what holds it: the sweep does not send it and a worker does not begin
it earlier, however it came to hear of it.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from infra_console.plans import clock
from infra_console.plans.holding.outbox import EXECUTE, send_waiting
from infra_console.plans.models import Execution, Outbox, Plan, Step
from infra_console.plans.states import Decision


def order_execution(plan: Plan) -> None:
    """The execution, its steps and the order to carry it out, all or none with the approval."""
    Execution.objects.create(plan=plan)
    Step.objects.bulk_create(
        Step(
            plan=plan,
            index=index,
            key=step.key,
            kind=step.kind,
            title=step.title[:250],
            cluster=step.target.cluster,
            tier=step.tier,
            wave=step.wave,
            target=step.target.model_dump(),
            params=step.params,
        )
        for index, step in enumerate(plan.spec.steps)
    )
    now = clock.now()
    Outbox.objects.create(
        kind=EXECUTE, plan=plan, created_at=now, not_before=_earliest(plan, now=now)
    )
    # Not a partial: Django names the function when it logs what a robust hook raised.
    transaction.on_commit(lambda: send_waiting(plan.id), robust=True)


def cancel_order(plan: Plan) -> None:
    """Unmake an order that nobody has begun; a later approval makes a new one."""
    Outbox.objects.filter(kind=EXECUTE, plan=plan).delete()
    Step.objects.filter(plan=plan).delete()
    Execution.objects.filter(plan=plan).delete()


def undo_until(plan: Plan) -> datetime | None:
    """Until when the last approval can be taken back; None once the plan may start."""
    orders = Outbox.objects.filter(kind=EXECUTE, plan=plan, not_before__gt=clock.now())
    return orders.values_list("not_before", flat=True).first()


def _earliest(plan: Plan, *, now: datetime) -> datetime:
    """After the time to undo, and not before the latest start that an approver asked for."""
    given = plan.approvals.filter(decision=Decision.APPROVE, taken_back_at=None)
    asked = [at for at in given.values_list("start_at", flat=True) if at]
    return max([now + timedelta(seconds=settings.APPROVAL_UNDO_S), *asked])
