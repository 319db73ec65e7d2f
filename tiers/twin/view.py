"""What physics and exporters need to know of a cluster's pods, read from its API objects."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tiers.twin.controllers.claims import held_devices
from tiers.twin.controllers.leaderworkerset import GROUP_INDEX_KEY, SIZE_KEY, WORKER_INDEX_KEY
from tiers.twin.controllers.leaderworkerset import NAME_KEY as LWS_NAME_KEY
from tiers.twin.kube.resources import PODS, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.node_shapes import MIG_RESOURCE
from tiers.twin.profile import GPU_RESOURCE, JOB_NAME_KEY


@dataclass(frozen=True)
class PodView:
    """One pod, flattened. `ready` is its Ready condition, `leaving` that it is being deleted.

    `devices` counts what it holds of each NVIDIA resource, claimed GPUs (DRA) too; `gpus` is
    `nvidia.com/gpu` alone.
    `group` is its place in a LeaderWorkerSet, empty outside one, and `group_size` pods make it up.
    """

    uid: str
    name: str
    namespace: str
    node: str
    container: str
    gpus: int
    devices: dict[str, int]
    phase: str
    ready: bool
    leaving: bool
    job: str
    owner_kind: str
    owner_name: str
    host_ip: str
    pod_ip: str
    labels: dict[str, str]
    created_at: str
    group: str = ""
    group_size: int = 1

    @property
    def workload(self) -> str:
        """Who it belongs to, as an operator calls it: pods carry the name before their suffixes."""
        if self.group:
            return self.labels[LWS_NAME_KEY]
        return self.name.rsplit("-", 1 if self.owner_kind == "StatefulSet" else 2)[0]

    @property
    def is_leader(self) -> bool:
        return self.labels.get(WORKER_INDEX_KEY) == "0"


def read_pods(store: ClusterStore) -> list[PodView]:
    claimed = held_devices(store)
    return [pod_view(pod, claimed.get(pod["metadata"]["uid"], 0)) for pod in store.all(PODS)]


def pod_view(pod: Obj, claimed_gpus: int = 0) -> PodView:
    meta, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    owner = (meta.get("ownerReferences") or [{}])[0]
    containers = spec.get("containers") or []
    labels = meta.get("labels") or {}
    devices = requested_devices(containers)
    if claimed_gpus:
        devices[GPU_RESOURCE] = devices.get(GPU_RESOURCE, 0) + claimed_gpus
    return PodView(
        uid=meta["uid"],
        name=meta["name"],
        namespace=meta["namespace"],
        node=spec.get("nodeName") or "",
        container=containers[0]["name"] if containers else "",
        gpus=devices.get(GPU_RESOURCE, 0),
        devices=devices,
        phase=status.get("phase") or "Pending",
        ready=condition(status, "Ready") == "True",
        leaving=bool(meta.get("deletionTimestamp")),
        job=labels.get(JOB_NAME_KEY, ""),
        owner_kind=owner.get("kind", ""),
        owner_name=owner.get("name", ""),
        host_ip=status.get("hostIP") or "",
        pod_ip=status.get("podIP") or "",
        labels=labels,
        created_at=meta["creationTimestamp"],
        group=labels.get(GROUP_INDEX_KEY, "") if LWS_NAME_KEY in labels else "",
        group_size=_size(meta),
    )


def _size(meta: Obj) -> int:
    text = str((meta.get("annotations") or {}).get(SIZE_KEY, "1"))
    return int(text) if text.isdigit() else 1


def requested_devices(containers: Iterable[dict[str, Any]]) -> dict[str, int]:
    """How many devices of each NVIDIA resource the containers ask for together."""
    found: dict[str, int] = {}
    for container in containers:
        resources = container.get("resources") or {}
        asked = (resources.get("limits") or {}) | (resources.get("requests") or {})
        for name, count in asked.items():
            if name == GPU_RESOURCE or name.startswith(MIG_RESOURCE):
                found[name] = found.get(name, 0) + int(count)
    return found


def condition(status: Obj, kind: str) -> str:
    """`True`, `False` or `Unknown`; Unknown when the condition is not there."""
    conditions: Iterable[Obj] = status.get("conditions") or ()
    return next((c["status"] for c in conditions if c["type"] == kind), "Unknown")
