"""Deletes what its owner left behind, as the garbage collector does."""

from datetime import datetime

from tiers.twin.controllers import pods
from tiers.twin.kube.resources import DEPLOYMENTS, JOBS, PODS, REPLICA_SETS, Obj
from tiers.twin.kube.store import ClusterStore


def tick(store: ClusterStore, now: datetime) -> None:
    owners = {
        obj["metadata"]["uid"]
        for resource in (DEPLOYMENTS, REPLICA_SETS, JOBS)
        for obj in store.all(resource)
    }
    for replica_set in store.all(REPLICA_SETS):
        if _orphan(replica_set, owners):
            metadata = replica_set["metadata"]
            store.remove(REPLICA_SETS, metadata["namespace"], metadata["name"])
            owners.discard(metadata["uid"])
    for pod in store.all(PODS):
        if _orphan(pod, owners):
            pods.remove(store, pod, now)


def _orphan(obj: Obj, owners: set[str]) -> bool:
    references = obj["metadata"].get("ownerReferences") or ()
    return bool(references) and all(r["uid"] not in owners for r in references)
