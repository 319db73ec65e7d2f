"""Orders again whatever is not finished and has nobody working on it.

This is what makes a killed worker's plan resume and a lost message harmless.
"""

from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Now

from infra_console.plans.executing.executor import ACTIVE
from infra_console.plans.holding.outbox import EXECUTE, send_execute, send_waiting
from infra_console.plans.models import Execution, Outbox


def sweep() -> int:
    """Send what is due; return how many orders went out.

    Raises:
        kombu.exceptions.OperationalError: the broker is away; the next sweep tries again.
    """
    orders = Outbox.objects.filter(kind=EXECUTE)
    unsent = set(orders.filter(sent_at=None, not_before__lte=Now()).values_list("plan", flat=True))
    held = set(orders.filter(not_before__gt=Now()).values_list("plan", flat=True))
    for plan_id in unsent:
        send_waiting(plan_id)
    orphans = orphaned_plans() - unsent - held
    for plan_id in orphans:
        send_execute(plan_id)
    return len(unsent) + len(orphans)


def orphaned_plans() -> set[UUID]:
    """Plans with work left, no live lease, and nothing that they wait for."""
    no_lease = Q(lease_expires_at=None) | Q(lease_expires_at__lt=Now())
    no_wait = Q(not_before=None) | Q(not_before__lte=Now())
    found = Execution.objects.filter(no_lease, no_wait, finished_at=None, plan__state__in=ACTIVE)
    return set(found.values_list("plan_id", flat=True))
