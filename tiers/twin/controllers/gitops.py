"""A GitOps agent: every period it applies, by force, the fields that its repository holds.

Off unless the Namespace `argocd` carries what it owns (`own`, or the twin's `gitops` command): a
list of partial manifests, one per object. What anybody else writes into these fields is reverted
at the next sync, and `managedFields` name the agent as their owner.
"""

import json
from datetime import datetime
from typing import Any

from tiers.twin.controllers import events
from tiers.twin.controllers.config import ControllerConfig
from tiers.twin.kube.errors import ApiError
from tiers.twin.kube.resources import NAMESPACES, REGISTRY, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.updates import APPLY_PATCH, patch
from tiers.twin.kube.verbs import Write

MANAGER = "argocd-controller"
HOME = "argocd"
KEY = "twin/gitops"
EVERY_S = 180.0
_SYNCED = "gitops-synced-ms"


def tick(store: ClusterStore, now: datetime, config: ControllerConfig) -> None:
    manifests = owned(store)
    now_ms = round(now.timestamp() * 1000)
    since_ms = now_ms - store.counters.get(_SYNCED, 0)
    if not manifests or 0 <= since_ms < config.shortened(EVERY_S) * 1000:
        return
    store.counters[_SYNCED] = now_ms
    for manifest in manifests:
        _sync(store, manifest, now)


def owned(store: ClusterStore) -> list[Obj]:
    """The manifests that the agent holds; none when it is off."""
    home = store.find(NAMESPACES, "", HOME)
    notes = (home["metadata"].get("annotations") or {}) if home else {}
    return list(json.loads(notes.get(KEY, "[]")))


def own(store: ClusterStore, manifest: Obj, now: datetime) -> None:
    """Give the agent one more object, in place of what it held of it; it syncs soon."""
    kept = [m for m in owned(store) if identity(m) != identity(manifest)]
    _keep(store, [*kept, manifest], now)


def disown(store: ClusterStore, manifest: Obj, now: datetime) -> None:
    """Take an object out of the repository; its fields stay as they are."""
    _keep(store, [m for m in owned(store) if identity(m) != identity(manifest)], now)


def identity(manifest: Obj) -> tuple[Any, ...]:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace", ""), metadata["name"]


def _keep(store: ClusterStore, manifests: list[Obj], now: datetime) -> None:
    if store.find(NAMESPACES, "", HOME) is None:
        body = {"metadata": {"name": HOME}, "status": {"phase": "Active"}}
        store.create(NAMESPACES, body, now)
    home = store.get(NAMESPACES, "", HOME)
    notes = (home["metadata"].get("annotations") or {}) | {KEY: json.dumps(manifests)}
    store.put(NAMESPACES, {**home, "metadata": home["metadata"] | {"annotations": notes}})
    store.counters.pop(_SYNCED, None)


def _sync(store: ClusterStore, manifest: Obj, now: datetime) -> None:
    resource = REGISTRY.by_kind(manifest["apiVersion"], manifest["kind"])
    if resource is None:
        return
    metadata = manifest["metadata"]
    namespace, name = metadata.get("namespace", ""), metadata["name"]
    before = store.find(resource, namespace, name)
    write = Write(store, resource, namespace, name, now, manager=MANAGER)
    try:
        after = patch(write, APPLY_PATCH, manifest, force=True)
    except ApiError:
        return  # a partial manifest cannot bring back what somebody deleted
    if before is not None and before.get("spec") != after.get("spec"):
        said = "Synced the object with its repository"
        events.record(store, after, "OperationCompleted", said, now, by=MANAGER)
