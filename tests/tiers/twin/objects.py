"""Small clusters made by hand: nodes of the profile, and pods in a wanted state."""

from datetime import UTC, datetime
from typing import Any

from tiers.twin.kube.resources import DEPLOYMENTS, NODES, PDBS, PODS
from tiers.twin.kube.store import ClusterStore
from tiers.twin.profile import (
    GPU_RESOURCE,
    JOB_NAME_KEY,
    TIER_KEY,
    node_labels,
    nodes_of,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NOW_S = NOW.timestamp()


def small_cluster(cluster: str = "eastus", nodes: int = 14) -> ClusterStore:
    store = ClusterStore(cluster)
    for spec in list(nodes_of(cluster))[:nodes]:
        taint = {"key": TIER_KEY, "value": spec.tier, "effect": "NoSchedule"}
        ready = {"type": "Ready", "status": "True"}
        amounts = {GPU_RESOURCE: "8", "cpu": "96", "memory": "1900Gi"}
        node = {
            "metadata": {"name": spec.name, "labels": node_labels(spec)},
            "spec": {"taints": [taint]},
            "status": {"capacity": amounts, "allocatable": amounts, "conditions": [ready]},
        }
        store.create(NODES, node, NOW)
    return store


def add_pod(
    store: ClusterStore,
    name: str,
    *,
    namespace: str = "inference",
    node: str = "eastus-h100-reserved-01",
    gpus: int = 1,
    ready: bool = True,
    job: str = "",
) -> dict[str, Any]:
    pod = {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {JOB_NAME_KEY: job} if job else {},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "owner", "uid": "owner-uid"}],
        },
        "spec": {
            "nodeName": node,
            "containers": [
                {"name": "server", "resources": {"requests": {GPU_RESOURCE: str(gpus)}}}
            ],
        },
        "status": {
            "phase": "Running" if node else "Pending",
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }
    return store.create(PODS, pod, NOW)


def change_pod(store: ClusterStore, name: str, *, namespace: str = "inference", **meta: Any):
    pod = store.get(PODS, namespace, name)
    return store.put(PODS, {**pod, "metadata": {**pod["metadata"], **meta}})


def add_deployment(
    store: ClusterStore, name: str, *, namespace: str = "operational", replicas: int = 1
) -> None:
    meta = {"name": name, "namespace": namespace}
    body = {"metadata": meta, "spec": {"replicas": replicas}, "status": {"readyReplicas": 1}}
    store.create(DEPLOYMENTS, body, NOW)


def add_budget(store: ClusterStore, name: str, allowed: int) -> None:
    meta = {"name": name, "namespace": "inference"}
    store.create(PDBS, {"metadata": meta, "status": {"disruptionsAllowed": allowed}}, NOW)
