"""Setting the replicas of whatever has a scale, in the name of the controller that does it."""

from collections.abc import Callable
from datetime import datetime

from tiers.twin.kube.managed_fields import Manager, track_update
from tiers.twin.kube.resources import DEPLOYMENTS, LEADER_WORKER_SETS, STATEFUL_SETS, Obj, Resource
from tiers.twin.kube.store import ClusterStore

Metric = Callable[[str, str, str], float | None]
"""Average per ready pod of a metric, given namespace, workload and metric name; None: no data."""
_KINDS = {r.kind: r for r in (DEPLOYMENTS, STATEFUL_SETS, LEADER_WORKER_SETS)}


def find_target(store: ClusterStore, namespace: str, reference: Obj) -> tuple[Resource, Obj] | None:
    """What a scaleTargetRef names; a Deployment where it names no kind."""
    resource = _KINDS.get(reference.get("kind", "Deployment"))
    found = store.find(resource, namespace, reference["name"]) if resource else None
    return (resource, found) if resource and found else None


def set_replicas(
    store: ClusterStore, resource: Resource, target: Obj, replicas: int, now: datetime, *, by: str
) -> None:
    """Write through `scale`, so that managedFields say who owns the field."""
    after = {**target, "spec": {**target["spec"], "replicas": replicas}}
    store.put(resource, track_update(target, after, Manager(by, "Update", "scale"), now))
