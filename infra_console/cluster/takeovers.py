"""Taking over a field that another writer owns: once, by an admin, audited, handed back.

A field that GitOps, a person or another program owns is left alone: a step that needs it pauses and
names the owner. An admin may allow the writing when arming. The owner is recorded with the step,
and a rollback writes what stood there before in the owner's name: the field is theirs again.
"""

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from infra_console.access.roles import roles_of
from infra_console.audit.services import record_audit
from infra_console.cluster.managers import Manager
from infra_console.cluster.models import TakeOver
from infra_console.fleet.models import Cluster

# What may be taken over, by kind: the one field of it that we write and others may own.
FIELDS = {"Node": "the tier's label", "ClusterQueue": "resourceGroups", "Workload": "active"}


class TakeOverRefused(Exception):
    """Nothing was allowed or taken back."""


def foreign(cluster: str, kind: str, owners: Iterable[Manager]) -> tuple[Manager, ...]:
    """Those of the owners that nobody allowed us to take the field from."""
    others = tuple(owners)
    if not others:
        return ()
    rows = TakeOver.objects.filter(cluster=cluster, kind=kind)
    allowed = set(rows.values_list("manager", flat=True))
    return tuple(m for m in others if m.name not in allowed)


@transaction.atomic
def allow_take_over(cluster: str, kind: str, *, manager: str, by: User, reason: str) -> TakeOver:
    """Let the executor write this kind's field in a cluster although `manager` owns it.

    Raises:
        TakeOverRefused: `by` is no admin, or the cluster, kind, manager or reason is missing.
    """
    if "admin" not in roles_of(by):
        raise TakeOverRefused("Only an admin lets a field be taken over. Nothing was changed.")
    if kind not in FIELDS:
        raise TakeOverRefused(f"There is no kind {kind!r} to take over: {', '.join(FIELDS)}.")
    if not Cluster.objects.filter(id=cluster).exists():
        raise TakeOverRefused(f"The fleet names no cluster {cluster!r}. Nothing was changed.")
    if not manager.strip() or not reason.strip():
        raise TakeOverRefused("Name the manager and say why. Nothing was changed.")
    values = {"by": by.get_username(), "at": timezone.now(), "reason": reason}
    row, _ = TakeOver.objects.update_or_create(
        cluster=cluster, kind=kind, manager=manager, defaults=values
    )
    _audit(by, "cluster.take_over_allowed", cluster, kind, manager, reason)
    return row


@transaction.atomic
def forbid_take_over(cluster: str, kind: str, *, manager: str, by: User, reason: str) -> int:
    """Take the permission back; what was written stays until its plan is rolled back.

    Raises:
        TakeOverRefused: `by` is no admin.
    """
    if "admin" not in roles_of(by):
        raise TakeOverRefused("Only an admin takes this permission back. Nothing was changed.")
    gone, _ = TakeOver.objects.filter(cluster=cluster, kind=kind, manager=manager).delete()
    if gone:
        _audit(by, "cluster.take_over_forbidden", cluster, kind, manager, reason)
    return gone


def _audit(by: User, action: str, cluster: str, kind: str, manager: str, reason: str) -> None:
    record_audit(
        actor=by.get_username(),
        action=action,
        object_kind="cluster",
        object_id=cluster,
        detail={"kind": kind, "manager": manager, "reason": reason},
    )
