"""What physics and exporters need to know of a cluster's pods, read from its API objects."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tiers.twin.controllers.claims import held_devices
from tiers.twin.kube.resources import PODS, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.profile import GPU_RESOURCE, JOB_NAME_KEY


@dataclass(frozen=True)
class PodView:
    """One pod, flattened. `ready` is its Ready condition, `leaving` that it is being deleted."""

    uid: str
    name: str
    namespace: str
    node: str
    container: str
    gpus: int
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


def read_pods(store: ClusterStore) -> list[PodView]:
    claimed = held_devices(store)
    return [pod_view(pod, claimed.get(pod["metadata"]["uid"], 0)) for pod in store.all(PODS)]


def pod_view(pod: Obj, claimed_gpus: int = 0) -> PodView:
    meta, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    owner = (meta.get("ownerReferences") or [{}])[0]
    containers = spec.get("containers") or []
    labels = meta.get("labels") or {}
    return PodView(
        uid=meta["uid"],
        name=meta["name"],
        namespace=meta["namespace"],
        node=spec.get("nodeName") or "",
        container=containers[0]["name"] if containers else "",
        gpus=claimed_gpus + sum(requested_gpus(container) for container in containers),
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
    )


def requested_gpus(container: dict[str, Any]) -> int:
    requests = (container.get("resources") or {}).get("requests") or {}
    return int(requests.get(GPU_RESOURCE, 0))


def condition(status: Obj, kind: str) -> str:
    """`True`, `False` or `Unknown`; Unknown when the condition is not there."""
    conditions: Iterable[Obj] = status.get("conditions") or ()
    return next((c["status"] for c in conditions if c["type"] == kind), "Unknown")
