"""Puts a cluster's training under Kueue, on command: one queue that hands out what its nodes hold.

The gangs that are there are suspended, and admitted again in their order, as Jobs are that get a
queue name late; whoever submits one from then on names the queue.
"""

from datetime import datetime

from tiers.twin.controllers.config import QUEUE_KEY
from tiers.twin.controllers.training import NAMESPACE, QUEUE
from tiers.twin.kube.resources import (
    CLUSTER_QUEUES,
    JOBS,
    LOCAL_QUEUES,
    NODES,
    RESOURCE_FLAVORS,
    Obj,
    Resource,
)
from tiers.twin.kube.store import ClusterStore
from tiers.twin.profile import GPU_RESOURCE, TIER_KEY

FLAVOR = "gpu"


def queue_training(store: ClusterStore, now: datetime) -> list[str]:
    """Make the queue unless it is there, and queue every gang; says which."""
    if store.find(CLUSTER_QUEUES, "", QUEUE) is None:
        resource = {"name": GPU_RESOURCE, "nominalQuota": str(_training_gpus(store))}
        flavors = [{"name": FLAVOR, "resources": [resource]}]
        group = {"coveredResources": [GPU_RESOURCE], "flavors": flavors}
        _create(store, RESOURCE_FLAVORS, FLAVOR, {}, now)
        spec = {"namespaceSelector": {}, "resourceGroups": [group]}
        _create(store, CLUSTER_QUEUES, QUEUE, spec, now)
        _create(store, LOCAL_QUEUES, QUEUE, {"clusterQueue": QUEUE}, now, NAMESPACE)
    return [_queue(store, job) for job in store.all(JOBS, NAMESPACE)]


def _training_gpus(store: ClusterStore) -> int:
    nodes = (n for n in store.all(NODES) if n["metadata"]["labels"].get(TIER_KEY) == "training")
    return sum(int(node["status"]["allocatable"][GPU_RESOURCE]) for node in nodes)


def _create(
    store: ClusterStore, resource: Resource, name: str, spec: Obj, now: datetime, space: str = ""
) -> None:
    metadata = {"name": name} | ({"namespace": space} if space else {})
    store.create(resource, {"metadata": metadata, "spec": spec, "status": {}}, now)


def _queue(store: ClusterStore, job: Obj) -> str:
    labels = (job["metadata"].get("labels") or {}) | {QUEUE_KEY: QUEUE}
    store.put(JOBS, {**job, "metadata": job["metadata"] | {"labels": labels}})
    return str(job["metadata"]["name"])
