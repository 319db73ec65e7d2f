"""Deletes what its owner left behind, and pods whose node is gone, as the collectors do."""

from datetime import datetime

from tiers.twin.controllers import pods
from tiers.twin.kube.resources import (
    DEPLOYMENTS,
    HPAS,
    JOBS,
    LEADER_WORKER_SETS,
    NODES,
    PODS,
    REPLICA_SETS,
    RESOURCE_CLAIMS,
    SCALED_OBJECTS,
    STATEFUL_SETS,
    WORKLOADS,
    Obj,
)
from tiers.twin.kube.store import ClusterStore

_OWNERS = (DEPLOYMENTS, REPLICA_SETS, JOBS, STATEFUL_SETS, LEADER_WORKER_SETS, SCALED_OBJECTS)
_DEPENDENTS = (REPLICA_SETS, STATEFUL_SETS, HPAS, WORKLOADS, RESOURCE_CLAIMS)


def tick(store: ClusterStore, now: datetime) -> None:
    everyone = store.all(PODS)
    owners = {obj["metadata"]["uid"] for resource in _OWNERS for obj in store.all(resource)}
    owners |= {pod["metadata"]["uid"] for pod in everyone}
    # Workers go with a leader that leaves, not after it; a claim is held until its pod is gone.
    leaving = {pod["metadata"]["uid"] for pod in everyone if pods.is_leaving(pod)}
    for resource in _DEPENDENTS:
        for obj in store.all(resource):
            if _orphan(obj, owners - leaving if resource is STATEFUL_SETS else owners):
                metadata = obj["metadata"]
                store.remove(resource, metadata["namespace"], metadata["name"])
                owners.discard(metadata["uid"])
    for pod in everyone:
        node = pod["spec"].get("nodeName")
        if node and store.find(NODES, "", node) is None:
            pods.remove(store, pod, now, grace_s=0)
        elif _orphan(pod, owners):
            pods.remove(store, pod, now)


def _orphan(obj: Obj, owners: set[str]) -> bool:
    references = obj["metadata"].get("ownerReferences") or ()
    return bool(references) and all(r["uid"] not in owners for r in references)
