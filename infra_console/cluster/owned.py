"""Which mapped fields of a cluster others own: what a plan that needs one would pause at.

Read by a worker with cluster rights, kept as a row and shown with its age: the web process holds no
kubeconfig. What cannot be read is unknown, never free.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta

from celery import current_app
from django.db import transaction
from django.utils import timezone
from kubernetes import client as kubernetes

from infra_console.cluster import bounds, caps, scaling
from infra_console.cluster.answers import pages
from infra_console.cluster.client import client_for
from infra_console.cluster.errors import ClusterError, ClusterForbidden, ObjectMissing
from infra_console.cluster.kueue import KUEUE_ITSELF, list_cluster_queues, list_workloads
from infra_console.cluster.managers import Manager, appliers, other_owners
from infra_console.cluster.models import OwnedLook
from infra_console.cluster.places import list_objects
from infra_console.cluster.routes import list_routes
from infra_console.fleet.queries import current_fleet, list_clusters, tier_key
from infra_console.live.services import publish

log = logging.getLogger(__name__)

LOOK_TASK = "cluster.look_owned"
MESSAGE_LIFE_S = 60.0
# An open question is not asked twice; one that nobody answered in this time may be.
OPEN_FOR = timedelta(seconds=20)
NAMES_KEPT = 3
FAILED = "the worker failed at it; its log says more"


@dataclass(frozen=True, slots=True)
class Held:
    """One object's mapped field and its other owners."""

    namespace: str
    name: str
    owners: tuple[Manager, ...]


@dataclass(frozen=True, slots=True)
class Owned:
    """One manager's fields of one kind: how many objects, and the first of their names."""

    kind: str
    manager: str
    applies: bool
    objects: int
    names: tuple[str, ...]


def owned_fields(cluster_id: str) -> tuple[list[Owned], list[str]]:
    """Whose the mapped fields are, and the kinds that we may not read.

    Raises:
        ClusterError: the cluster does not answer.
    """
    fleet = current_fleet()
    mapped = frozenset(fleet.tiers.namespaces) if fleet else frozenset()
    found: list[Owned] = []
    unread: list[str] = []
    for kind, read in READERS.items():
        try:
            held = [h for h in read(cluster_id) if not h.namespace or h.namespace in mapped]
        except ObjectMissing:  # the kind is not served there
            continue
        except ClusterForbidden:
            unread.append(kind)
            continue
        found += _by_manager(kind, held)
    return found, unread


def _by_manager(kind: str, held: Iterable[Held]) -> list[Owned]:
    by_manager: dict[Manager, list[str]] = {}
    for one in held:
        for manager in one.owners:
            name = f"{one.namespace}/{one.name}" if one.namespace else one.name
            by_manager.setdefault(manager, []).append(name)
    return [
        Owned(kind, m.name, m.applies, len(names), tuple(sorted(names)[:NAMES_KEPT]))
        for m, names in sorted(by_manager.items(), key=lambda pair: pair[0].name)
    ]


def _nodes(cluster_id: str) -> Iterator[Held]:
    path = ("metadata", "labels", tier_key())
    items = pages(cluster_id, "list nodes", kubernetes.CoreV1Api(client_for(cluster_id)).list_node)
    return (Held("", item["metadata"]["name"], other_owners(item, path)) for item in items)


def _queues(cluster_id: str) -> Iterator[Held]:
    return (Held("", q.name, q.owners) for q in list_cluster_queues(cluster_id))


def _workloads(cluster_id: str) -> Iterator[Held]:
    for held in list_workloads(cluster_id):
        owners = tuple(m for m in held.owners if m.name not in KUEUE_ITSELF)
        yield Held(held.namespace, held.name, owners)


def _bounds(kind: str) -> Callable[[str], Iterator[Held]]:
    def read(cluster_id: str) -> Iterator[Held]:
        items = list_objects(cluster_id, bounds.KINDS[kind])
        states = (bounds.bounds_state(kind, item) for item in items)
        return (Held(s.at.namespace, s.at.name, s.owners) for s in states if not s.maker)

    return read


def _counts(kind: str) -> Callable[[str], Iterator[Held]]:
    def read(cluster_id: str) -> Iterator[Held]:
        states = scaling.list_scaled(cluster_id, kind)
        return (Held(s.namespace, s.name, tuple(appliers(s.owners))) for s in states)

    return read


def _quotas(cluster_id: str) -> Iterator[Held]:
    call = kubernetes.CoreV1Api(client_for(cluster_id)).list_resource_quota_for_all_namespaces
    field, key, _ = caps.FIELDS[caps.QUOTA]
    for item in pages(cluster_id, "list resourcequotas", call):
        owners = other_owners(item, ("spec", field, key))
        yield Held(item["metadata"]["namespace"], item["metadata"]["name"], owners)


def _pools(cluster_id: str) -> Iterator[Held]:
    field, key, _ = caps.FIELDS[caps.NODE_POOL]
    for item in list_objects(cluster_id, scaling.KINDS[caps.NODE_POOL]):
        yield Held("", item["metadata"]["name"], other_owners(item, ("spec", field, key)))


def _routes(cluster_id: str) -> Iterator[Held]:
    return (Held(r.namespace, r.name, r.owners) for r in list_routes(cluster_id))


READERS: Mapping[str, Callable[[str], Iterator[Held]]] = {
    "Node": _nodes,
    "ClusterQueue": _queues,
    "Workload": _workloads,
    **{kind: _bounds(kind) for kind in bounds.KINDS},
    caps.QUOTA: _quotas,
    caps.NODE_POOL: _pools,
    **{kind: _counts(kind) for kind in ("Deployment", "StatefulSet", "LeaderWorkerSet")},
    "HTTPRoute": _routes,
}


@transaction.atomic
def ask_owned() -> int:
    """Ask about every cluster, except where a question is open; return how many were asked."""
    now, asked = timezone.now(), 0
    for cluster in list_clusters():
        row, is_new = OwnedLook.objects.get_or_create(
            cluster=cluster.id, defaults={"asked_at": now}
        )
        if not is_new and row.answered_at is None and row.asked_at > now - OPEN_FOR:
            continue
        OwnedLook.objects.filter(id=row.pk).update(asked_at=now, answered_at=None)
        transaction.on_commit(_sending(cluster.id), robust=True)
        asked += 1
    return asked


def _sending(cluster_id: str) -> Callable[[], None]:
    """Not a partial: Django names the function when it logs what a robust hook raised."""

    def send() -> None:
        _send(cluster_id)

    return send


def look_owned(cluster_id: str) -> str:
    """Look once and keep what was seen; safe to call any number of times."""
    at = timezone.now()
    columns: dict[str, object] = {"problem": ""}
    try:
        found, unread = owned_fields(cluster_id)
        columns |= {"found": [asdict(o) for o in found], "unread": unread, "seen_at": at}
    except ClusterError as err:
        columns = {"problem": err.problem}
    except Exception:  # an answer is owed, or the page would wait for ever
        log.exception("Looking for owners in %s failed", cluster_id)
        columns = {"problem": FAILED}
    OwnedLook.objects.filter(cluster=cluster_id).update(**columns, answered_at=timezone.now())
    publish(kind="owned", id=cluster_id, version=int(at.timestamp() * 1000))
    return str(columns["problem"]) or "looked"


def _send(cluster_id: str) -> None:
    current_app.send_task(LOOK_TASK, args=[cluster_id], expires=MESSAGE_LIFE_S, retry=False)
