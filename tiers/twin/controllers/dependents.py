"""Takes off the finalizers that a `Foreground` or `Orphan` delete leaves to the collector."""

from datetime import datetime

from tiers.twin.kube import verbs
from tiers.twin.kube.resources import EVENTS, LEASES, NODES, PODS, REGISTRY, Obj, Resource
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.verbs import FOREGROUND, ORPHAN, Write

_OWNERS = tuple(r for r in REGISTRY.resources if r not in (EVENTS, LEASES, NODES, PODS))


def tick(store: ClusterStore, now: datetime) -> None:
    for resource in _OWNERS:
        for obj in store.all(resource):
            if obj["metadata"].get("deletionTimestamp"):
                _settle(store, resource, obj, now)


def _settle(store: ClusterStore, resource: Resource, obj: Obj, now: datetime) -> None:
    finalizers, uid = obj["metadata"].get("finalizers") or (), obj["metadata"]["uid"]
    dependents = _owned(store, uid)
    if ORPHAN in finalizers:
        for kind, one in dependents:
            _disown(store, kind, one, uid)
        _take_off(_write(store, resource, obj, now), obj, ORPHAN)
    elif FOREGROUND in finalizers:
        for kind, one in dependents:
            if not one["metadata"].get("deletionTimestamp"):
                more = _owned(store, one["metadata"]["uid"])
                policy = "Foreground" if more else "Background"
                verbs.delete(_write(store, kind, one, now), {"propagationPolicy": policy})
        if not dependents:
            _take_off(_write(store, resource, obj, now), obj, FOREGROUND)


def _owned(store: ClusterStore, uid: str) -> list[tuple[Resource, Obj]]:
    return [(r, one) for r in REGISTRY.resources for one in store.owned_by(uid, r)]


def _write(store: ClusterStore, resource: Resource, obj: Obj, now: datetime) -> Write:
    metadata = obj["metadata"]
    return Write(store, resource, metadata.get("namespace", ""), metadata["name"], now)


def _disown(store: ClusterStore, resource: Resource, obj: Obj, uid: str) -> None:
    owners = [o for o in obj["metadata"].get("ownerReferences") or () if o["uid"] != uid]
    metadata = {k: v for k, v in obj["metadata"].items() if k != "ownerReferences"}
    metadata |= {"ownerReferences": owners} if owners else {}
    store.put(resource, {**obj, "metadata": metadata})


def _take_off(write: Write, obj: Obj, finalizer: str) -> None:
    others = [name for name in obj["metadata"]["finalizers"] if name != finalizer]
    metadata = {k: v for k, v in obj["metadata"].items() if k != "finalizers"}
    metadata |= {"finalizers": others} if others else {}
    verbs.finish_deletion(write, write.store.put(write.resource, {**obj, "metadata": metadata}))
