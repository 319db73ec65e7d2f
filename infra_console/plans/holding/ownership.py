"""One console a cluster: a Lease there that says who writes, renewed while it does.

Another console's Lease is taken over only after it has stood unchanged for its whole duration, by
our own clock: its holder's clock proves nothing. The Lease also remembers the head of our audit
chain at each renewal, so that a database restored to an earlier time, whose chain ends before that
row or goes on otherwise, finds itself refused by every cluster that it has written to since.
"""

from datetime import timedelta

from django.conf import settings

from infra_console.audit.models import AuditRow
from infra_console.cluster.client import context_of
from infra_console.cluster.errors import (
    ClusterError,
    ClusterUnavailable,
    ObjectConflict,
    ObjectMissing,
)
from infra_console.cluster.leases import LeaseState, create_namespace, read_lease, write_lease
from infra_console.numbers import whole_number
from infra_console.plans import clock
from infra_console.plans.errors import NotOwned
from infra_console.plans.models import Console, ForeignLease

LEASE = "infra-console"
LEASE_S = 60
RENEW_EVERY_S = 15.0
AUDIT_SEQ = "infra-console.dev/audit-seq"
AUDIT_HASH = "infra-console.dev/audit-hash"
TRIES = 3


def hold(cluster: str) -> None:
    """Take or renew the cluster's Lease.

    Raises:
        NotOwned: another console writes there, our database is older than the cluster, or it
            cannot be told. ClusterUnavailable: no answer now.
    """
    for _ in range(TRIES):
        try:
            return _hold_once(cluster)
        except ObjectConflict:  # another worker of ours, or another console: look again
            continue
        except ClusterUnavailable:
            raise
        except ClusterError as err:
            raise NotOwned(cluster, f"its Lease cannot be kept: {err.problem}") from err
    raise NotOwned(cluster, "its Lease changes all the time")


def identity_in(cluster: str) -> str:
    """How this console signs there: who it is, and by which context it came."""
    console, _ = Console.objects.get_or_create(id=1)
    return f"{console.identity}/{context_of(cluster)}"


def _hold_once(cluster: str) -> None:
    me, held = identity_in(cluster), read_lease(cluster, settings.OWNERSHIP_NAMESPACE, LEASE)
    if held is not None and held.holder == me:
        _check_memory(cluster, held)
    elif held is not None and held.holder:
        _check_silent(cluster, held)
    try:
        _write(cluster, me, held)
    except ObjectMissing:  # the namespace: a cluster where nobody has applied our manifests
        create_namespace(cluster, settings.OWNERSHIP_NAMESPACE)
        _write(cluster, me, held)


def _write(cluster: str, me: str, held: LeaseState | None) -> None:
    last = AuditRow.objects.order_by("-seq").only("seq", "hash").first()
    memory = {AUDIT_SEQ: str(last.seq), AUDIT_HASH: last.hash} if last else {}
    write_lease(
        cluster,
        settings.OWNERSHIP_NAMESPACE,
        LEASE,
        holder=me,
        duration_s=LEASE_S,
        at=clock.now(),
        annotations=memory,
        held=held,
    )


def _check_memory(cluster: str, held: LeaseState) -> None:
    """Refuse when the cluster remembers an audit row that our database does not hold."""
    seq = whole_number(held.annotations.get(AUDIT_SEQ, ""))
    kept = held.annotations.get(AUDIT_HASH)
    if seq is None:
        return
    ours = AuditRow.objects.filter(seq=seq).values_list("hash", flat=True).first()
    if ours != kept:
        raise NotOwned(
            cluster,
            f"it remembers audit row {seq} of this console, which the database does not hold: "
            "the database was restored to an earlier time",
        )


def _check_silent(cluster: str, held: LeaseState) -> None:
    """Refuse while another holder may live: until its Lease has not moved for its duration."""
    now, seen = clock.now(), ForeignLease.objects.filter(cluster=cluster).first()
    if seen is None or (seen.holder, seen.renewed) != (held.holder, held.renewed):
        ForeignLease.objects.update_or_create(
            cluster=cluster,
            defaults={"holder": held.holder, "renewed": held.renewed, "first_seen_at": now},
        )
    elif seen.first_seen_at + timedelta(seconds=LEASE_S) < now:
        return
    raise NotOwned(
        cluster,
        f"another console ({held.holder}) writes there; this one waits until that one has been "
        f"silent for {LEASE_S} s",
    )
