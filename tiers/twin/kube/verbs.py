"""The verbs on stored objects: create, replace, patch, apply, delete, each with dry run.

Every function checks and writes without waiting in between, so a precondition holds when it is
acted on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tiers.twin.kube import managed_fields, patches, validate
from tiers.twin.kube.errors import bad_request, conflict, forbidden, unsupported_media
from tiers.twin.kube.managed_fields import Manager
from tiers.twin.kube.resources import NAMESPACES, PODS, Obj, Resource
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.times import parse_time, rfc3339

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCHES = ("application/apply-patch+yaml", "application/apply-patch+json")
PATCHES: dict[str, Callable[[Any, Any], Any]] = {
    JSON_PATCH: patches.json_patch,
    MERGE_PATCH: patches.merge_patch,
    STRATEGIC_PATCH: patches.strategic_merge,
}
_SERVER_SET = ("uid", "creationTimestamp", "generation", "deletionTimestamp",
               "deletionGracePeriodSeconds")  # fmt: skip


@dataclass(frozen=True)
class Write:
    """What a write acts on and for whom."""

    store: ClusterStore
    resource: Resource
    namespace: str
    name: str
    now: datetime
    subresource: str = ""
    manager: str = "unknown"
    dry_run: bool = False

    def by(self, operation: str) -> Manager:
        return Manager(self.manager, operation, self.subresource)


def create(write: Write, body: Any) -> Obj:
    """Store a new object. Raises 404 (no such namespace), 409 (name taken), 422 (invalid)."""
    resource, store = write.resource, write.store
    obj = validate.check_identity(resource, body, write.namespace, write.name)
    if obj["metadata"].get("resourceVersion"):
        raise bad_request("resourceVersion should not be set on objects to be created")
    obj["metadata"] = _named(store, obj["metadata"])
    if resource.namespaced:
        _open_namespace(store, resource, write.namespace, obj["metadata"].get("name", ""))
    obj = validate.with_defaults(resource, obj)
    validate.check(resource, obj)
    obj |= {"apiVersion": resource.api_version, "kind": resource.kind}
    tracked = managed_fields.track_update(None, obj, write.by("Update"), write.now)
    return store.create(resource, tracked, write.now, dry_run=write.dry_run)


def _named(store: ClusterStore, metadata: Obj) -> Obj:
    held = {k: v for k, v in metadata.items() if k not in (*_SERVER_SET, "managedFields")}
    if not held.get("name") and held.get("generateName"):
        store.counters["generated-names"] = store.counters.get("generated-names", 0) + 1
        held["name"] = f"{held['generateName']}{store.counters['generated-names']:05d}"
    return held


def _open_namespace(store: ClusterStore, resource: Resource, namespace: str, name: str) -> None:
    if store.get(NAMESPACES, "", namespace).get("status", {}).get("phase") == "Terminating":
        why = (
            f"unable to create new content in namespace {namespace} because it is being terminated"
        )
        raise forbidden(resource, name, why)


def replace(write: Write, body: Any) -> Obj:
    """PUT: a stale resourceVersion is a 409; none given means whatever is there now."""
    before = write.store.get(write.resource, write.namespace, write.name)
    after = validate.check_identity(write.resource, body, write.namespace, write.name)
    return _update(write, before, after)


def patch(write: Write, content_type: str, body: Any, *, force: bool = False) -> Obj:
    """PATCH by content type; see `patches` and, for apply, `managed_fields`."""
    if content_type in APPLY_PATCHES:
        return _apply(write, body, force=force)
    if content_type not in PATCHES:
        raise unsupported_media((*PATCHES, APPLY_PATCHES[0]))
    before = write.store.get(write.resource, write.namespace, write.name)
    if not isinstance(body, list if content_type == JSON_PATCH else dict):
        raise bad_request("error decoding patch: the body does not fit its content type")
    after = PATCHES[content_type](before, body)
    return _update(write, before, validate.check_identity(
        write.resource, after, write.namespace, write.name))  # fmt: skip


def _apply(write: Write, body: Any, *, force: bool) -> Obj:
    if write.manager == "unknown":
        raise bad_request("PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: "
                          "is required for apply patch")  # fmt: skip
    sent = validate.check_identity(write.resource, body, write.namespace, write.name)
    if sent["metadata"].get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    sent |= {"apiVersion": write.resource.api_version, "kind": write.resource.kind}
    before = write.store.find(write.resource, write.namespace, write.name)
    if before is None:
        return _create_by_apply(write, sent)
    _check_preconditions(write, before, sent["metadata"])
    merged = managed_fields.apply(before, sent, write.by("Apply"), write.now, force=force)
    after = _settled(write, before, merged)
    return write.store.put(write.resource, after, dry_run=write.dry_run)


def _create_by_apply(write: Write, sent: Obj) -> Obj:
    if write.subresource:
        write.store.get(write.resource, write.namespace, write.name)
    if write.resource.namespaced:
        _open_namespace(write.store, write.resource, write.namespace, write.name)
    obj = validate.with_defaults(write.resource, sent)
    validate.check(write.resource, obj)
    owned = managed_fields.track_update(None, sent, write.by("Apply"), write.now)
    obj["metadata"]["managedFields"] = owned["metadata"].get("managedFields", [])
    return write.store.create(write.resource, obj, write.now, dry_run=write.dry_run)


def _update(write: Write, before: Obj, after: Obj) -> Obj:
    _check_preconditions(write, before, after["metadata"])
    after = _settled(write, before, after)
    tracked = managed_fields.track_update(before, after, write.by("Update"), write.now)
    stored = write.store.put(write.resource, tracked, dry_run=write.dry_run)
    return _finish_deletion(write, stored)


def _check_preconditions(write: Write, before: Obj, metadata: Obj) -> None:
    asked = metadata.get("resourceVersion")
    validate.check_uid(write.resource, write.name, before["metadata"]["uid"], metadata.get("uid"))
    if asked and asked != before["metadata"]["resourceVersion"]:
        raise conflict(write.resource, write.name)


def _settled(write: Write, before: Obj, after: Obj) -> Obj:
    """What of the wished-for object this request may change; the rest stays as it was."""
    held = before["metadata"]
    metadata = {k: v for k, v in after["metadata"].items() if k not in _SERVER_SET}
    metadata |= {key: held[key] for key in _SERVER_SET if key in held}
    whole = {**after, "apiVersion": write.resource.api_version, "kind": write.resource.kind}
    if write.subresource == "status":
        settled = {**before, "status": whole.get("status", {})}
        return settled | {"metadata": {**held, "managedFields": metadata.get("managedFields", [])}}
    if write.resource.has_status:
        whole.pop("status", None)
        whole |= {"status": before["status"]} if "status" in before else {}
    whole["metadata"] = metadata
    validate.check(write.resource, whole)
    validate.check_update(write.resource, before, whole)
    return whole


def _finish_deletion(write: Write, stored: Obj) -> Obj:
    """An object that waited for its last finalizer goes as soon as that is gone."""
    metadata = stored["metadata"]
    waiting = metadata.get("deletionTimestamp") and metadata.get("finalizers") == []
    if waiting and write.resource is not PODS and not write.dry_run:
        return write.store.remove(write.resource, write.namespace, write.name)
    return stored


def delete(write: Write, options: Obj) -> Obj:
    """Delete with preconditions and grace; pods on a node leave when their kubelet says so.

    Returns the object while it is still leaving (and for a pod always), else a `Success` Status.
    """
    before = write.store.get(write.resource, write.namespace, write.name)
    wanted = options.get("preconditions") or {}
    _check_preconditions(write, before, wanted)
    if write.resource is PODS:
        return delete_pod(write, before, options.get("gracePeriodSeconds"))
    if before["metadata"].get("finalizers"):
        return _mark_leaving(write, before, 0)
    if not write.dry_run:
        write.store.remove(write.resource, write.namespace, write.name)
    return success(write.resource, before)


def delete_pod(write: Write, pod: Obj, grace_s: int | None) -> Obj:
    """Terminate a pod: at once when it is on no node, is over, or has no grace left."""
    over = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    if grace_s is None:
        grace_s = int(pod["spec"].get("terminationGracePeriodSeconds", 30))
    if grace_s > 0 and pod["spec"].get("nodeName") and not over:
        return _mark_leaving(write, pod, grace_s)
    if not write.dry_run:
        write.store.remove(PODS, write.namespace, pod["metadata"]["name"])
    return pod


def _mark_leaving(write: Write, obj: Obj, grace_s: int) -> Obj:
    if obj["metadata"].get("deletionTimestamp"):
        leaves_at = parse_time(obj["metadata"]["deletionTimestamp"])
        if leaves_at <= write.now + timedelta(seconds=grace_s):
            return obj
    metadata = {
        **obj["metadata"],
        "deletionTimestamp": rfc3339(write.now + timedelta(seconds=grace_s)),
        "deletionGracePeriodSeconds": grace_s,
    }
    return write.store.put(write.resource, {**obj, "metadata": metadata}, dry_run=write.dry_run)


def success(resource: Resource, obj: Obj) -> Obj:
    metadata = obj["metadata"]
    details = {"name": metadata["name"], "kind": resource.plural, "uid": metadata["uid"]}
    details |= {"group": resource.group} if resource.group else {}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": details}  # fmt: skip
