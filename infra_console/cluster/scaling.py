"""Whatever has a `scale`: replicas asked for, there and ready, and writing them.

The one precondition of a write is the resourceVersion that was read, inside the Scale that is sent.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra_console.cluster.managers import Manager, other_owners
from infra_console.cluster.objects import PodState
from infra_console.cluster.patching import write
from infra_console.cluster.places import Kind, list_objects, read_object
from infra_console.numbers import whole_number

KINDS: Mapping[str, Kind] = {
    kind.kind: kind
    for kind in (
        Kind("apps", "v1", "Deployment", "deployments"),
        Kind("apps", "v1", "StatefulSet", "statefulsets"),
        Kind("leaderworkerset.x-k8s.io", "v1", "LeaderWorkerSet", "leaderworkersets"),
        Kind("karpenter.sh", "v1", "NodePool", "nodepools", namespaced=False),
        Kind("cluster.x-k8s.io", "v1beta2", "MachineDeployment", "machinedeployments"),
    )
}
SET_NAME = "leaderworkerset.sigs.k8s.io/name"
AUTOSCALED = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size"
GROUP_INDEX = "leaderworkerset.sigs.k8s.io/group-index"


@dataclass(frozen=True, slots=True)
class ScaleState:
    """An object with replicas. `there` counts those that exist, `ready` those that work.

    `observed` says that its controller has seen the current spec; `first` is the lowest number of a
    numbered set and `group_size` the pods of one of its replicas; `owners` own the replicas beside
    us, and `autoscaled` says that a cluster autoscaler sets them. `replicas` is None where the
    object leaves the count to others.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    replicas: int | None
    there: int
    ready: int
    observed: bool
    first: int
    group_size: int
    owners: tuple[Manager, ...]
    autoscaled: bool
    resource_version: str


def read_scaled(cluster_id: str, kind: str, namespace: str, name: str) -> ScaleState:
    return scale_state(kind, read_object(cluster_id, KINDS[kind], namespace, name))


def list_scaled(cluster_id: str, kind: str) -> Iterator[ScaleState]:
    """Every object of a kind, in all namespaces."""
    return (scale_state(kind, item) for item in list_objects(cluster_id, KINDS[kind]))


def scale_state(kind: str, item: Mapping[str, Any]) -> ScaleState:
    meta, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    template = spec.get("leaderWorkerTemplate") or {}
    # The API's default is one; a NodePool without it makes nodes as pods need them.
    replicas = spec.get("replicas", None if kind == "NodePool" else 1)
    there = int(status.get("nodes" if kind == "NodePool" else "replicas") or 0)
    seen = status.get("observedGeneration", meta.get("generation") if kind == "NodePool" else 0)
    return ScaleState(
        kind=kind,
        namespace=meta.get("namespace", ""),
        name=meta["name"],
        uid=meta.get("uid", ""),
        replicas=None if replicas is None else int(replicas),
        there=there,
        ready=there if kind == "NodePool" else int(status.get("readyReplicas") or 0),
        observed=int(seen or 0) >= int(meta.get("generation") or 0),
        first=int((spec.get("ordinals") or {}).get("start", 0)),
        group_size=int(template.get("size", 1)),
        owners=other_owners(item, ("spec", "replicas")),
        autoscaled=AUTOSCALED in (meta.get("annotations") or {}),
        resource_version=meta.get("resourceVersion", ""),
    )


def scale_object(
    cluster_id: str, held: ScaleState, replicas: int, *, manager: str = "", dry_run: bool
) -> None:
    """Set replicas through the scale subresource.

    Args:
        manager: in whose name, when the count is handed back to its owner; ours otherwise.

    Raises:
        ObjectConflict: the object changed since it was read; nothing was written.
    """
    kind = KINDS[held.kind]
    metadata = {"name": held.name, "uid": held.uid, "resourceVersion": held.resource_version}
    if kind.namespaced:
        metadata["namespace"] = held.namespace
    body = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": metadata,
        "spec": {"replicas": replicas},
    }
    call = kind.verb(cluster_id, "replace", "scale")
    what = f"scale {kind.words(held.namespace, held.name)} to {replicas}"
    place = kind.place(held.namespace)
    options: dict[str, Any] = {"name": held.name, "body": body, **place}
    write(cluster_id, what, call, dry_run, manager=manager, **options)


def numbered_pods(held: ScaleState, pods: Iterable[PodState]) -> dict[int, list[PodState]]:
    """The pods of a numbered set by their number; of a LeaderWorkerSet by that of their group."""
    found: dict[int, list[PodState]] = {}
    for pod in pods:
        number = _number(held, pod)
        if number is not None and not pod.finished:
            found.setdefault(number, []).append(pod)
    return found


def _number(held: ScaleState, pod: PodState) -> int | None:
    if held.kind == "LeaderWorkerSet":
        index = pod.labels.get(GROUP_INDEX, "") if pod.labels.get(SET_NAME) == held.name else ""
    elif (pod.owner_kind, pod.owner_name) == ("StatefulSet", held.name):
        index = pod.name.removeprefix(f"{held.name}-")
    else:
        index = ""
    return whole_number(index)
