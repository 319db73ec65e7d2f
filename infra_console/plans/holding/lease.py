"""Who works on an execution: one owner, one epoch, an expiry by the database's clock.

A worker that lost its lease (it was slow, paused or cut off) finds a higher epoch and stops.
"""

import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from infra_console.plans.models import Execution

LEASE_FOR = timedelta(seconds=30)


class LeaseLost(Exception):
    """Another worker holds the execution now; this one must not write any more."""


@dataclass(frozen=True, slots=True)
class Lease:
    plan_id: uuid.UUID
    owner: str
    epoch: int


def acquire_lease(plan_id: uuid.UUID) -> Lease | None:
    """Take a free or expired lease under the next epoch; None when somebody holds it."""
    owner = uuid.uuid4().hex
    # One table, no join: PostgreSQL re-checks these very columns after waiting for the row.
    free = Q(lease_expires_at=None) | Q(lease_expires_at__lt=Now())
    won = Execution.objects.filter(free, plan_id=plan_id, finished_at=None).update(
        lease_owner=owner, lease_epoch=F("lease_epoch") + 1, lease_expires_at=Now() + LEASE_FOR
    )
    if not won:
        return None
    epoch = Execution.objects.values_list("lease_epoch", flat=True).get(plan_id=plan_id)
    return Lease(plan_id, owner, epoch)


def renew_lease(lease: Lease) -> None:
    """Prove and prolong the lease.

    Raises:
        LeaseLost: it ran out, or another worker has a higher epoch.
    """
    if (
        not _mine(lease)
        .filter(lease_expires_at__gt=Now())
        .update(lease_expires_at=Now() + LEASE_FOR)
    ):
        raise LeaseLost(f"plan {lease.plan_id}, epoch {lease.epoch}")


def release_lease(lease: Lease, *, retry_s: float) -> None:
    """Let go; the sweep may hand the execution out again after `retry_s` seconds."""
    _mine(lease).update(
        lease_expires_at=None, not_before=Now() + timedelta(seconds=max(0.0, retry_s))
    )


def _mine(lease: Lease) -> QuerySet[Execution]:
    return Execution.objects.filter(
        plan_id=lease.plan_id, lease_owner=lease.owner, lease_epoch=lease.epoch
    )
