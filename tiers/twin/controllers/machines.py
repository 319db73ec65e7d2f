"""Machines of a cloud as nodes: made to measure, refused for capacity, drained, given back.

What the cloud has to offer is written on the pool (NodePool or MachineDeployment): until a time
there is nothing, or each attempt succeeds with a chance.
"""

from datetime import datetime, timedelta

import numpy as np

from tiers.twin.controllers import events, pods
from tiers.twin.controllers.kubelet import healthy
from tiers.twin.kube.errors import ApiError
from tiers.twin.kube.eviction import evict
from tiers.twin.kube.resources import NODES, PODS, Obj, Resource
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.times import parse_time, rfc3339
from tiers.twin.kube.verbs import Write
from tiers.twin.profile import GPU_RESOURCE, GPU_TYPES, GPUS_PER_NODE

NO_CAPACITY_KEY = "twin/no-capacity-until"
CHANCE_KEY = "twin/capacity-chance"
INSTANCE_KEY = "node.kubernetes.io/instance-type"
PRODUCT_KEY = "nvidia.com/gpu.product"
INSUFFICIENT = "InsufficientCapacity"


def has_capacity(pool: Obj, now: datetime, rng: np.random.Generator) -> bool:
    """Whether the cloud has a machine for this pool now."""
    notes = pool["metadata"].get("annotations") or {}
    if NO_CAPACITY_KEY in notes and now < parse_time(notes[NO_CAPACITY_KEY]):
        return False
    return CHANCE_KEY not in notes or bool(rng.random() < float(notes[CHANCE_KEY]))


def described(labels: dict[str, str]) -> dict[str, str]:
    """Labels with what GPU feature discovery adds: by product, else instance type, else H100."""
    gpu = next(
        (g for g in GPU_TYPES.values() if labels.get(PRODUCT_KEY) == g.product),
        next((g for g in GPU_TYPES.values() if labels.get(INSTANCE_KEY) == g.instance_type),
             GPU_TYPES["H100"]),
    )  # fmt: skip
    found = {
        INSTANCE_KEY: gpu.instance_type,
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.count": str(GPUS_PER_NODE),
        "nvidia.com/gpu.memory": str(gpu.memory_mib),
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
    }
    return found | labels | {PRODUCT_KEY: gpu.product}  # the twin knows no other GPU


def machine_resources(labels: dict[str, str]) -> dict[str, str]:
    gpus = labels["nvidia.com/gpu.count"]
    return {"cpu": "96", "memory": "1900Gi", "pods": "110", GPU_RESOURCE: gpus}


def node_body(name: str, labels: dict[str, str], taints: list[Obj], now: datetime) -> Obj:
    """A ready node with its GPUs."""
    labels = described(labels) | {"kubernetes.io/hostname": name}
    resources = machine_resources(labels)
    status: Obj = {"capacity": resources, "allocatable": resources}
    status |= {"addresses": [{"type": "Hostname", "address": name}], "nodeInfo": _info(name)}
    spec = {"providerID": f"twin://{name}"} | ({"taints": taints} if taints else {})
    metadata = {"name": name, "labels": labels, "annotations": {}}
    return {"metadata": metadata, "spec": spec, "status": healthy(status, now)}


def _info(name: str) -> dict[str, str]:
    same = dict.fromkeys(("bootID", "machineID", "systemUUID"), name)
    return same | {
        "architecture": "amd64",
        "containerRuntimeVersion": "containerd://2.1.4",
        "kernelVersion": "6.8.0",
        "kubeProxyVersion": "v1.36.2",
        "kubeletVersion": "v1.36.2",
        "operatingSystem": "linux",
        "osImage": "Ubuntu 24.04 LTS",
    }


def working_pods(store: ClusterStore, node: str) -> list[Obj]:
    return [pod for pod in store.pods_on(node) if not pods.is_over(pod)]


def may_be_disrupted(*objects: Obj | None) -> bool:
    held = [(obj["metadata"].get("annotations") or {}) for obj in objects if obj]
    return not any(notes.get("karpenter.sh/do-not-disrupt") == "true" for notes in held)


def drain(store: ClusterStore, node: str, now: datetime) -> bool:
    """Ask every pod to go, through its budget; True when none is left."""
    for pod in working_pods(store, node):
        if pods.is_leaving(pod):
            continue
        metadata = pod["metadata"]
        write = Write(store, PODS, metadata["namespace"], metadata["name"], now)
        try:
            evict(write, {"metadata": {"name": metadata["name"]}})
        except ApiError:
            continue  # its budget has nothing to spare now
        said = f"Evicted pod: Node {node} is being given back"
        events.record(store, pod, "Evicted", said, now, by="node-drain")
    return not working_pods(store, node)


def keep_away(store: ClusterStore, node: Obj, key: str, now: datetime) -> None:
    """Taint a node that is about to be given back."""
    held = node["spec"].get("taints") or []
    if all(taint["key"] != key for taint in held):
        made = {"key": key, "effect": "NoSchedule", "timeAdded": rfc3339(now)}
        store.put(NODES, {**node, "spec": node["spec"] | {"taints": [*held, made]}})


def forget(store: ClusterStore, node: str) -> None:
    """The machine is given back: its node and what is left on it are gone."""
    for pod in store.pods_on(node):
        store.remove(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
    store.failed_nodes.pop(node, None)
    if store.find(NODES, "", node) is not None:
        store.remove(NODES, "", node)


def mark_leaving(store: ClusterStore, resource: Resource, obj: Obj, now: datetime) -> None:
    """Begin a deletion that the controller will finish, as a finalizer has it."""
    if not obj["metadata"].get("deletionTimestamp"):
        metadata = obj["metadata"] | {
            "deletionTimestamp": rfc3339(now), "deletionGracePeriodSeconds": 0,
        }  # fmt: skip
        store.put(resource, {**obj, "metadata": metadata})


def age(obj: Obj, now: datetime) -> timedelta:
    return now - parse_time(obj["metadata"]["creationTimestamp"])
