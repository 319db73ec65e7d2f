"""GPUs through ResourceClaims (DRA): slices of nodes, claims of pods, devices while a pod lives.

A node with the label `nvidia.com/dra-kubelet-plugin=true` offers its GPUs as devices of a
ResourceSlice, not as `nvidia.com/gpu`. A claim is allocated when its first pod is bound, on that
node, and given up when its last pod has ended; claims made from a template go with their pod.

Limits: device selectors (CEL), device classes, MIG partitions and sharing strategies are not read;
of `firstAvailable` the first alternative counts.
"""

import hashlib
from datetime import datetime

from tiers.twin.controllers import pods
from tiers.twin.controllers.pods import status_of
from tiers.twin.kube.resources import (
    NODES,
    PODS,
    RESOURCE_CLAIM_TEMPLATES,
    RESOURCE_CLAIMS,
    RESOURCE_SLICES,
    Obj,
)
from tiers.twin.kube.store import ClusterStore
from tiers.twin.profile import GPUS_PER_NODE

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


def _requests(claim: Obj) -> list[tuple[str, int]]:
    """Names of a claim's requests and how many devices each wants."""
    found = []
    for request in (claim["spec"].get("devices") or {}).get("requests") or ():
        exact = request.get("exactly") or (request.get("firstAvailable") or [request])[0]
        found.append((request["name"], int(exact.get("count", 1))))
    return found


def _allocation(claim: Obj) -> Obj | None:
    found: Obj | None = status_of(claim).get("allocation")
    return found


def _results(claim: Obj) -> list[Obj]:
    return list(((_allocation(claim) or {}).get("devices") or {}).get("results") or ())


# What the scheduler asks


def free_devices(store: ClusterStore) -> dict[str, list[str]]:
    """Devices that no claim holds, by node."""
    taken = {(r["pool"], r["device"]) for c in store.all(RESOURCE_CLAIMS) for r in _results(c)}
    return {
        s["spec"]["nodeName"]: [
            d["name"] for d in s["spec"]["devices"]
            if (s["spec"]["pool"]["name"], d["name"]) not in taken
        ]
        for s in store.all(RESOURCE_SLICES) if s["spec"].get("nodeName")
    }  # fmt: skip


def wanted_devices(store: ClusterStore, pod: Obj) -> int:
    """Devices that must still be found for a pod."""
    claims = [c for c in of_pod(store, pod) if c is not None and _allocation(c) is None]
    return sum(count for claim in claims for _, count in _requests(claim))


def obstacle(store: ClusterStore, pod: Obj, node: str) -> str:
    """Why a pod's claims keep it from a node, apart from room; empty when they do not."""
    if not pod["spec"].get("resourceClaims"):
        return ""
    for claim in of_pod(store, pod):
        if claim is None:
            return "waiting for resource claims to be created"
        held = _results(claim)
        if held and held[0]["pool"] != node:
            return "node(s) didn't match the allocated resource claims"
    return ""


def allocate(store: ClusterStore, pod: Obj, node: str) -> None:
    """Give a pod that was bound to a node its devices there."""
    user = {"resource": "pods", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    for claim in of_pod(store, pod):
        if claim is None:
            continue
        status = dict(status_of(claim))
        if _allocation(claim) is None:
            status["allocation"] = _given(claim, node, free_devices(store).get(node, []))
        status["reservedFor"] = [*(status.get("reservedFor") or ()), user]
        store.put(RESOURCE_CLAIMS, {**claim, "status": status})


def _given(claim: Obj, node: str, free: list[str]) -> Obj:
    results, left = [], iter(free)
    for request, count in _requests(claim):
        for _, device in zip(range(count), left, strict=False):
            results.append({"request": request, "driver": DRIVER, "pool": node, "device": device})
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
            held[user["uid"]] = held.get(user["uid"], 0) + len(_results(claim))
    return held
