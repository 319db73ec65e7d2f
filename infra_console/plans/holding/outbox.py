"""From a committed order to the worker. The broker is a hint: what is lost, the sweep sends again.

A message that waited too long is dropped by the broker; the sweep has sent a newer one by then.
"""

import logging
from uuid import UUID

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from infra_console.plans import clock
from infra_console.plans.models import Execution, Outbox

log = logging.getLogger(__name__)

EXECUTE = "execute"
EXECUTE_TASK = "plans.execute"
MESSAGE_LIFE_S = 30.0


def order_again(plan_id: UUID) -> None:
    """Once this transaction has committed, let a worker pick the execution up at once."""
    Execution.objects.filter(plan_id=plan_id).update(not_before=None)
    Outbox.objects.filter(kind=EXECUTE, plan_id=plan_id).update(sent_at=None)
    # Not a partial: Django names the function when it logs what a robust hook raised.
    transaction.on_commit(lambda: send_waiting(plan_id), robust=True)


def send_waiting(plan_id: UUID) -> None:
    """Order the execution of one plan, if an order for it is due and still unsent."""
    waiting = Outbox.objects.filter(
        kind=EXECUTE, plan_id=plan_id, sent_at=None, not_before__lte=clock.now()
    )
    if waiting.exists():
        send_execute(plan_id)
        waiting.update(sent_at=clock.now())


def order_next_turn(plan_id: UUID) -> None:
    """Behind whatever else waits in the queue; a broker that is away leaves it to the sweep."""
    try:
        send_execute(plan_id)
    except OperationalError as err:
        log.info("plan %s waits for the sweep: %s", plan_id, err)


def send_execute(plan_id: UUID) -> None:
    """Put one order in the queue; two of them have the effect of one."""
    current_app.send_task(EXECUTE_TASK, args=[str(plan_id)], expires=MESSAGE_LIFE_S, retry=False)
