"""GPUs through ResourceClaims (DRA): slices of nodes, claims of pods, devices while a pod lives.

A node with the label `nvidia.com/dra-kubelet-plugin=true` offers its GPUs as devices of a
ResourceSlice, not as `nvidia.com/gpu`. A claim is allocated when its first pod is bound, on that
node, and given up when its last pod has ended; claims made from a template go with their pod.

Slices of other drivers are taken as they are published; a DeviceClass picks a driver.

Limits: of CEL only `device.driver == "..."` of a class is read; no MIG partitions, no sharing; of
`firstAvailable` the first alternative counts.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from tiers.twin.controllers import pods
from tiers.twin.controllers.amounts import Amounts
from tiers.twin.controllers.pods import status_of
from tiers.twin.kube.resources import (
    DEVICE_CLASSES,
    NODES,
    PODS,
    RESOURCE_CLAIM_TEMPLATES,
    RESOURCE_CLAIMS,
    RESOURCE_SLICES,
    Obj,
)
from tiers.twin.kube.store import ClusterStore
from tiers.twin.profile import GPUS_PER_NODE

DEVICES = "device/"
_BY_DRIVER = re.compile(r"""device\.driver\s*==\s*["']([^"']+)["']""")


class Device(NamedTuple):
    """One device of a ResourceSlice, by the names that an allocation calls it."""

    driver: str
    pool: str
    device: str


class Request(NamedTuple):
    """What a claim asks for: so many devices of a class."""

    name: str
    device_class: str
    number: int


NODE_KEY = "nvidia.com/dra-kubelet-plugin"
DRIVER = "gpu.nvidia.com"
POD_CLAIM_KEY = "resource.kubernetes.io/pod-claim-name"


def tick(store: ClusterStore, now: datetime) -> None:
    """Publish slices, make claims from templates, and free what no living pod holds."""
    _publish(store, now)
    if store.all(RESOURCE_CLAIM_TEMPLATES):
        for pod in store.all(PODS):
            if pod["spec"].get("resourceClaims") and not pods.is_over(pod):
                _from_templates(store, pod, now)
    for claim in store.all(RESOURCE_CLAIMS):
        _release(store, claim)


def _publish(store: ClusterStore, now: datetime) -> None:
    nodes = {n["metadata"]["name"]: n for n in store.all(NODES)
             if (n["metadata"].get("labels") or {}).get(NODE_KEY) == "true"}  # fmt: skip
    slices = {s["spec"].get("nodeName"): s for s in store.all(RESOURCE_SLICES)
              if s["spec"].get("driver") == DRIVER}  # fmt: skip
    for name in nodes.keys() - slices.keys():
        store.create(RESOURCE_SLICES, _slice(nodes[name]), now)
    for name in slices.keys() - nodes.keys():
        store.remove(RESOURCE_SLICES, "", slices[name]["metadata"]["name"])


def _slice(node: Obj) -> Obj:
    name, labels = node["metadata"]["name"], node["metadata"]["labels"]
    attributes = {
        "type": {"string": "gpu"},
        "productName": {"string": labels.get("nvidia.com/gpu.product", "")},
    }
    memory = {"memory": {"value": f"{labels.get('nvidia.com/gpu.memory', '81559')}Mi"}}
    devices = [
        {"name": f"gpu-{n}", "attributes": attributes, "capacity": memory}
        for n in range(int(labels.get("nvidia.com/gpu.count", GPUS_PER_NODE)))
    ]
    pool = {"name": name, "generation": 1, "resourceSliceCount": 1}
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"]}
    return {
        "metadata": {"name": f"{name}-{DRIVER}-{_short(name)}", "ownerReferences": [owner]},
        "spec": {"driver": DRIVER, "nodeName": name, "pool": pool, "devices": devices},
    }


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:5]


# Claims of a pod


def _from_templates(store: ClusterStore, pod: Obj, now: datetime) -> None:
    metadata, made = pod["metadata"], []
    for entry in pod["spec"]["resourceClaims"]:
        template = entry.get("resourceClaimTemplateName")
        if not template:
            continue
        name = f"{metadata['name']}-{entry['name']}-{_short(metadata['uid'])}"
        made.append({"name": entry["name"], "resourceClaimName": name})
        found = store.find(RESOURCE_CLAIM_TEMPLATES, metadata["namespace"], template)
        if found and store.find(RESOURCE_CLAIMS, metadata["namespace"], name) is None:
            store.create(RESOURCE_CLAIMS, _claim(pod, entry["name"], name, found), now)
    if made:
        pods.put_status(store, pod, pod["status"] | {"resourceClaimStatuses": made})


def _claim(pod: Obj, entry: str, name: str, template: Obj) -> Obj:
    owner = pods.owner_reference(pod, api_version="v1", kind="Pod")
    metadata = {"name": name, "namespace": pod["metadata"]["namespace"]}
    metadata |= {"annotations": {POD_CLAIM_KEY: entry}, "ownerReferences": [owner]}
    return {"metadata": metadata, "spec": template["spec"]["spec"], "status": {}}


def of_pod(store: ClusterStore, pod: Obj) -> list[Obj | None]:
    """The claims that a pod names; None for one that is not there (yet)."""
    made = {s["name"]: s.get("resourceClaimName")
            for s in pod["status"].get("resourceClaimStatuses") or ()}  # fmt: skip
    names = [
        entry.get("resourceClaimName") or made.get(entry["name"])
        for entry in pod["spec"].get("resourceClaims") or ()
    ]
    namespace = pod["metadata"]["namespace"]
    return [store.find(RESOURCE_CLAIMS, namespace, name) if name else None for name in names]


def _requests(claim: Obj) -> list[Request]:
    found = []
    for request in (claim["spec"].get("devices") or {}).get("requests") or ():
        exact = request.get("exactly") or (request.get("firstAvailable") or [request])[0]
        found.append(
            Request(request["name"], exact.get("deviceClassName", ""), int(exact.get("count", 1)))
        )
    return found


def _allocation(claim: Obj) -> Obj | None:
    found: Obj | None = status_of(claim).get("allocation")
    return found


def _results(claim: Obj) -> list[Obj]:
    return list(((_allocation(claim) or {}).get("devices") or {}).get("results") or ())


# What the scheduler asks


def free_devices(store: ClusterStore) -> dict[str, list[Device]]:
    """Devices that no claim holds, by node."""
    taken = {
        (r["driver"], r["pool"], r["device"])
        for c in store.all(RESOURCE_CLAIMS)
        for r in _results(c)
    }
    free: dict[str, list[Device]] = {}
    for held in store.all(RESOURCE_SLICES):
        spec = held["spec"]
        found = [
            Device(spec["driver"], spec["pool"]["name"], device["name"])
            for device in spec.get("devices") or ()
        ]
        if spec.get("nodeName"):
            mine = free.setdefault(spec["nodeName"], [])
            mine += [device for device in found if device not in taken]
    return free


def by_driver(drivers: Iterable[str]) -> Amounts:
    """So many devices of each driver, as amounts of what a node has or a pod asks for."""
    return {f"{DEVICES}{driver}": 1000 * n for driver, n in Counter(drivers).items()}


def wanted_devices(store: ClusterStore, pod: Obj) -> Amounts:
    """Devices that must still be found for a pod."""
    claims = [c for c in of_pod(store, pod) if c is not None and _allocation(c) is None]
    return by_driver(
        _driver(store, request)
        for claim in claims
        for request in _requests(claim)
        for _ in range(request.number)
    )


def _driver(store: ClusterStore, request: Request) -> str:
    """The driver that the request's DeviceClass selects by, the GPUs' by default."""
    found = store.find(DEVICE_CLASSES, "", request.device_class) if request.device_class else None
    for selector in (found or {"spec": {}})["spec"].get("selectors") or ():
        expression = str((selector.get("cel") or {}).get("expression", ""))
        if named := _BY_DRIVER.search(expression):
            return named[1]
    return DRIVER


def obstacle(store: ClusterStore, pod: Obj, node: str) -> str:
    """Why a pod's claims keep it from a node, apart from room; empty when they do not."""
    if not pod["spec"].get("resourceClaims"):
        return ""
    for claim in of_pod(store, pod):
        if claim is None:
            return "waiting for resource claims to be created"
        held = _allocation(claim)
        if held and not _reaches(held, node):
            return "node(s) didn't match the allocated resource claims"
    return ""


def _reaches(allocation: Obj, node: str) -> bool:
    terms = (allocation.get("nodeSelector") or {}).get("nodeSelectorTerms")
    named = [f for t in terms or () for f in t.get("matchFields") or ()]
    return not named or any(node in field.get("values", ()) for field in named)


def allocate(store: ClusterStore, pod: Obj, node: str) -> None:
    """Give a pod that was bound to a node its devices there."""
    user = {"resource": "pods", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    for claim in of_pod(store, pod):
        if claim is None:
            continue
        status = dict(status_of(claim))
        if _allocation(claim) is None:
            status["allocation"] = _given(store, claim, node)
        status["reservedFor"] = [*(status.get("reservedFor") or ()), user]
        store.put(RESOURCE_CLAIMS, {**claim, "status": status})


def _given(store: ClusterStore, claim: Obj, node: str) -> Obj:
    results, free = [], free_devices(store).get(node, [])
    for request in _requests(claim):
        driver = _driver(store, request)
        chosen = [device for device in free if device.driver == driver][: request.number]
        free = [device for device in free if device not in chosen]
        results += [{"request": request.name, **device._asdict()} for device in chosen]
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    selector = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    return {"devices": {"results": results}, "nodeSelector": selector}


def _release(store: ClusterStore, claim: Obj) -> None:
    """Forget pods that have ended; without any the devices are free again."""
    metadata, status = claim["metadata"], status_of(claim)
    users = [u for u in status.get("reservedFor") or () if _lives(store, metadata, u)]
    if users == (status.get("reservedFor") or []):
        return
    if not users and POD_CLAIM_KEY in (metadata.get("annotations") or {}):
        store.remove(RESOURCE_CLAIMS, metadata["namespace"], metadata["name"])
        return
    kept = {k: v for k, v in status.items() if k not in ("reservedFor", "allocation")}
    kept |= {"reservedFor": users, "allocation": status["allocation"]} if users else {}
    store.put(RESOURCE_CLAIMS, {**claim, "status": kept})


def _lives(store: ClusterStore, metadata: Obj, user: Obj) -> bool:
    pod = store.find(PODS, metadata["namespace"], user["name"])
    return pod is not None and pod["metadata"]["uid"] == user["uid"] and not pods.is_over(pod)


def held_devices(store: ClusterStore) -> dict[str, int]:
    """GPUs that each pod holds through its claims, by pod uid."""
    held: dict[str, int] = {}
    for claim in store.all(RESOURCE_CLAIMS):
        for user in status_of(claim).get("reservedFor") or ():
            gpus = sum(1 for device in _results(claim) if device["driver"] == DRIVER)
            held[user["uid"]] = held.get(user["uid"], 0) + gpus
    return held
