"""Karpenter's NodeClaims: one per machine, from its pool's template to its node."""

from datetime import datetime

from tiers.twin.controllers import pods
from tiers.twin.controllers.karpenter_rules import shape
from tiers.twin.controllers.pods import status_of
from tiers.twin.kube.resources import NODE_CLAIMS, NODES, Obj
from tiers.twin.kube.store import ClusterStore

POOL_KEY = "karpenter.sh/nodepool"
FINALIZER = "karpenter.sh/termination"


def claims_of(store: ClusterStore, pool: Obj) -> list[Obj]:
    name = pool["metadata"]["name"]
    return [c for c in store.all(NODE_CLAIMS) if c["metadata"]["labels"].get(POOL_KEY) == name]


def staying(store: ClusterStore, pool: Obj) -> list[Obj]:
    return [c for c in claims_of(store, pool) if not c["metadata"].get("deletionTimestamp")]


def new(pool: Obj, name: str) -> Obj:
    template, meta = pool["spec"].get("template") or {}, pool["metadata"]
    labels, _ = shape(pool)
    kept = ("requirements", "taints", "nodeClassRef", "expireAfter", "terminationGracePeriod")
    inner = template.get("spec") or {}
    owner = pods.owner_reference(pool, api_version="karpenter.sh/v1", kind="NodePool")
    return {
        "metadata": {
            "name": name,
            "labels": labels | {POOL_KEY: meta["name"]},
            "annotations": dict((template.get("metadata") or {}).get("annotations") or {}),
            "finalizers": [FINALIZER],
            "ownerReferences": [owner],
        },
        "spec": {key: inner[key] for key in kept if key in inner},
        "status": {},
    }


def node_of(claim: Obj) -> str:
    return str(status_of(claim).get("nodeName", ""))


def says(claim: Obj, kind: str, value: str) -> bool:
    found = pods.condition(claim, kind)
    return found is not None and found["status"] == value


def mark(
    store: ClusterStore, claim: Obj, now: datetime, kind: str, value: str, reason: str, said: str
) -> Obj:
    status = pods.with_condition(status_of(claim), kind, value, now, reason=reason, message=said)
    return store.put(NODE_CLAIMS, {**claim, "status": status})


def ready(store: ClusterStore, claim: Obj, node: str, now: datetime) -> Obj:
    found = store.get(NODES, "", node)
    capacity = {key: found["status"][key] for key in ("capacity", "allocatable")}
    claim = {**claim, "status": status_of(claim) | {"nodeName": node, **capacity}}
    for kind in ("Launched", "Registered", "Initialized", "Ready"):
        claim = mark(store, claim, now, kind, "True", kind, "")
    return claim
