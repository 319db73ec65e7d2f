"""The first objects of one cluster of the twin: nodes, workloads, budgets, and jobs half done."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from tiers.twin.controllers import training
from tiers.twin.controllers.config import LOAD_KEY
from tiers.twin.controllers.kubelet import healthy
from tiers.twin.kube.resources import (
    DEPLOYMENTS,
    HTTP_ROUTES,
    NAMESPACES,
    NODES,
    PDBS,
    Obj,
    Resource,
)
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.validate import with_defaults
from tiers.twin.profile import (
    GPU_RESOURCE,
    GPU_TYPES,
    GPUS_PER_NODE,
    INFERENCE,
    OPERATIONAL,
    TIER_KEY,
    TIERS,
    TRAINING,
    NodeSpec,
    initial_groups,
    node_labels,
    nodes_of,
)
from tiers.twin.routes import first_routes

# Nodes' worth of gangs that wait at first start, beyond what the training nodes hold.
INITIAL_QUEUE_NODES = 4


@dataclass(frozen=True)
class _Gang:
    nodes: int
    work_s: float


def build_cluster(
    cluster: str, now: datetime, rng: np.random.Generator, size: int = 1
) -> ClusterStore:
    """A cluster of the twin at first start; nothing is scheduled yet (see `cluster.warm_up`)."""
    store = ClusterStore(cluster)
    for name in ("default", "kube-system", *TIERS):
        _create(store, NAMESPACES, {"metadata": {"name": name}}, now)
    for spec in nodes_of(cluster, size):
        store.create(NODES, node_object(spec, now), now)
    for deployment, budget in _workloads(cluster, size):
        _create(store, DEPLOYMENTS, deployment, now)
        if budget is not None:
            _create(store, PDBS, budget, now)
    for route in first_routes(cluster, INFERENCE):
        _create(store, HTTP_ROUTES, route, now)
    _submit_first_jobs(store, now, rng, size)
    return store


def _create(store: ClusterStore, resource: Resource, obj: Obj, now: datetime) -> None:
    store.create(resource, with_defaults(resource, obj), now)


def node_object(spec: NodeSpec, now: datetime) -> Obj:
    """A ready node of eight GPUs that carries its tier as label and taint."""
    labels = node_labels(spec) | {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    resources = {"cpu": "96", "memory": "1900Gi", "pods": "110", GPU_RESOURCE: str(GPUS_PER_NODE)}
    status = {
        "capacity": resources,
        "allocatable": resources,
        "addresses": [{"type": "Hostname", "address": spec.name}],
        "nodeInfo": {
            "architecture": "amd64",
            "bootID": spec.name,
            "containerRuntimeVersion": "containerd://2.1.4",
            "kernelVersion": "6.8.0",
            "kubeProxyVersion": "v1.36.2",
            "kubeletVersion": "v1.36.2",
            "machineID": spec.name,
            "operatingSystem": "linux",
            "osImage": "Ubuntu 24.04 LTS",
            "systemUUID": spec.name,
        },
    }
    return {
        "metadata": {"name": spec.name, "labels": labels},
        "spec": {
            "providerID": f"twin://{spec.cluster}/{spec.name}",
            "taints": [{"key": TIER_KEY, "value": spec.tier, "effect": "NoSchedule"}],
        },
        "status": healthy(status, now),
    }


def _workloads(cluster: str, size: int) -> Iterator[tuple[Obj, Obj | None]]:
    for served in INFERENCE:
        if cluster in served.regions:
            product = GPU_TYPES[served.gpu_type].product
            yield (
                _deployment(
                    "inference",
                    served.id,
                    replicas=initial_groups(cluster, served, size),
                    gpus=served.gpus_per_group,
                    container={"name": "vllm", "image": "vllm/vllm-openai:v0.23.0"},
                    load_s=served.load_s,
                    selector={"nvidia.com/gpu.product": product},
                ),
                _budget("inference", served.id),
            )
    for batch in OPERATIONAL:
        container = {"name": batch.id, "image": f"registry.example/{batch.id}:2"}
        yield (
            _deployment(
                "operational",
                batch.id,
                replicas=batch.initial_groups * size,
                gpus=batch.gpus_per_group,
                container=container,
                load_s=batch.load_s,
                selector={},
            ),
            None,
        )


def _deployment(
    tier: str,
    name: str,
    *,
    replicas: int,
    gpus: int,
    container: Obj,
    load_s: float,
    selector: dict[str, str],
) -> Obj:
    asked = {GPU_RESOURCE: str(gpus)}
    toleration = {"key": TIER_KEY, "operator": "Equal", "value": tier, "effect": "NoSchedule"}
    pod = {
        "nodeSelector": {TIER_KEY: tier} | selector,
        "tolerations": [toleration],
        "terminationGracePeriodSeconds": 60,
        "containers": [container | {"resources": {"limits": asked, "requests": asked}}],
    }
    labels = {"app": name}
    return {
        "metadata": {"name": name, "namespace": tier, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": {LOAD_KEY: str(load_s)}},
                "spec": pod,
            },
        },
    }


def _budget(tier: str, name: str) -> Obj:
    return {
        "metadata": {"name": name, "namespace": tier},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": name}}},
    }


def _submit_first_jobs(
    store: ClusterStore, now: datetime, rng: np.random.Generator, size: int
) -> None:
    """Gangs for every training node, each somewhere in its work, and a queue behind them."""
    room = sum(1 for spec in nodes_of(store.cluster, size) if spec.tier == "training")
    nodes = 0
    while nodes < room + INITIAL_QUEUE_NODES * size:
        size = int(rng.choice(TRAINING.gang_nodes, p=TRAINING.gang_shares))
        hours = rng.lognormal(np.log(TRAINING.work_hours_median), TRAINING.work_hours_sigma)
        gang = _Gang(size, float(np.clip(hours, 0.25, 24.0)) * 3600.0)
        done = rng.uniform(0.0, 0.8) if nodes + size <= room else 0.0
        training.submit(store, gang, now, done_s=done * gang.work_s)
        nodes += size
