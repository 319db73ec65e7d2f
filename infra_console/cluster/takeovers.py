"""Taking over a field that another writer owns: once, by an admin, audited, handed back.

A field that GitOps, a person or another program owns is left alone: a step that needs it pauses and
names the owner. An admin may allow the writing when arming. The owner is recorded with the step: a
rollback writes what stood there before in the owner's name, and whatever is still ours once the
tier is disarmed goes back as it stands.
"""

from collections.abc import Iterable, Mapping

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from infra_console.access.roles import can
from infra_console.audit.services import record_audit
from infra_console.cluster.managers import Manager
from infra_console.cluster.models import TakeOver
from infra_console.fleet.models import Cluster
from infra_console.live.services import publish

# What may be taken over, by kind: the one field of it that we write and others may own.
FIELDS = {
    "Node": "the tier's label",
    "ClusterQueue": "resourceGroups",
    "Workload": "active",
    "HorizontalPodAutoscaler": "the bounds",
    "ScaledObject": "the bounds",
    "ResourceQuota": "the limit of GPUs",
    "NodePool": "the limit of GPUs",
    "Deployment": "replicas",
    "StatefulSet": "replicas",
    "LeaderWorkerSet": "replicas",
    "HTTPRoute": "the weights",
}


RIGHT = "cluster.take_over"
# The managers of whom we may take a field in one cluster, by kind.
Leave = Mapping[str, frozenset[str]]


class TakeOverRefused(Exception):
    """Nothing was allowed or taken back."""


def foreign(cluster: str, kind: str, owners: Iterable[Manager]) -> tuple[Manager, ...]:
    """Those of the owners that nobody allowed us to take the field from."""
    found = tuple(owners)
    return others(leave_in(cluster), kind, found) if found else ()


def others(leave: Leave, kind: str, owners: Iterable[Manager]) -> tuple[Manager, ...]:
    """The same, by a leave that was read before."""
    return tuple(m for m in owners if m.name not in leave.get(kind, frozenset()))


def leave_in(cluster: str) -> Leave:
    """What an admin allowed us to take over in a cluster."""
    found: dict[str, set[str]] = {}
    rows = TakeOver.objects.filter(cluster=cluster)
    for kind, manager in rows.values_list("kind", "manager"):
        found.setdefault(kind, set()).add(manager)
    return {kind: frozenset(managers) for kind, managers in found.items()}


@transaction.atomic
def allow_take_over(cluster: str, kind: str, *, manager: str, by: User, reason: str) -> TakeOver:
    """Let the executor write this kind's field in a cluster although `manager` owns it.

    Raises:
        TakeOverRefused: `by` is no admin, or the cluster, kind, manager or reason is missing.
    """
    if not can(by, RIGHT):
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
    """Take the permission back; what was taken over goes back to its owner, as it stands.

    Raises:
        TakeOverRefused: `by` is no admin.
    """
    if not can(by, RIGHT):
        raise TakeOverRefused("Only an admin takes this permission back. Nothing was changed.")
    gone, _ = TakeOver.objects.filter(cluster=cluster, kind=kind, manager=manager).delete()
    if gone:
        _audit(by, "cluster.take_over_forbidden", cluster, kind, manager, reason)
    return gone


def _audit(by: User, action: str, cluster: str, kind: str, manager: str, reason: str) -> None:
    publish(kind="owned", id=cluster, version=int(timezone.now().timestamp() * 1000))
    record_audit(
        actor=by.get_username(),
        action=action,
        object_kind="cluster",
        object_id=cluster,
        detail={"kind": kind, "manager": manager, "reason": reason},
    )
