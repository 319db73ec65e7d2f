"""Kubernetes objects as the console needs them, from the API's JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

GPU = "nvidia.com/gpu"
MIRROR = "kubernetes.io/config.mirror"
FINISHED = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class Taint:
    """A node taint; `added_at` is kept as the server wrote it, so that others' taints survive."""

    key: str
    value: str
    effect: str
    added_at: str = ""


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node. GPU counts are whole `nvidia.com/gpu`."""

    name: str
    uid: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    taints: tuple[Taint, ...]
    unschedulable: bool
    ready: bool
    gpus_capacity: int
    gpus_allocatable: int
    resource_version: str


@dataclass(frozen=True, slots=True)
class PodState:
    """A pod. `gpus` is what its containers ask for together; `node` is empty while it waits."""

    namespace: str
    name: str
    uid: str
    node: str
    phase: str
    ready: bool
    gpus: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    owner_kind: str
    owner_name: str
    created_at: datetime | None
    deleting: bool
    resource_version: str
    started_at: datetime | None = None
    priority: int | None = None

    @property
    def finished(self) -> bool:
        return self.phase in FINISHED

    @property
    def stays_on_drain(self) -> bool:
        """A drain leaves it: its DaemonSet would put it back, its kubelet owns it, or it ended."""
        return self.owner_kind == "DaemonSet" or MIRROR in self.annotations or self.finished


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """A Deployment. `observed` says that its controller has seen the current spec."""

    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str]
    selector: Mapping[str, str]
    replicas: int
    pods: int
    ready: int
    observed: bool
    resource_version: str


def node_state(item: Mapping[str, Any]) -> NodeState:
    meta, spec, status = _parts(item)
    return NodeState(
        name=meta["name"],
        uid=meta.get("uid", ""),
        labels=meta.get("labels") or {},
        annotations=meta.get("annotations") or {},
        taints=tuple(
            Taint(t["key"], t.get("value", ""), t["effect"], t.get("timeAdded") or "")
            for t in spec.get("taints") or ()
        ),
        unschedulable=bool(spec.get("unschedulable")),
        ready=_condition(status, "Ready"),
        gpus_capacity=int((status.get("capacity") or {}).get(GPU, 0)),
        gpus_allocatable=int((status.get("allocatable") or {}).get(GPU, 0)),
        resource_version=meta.get("resourceVersion", ""),
    )


def pod_state(item: Mapping[str, Any]) -> PodState:
    meta, spec, status = _parts(item)
    owner = next((o for o in meta.get("ownerReferences") or () if o.get("controller")), None)
    owner = owner or next(iter(meta.get("ownerReferences") or ()), None) or {}
    return PodState(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta.get("uid", ""),
        node=spec.get("nodeName") or "",
        phase=status.get("phase", "Unknown"),
        ready=_condition(status, "Ready"),
        gpus=sum(_container_gpus(c) for c in spec.get("containers") or ()),
        labels=meta.get("labels") or {},
        annotations=meta.get("annotations") or {},
        owner_kind=owner.get("kind", ""),
        owner_name=owner.get("name", ""),
        created_at=_time(meta.get("creationTimestamp")),
        deleting=bool(meta.get("deletionTimestamp")),
        resource_version=meta.get("resourceVersion", ""),
        started_at=_time(status.get("startTime")),
        priority=spec.get("priority"),
    )


def deployment_state(item: Mapping[str, Any]) -> DeploymentState:
    meta, spec, status = _parts(item)
    return DeploymentState(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta.get("uid", ""),
        labels=meta.get("labels") or {},
        selector=(spec.get("selector") or {}).get("matchLabels") or {},
        replicas=int(spec.get("replicas", 1)),  # the API's default
        pods=int(status.get("replicas") or 0),
        ready=int(status.get("readyReplicas") or 0),
        observed=int(status.get("observedGeneration") or 0) >= int(meta.get("generation") or 0),
        resource_version=meta.get("resourceVersion", ""),
    )


def _parts(item: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    return item["metadata"], item.get("spec") or {}, item.get("status") or {}


def _condition(status: Mapping[str, Any], kind: str) -> bool:
    found = (c for c in status.get("conditions") or () if c.get("type") == kind)
    return any(c.get("status") == "True" for c in found)


def _container_gpus(container: Mapping[str, Any]) -> int:
    resources = container.get("resources") or {}
    wanted = (resources.get("requests") or {}).get(GPU, (resources.get("limits") or {}).get(GPU, 0))
    return int(wanted)


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
