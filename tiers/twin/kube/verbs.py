"""Creating and deleting stored objects, each with dry run; `updates` has what changes them.

Every function checks and writes without waiting in between, so a precondition holds when it is
acted on.
"""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tiers.twin.kube import known_fields, managed_fields, priority, quota, validate
from tiers.twin.kube.errors import bad_request, failure, forbidden
from tiers.twin.kube.managed_fields import Manager
from tiers.twin.kube.resources import NAMESPACES, PODS, QUOTAS, REGISTRY, Obj, Resource
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.times import parse_time, rfc3339

SERVER_SET = ("uid", "creationTimestamp", "generation", "deletionTimestamp",
              "deletionGracePeriodSeconds")  # fmt: skip
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST_BASE = 58
IMMORTAL = ("default", "kube-system", "kube-public")
FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
"""Finalizers that the garbage collector takes off when it has seen to the dependents."""
_DEPENDENTS = {"Foreground": FOREGROUND, "Orphan": ORPHAN}


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
    validation: str = "Warn"
    """What unknown fields lead to: `Strict` refuses, `Warn` tells, `Ignore` is silent."""
    warnings: list[str] = field(default_factory=list)

    def by(self, operation: str) -> Manager:
        return Manager(self.manager, operation, self.subresource)


def known(write: Write, obj: Obj) -> tuple[Obj, str]:
    """The object without unknown fields, and what a strict decoder says of those ("" if none)."""
    read, unknown = known_fields.read(write.resource, obj)
    listed = [f'unknown field "{path}"' for path in unknown]
    if write.validation == "Warn":
        write.warnings.extend(listed)
    strict = listed and write.validation == "Strict"
    return read, f"strict decoding error: {', '.join(listed)}" if strict else ""


def sent_object(write: Write, body: Any) -> Obj:
    """The body of a create or replace. Raises a 400."""
    resource = write.resource
    obj = validate.check_identity(resource, body, write.namespace, write.name)
    read, wrong = known(write, obj)
    if wrong:
        kind = resource.kind
        raise bad_request(
            f'{kind} in version "{resource.version}" cannot be handled as a {kind}: {wrong}'
        )
    return read | {"apiVersion": resource.api_version, "kind": resource.kind}


def create(write: Write, body: Any) -> Obj:
    """Store a new object.

    Raises:
        ApiError: 404 (no such namespace), 409 (name taken), 422 (invalid), 403 (over a quota).
    """
    obj = sent_object(write, body)
    if obj["metadata"].get("resourceVersion"):
        raise failure(500, "resourceVersion should not be set on objects to be created")
    obj["metadata"] = _named(obj["metadata"])
    return store_new(
        write,
        obj,
        lambda made: managed_fields.track_update(None, made, write.by("Update"), write.now),
    )


def store_new(write: Write, obj: Obj, owned: Callable[[Obj], Obj]) -> Obj:
    """Default, check, admit and store an object; `owned` writes managedFields on its argument."""
    resource = write.resource
    if resource.namespaced:
        open_namespace(write, obj["metadata"].get("name", ""))
    made = validate.with_defaults(resource, obj)
    validate.check(resource, made)
    if resource is QUOTAS:
        made["status"] = quota.status(write.store, made)
    made = priority.admit(write.store, resource, made)
    quota.admit(write.store, resource, made, dry_run=write.dry_run)
    made["metadata"] = {**made["metadata"], **_owners(owned(made))}
    return write.store.create(resource, made, write.now, dry_run=write.dry_run)


def _owners(obj: Obj) -> Obj:
    return {k: v for k, v in obj["metadata"].items() if k == "managedFields"}


def _named(metadata: Obj) -> Obj:
    held = {k: v for k, v in metadata.items() if k not in (*SERVER_SET, "managedFields")}
    if not held.get("name") and (base := held.get("generateName")):
        suffix = "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(5))
        held["name"] = base[:_LONGEST_BASE] + suffix
    return held


def open_namespace(write: Write, name: str) -> None:
    """Raise a 404 when the namespace is not there, a 403 when it is going."""
    held = write.store.get(NAMESPACES, "", write.namespace)
    if held.get("status", {}).get("phase") == "Terminating":
        why = (
            f"unable to create new content in namespace {write.namespace} because it is being "
            "terminated"
        )
        raise forbidden(write.resource, name, why, cause="NamespaceTerminating")


# Deletion


def delete(write: Write, options: Obj) -> Obj:
    """Delete with preconditions and grace; pods on a node leave when their kubelet says so.

    Returns the object while it is still leaving (and for a pod always), else a `Success` Status.
    """
    before = write.store.get(write.resource, write.namespace, write.name)
    validate.check_delete_preconditions(write.resource, before, options)
    if write.resource is PODS:
        return delete_pod(write, before, options.get("gracePeriodSeconds"))
    if write.resource is NAMESPACES:
        if write.name in IMMORTAL:
            raise forbidden(NAMESPACES, write.name, "this namespace may not be deleted")
        return _delete_namespace(write, before)
    kept = _with_dependents_finalizer(before, options)
    if kept["metadata"].get("finalizers"):
        return _mark_leaving(write, kept, 0)
    if not write.dry_run:
        remove(write.store, write.resource, before)
    return success(write.resource, before)


def _with_dependents_finalizer(obj: Obj, options: Obj) -> Obj:
    """The object with the finalizer that its `propagationPolicy` asks for."""
    policy = options.get("propagationPolicy", "")
    if options.get("orphanDependents"):
        policy = "Orphan"
    held = obj["metadata"].get("finalizers") or []
    if policy not in _DEPENDENTS or _DEPENDENTS[policy] in held:
        return obj
    others = [name for name in held if name not in _DEPENDENTS.values()]
    metadata = {**obj["metadata"], "finalizers": [*others, _DEPENDENTS[policy]]}
    return {**obj, "metadata": metadata}


def delete_collection(write: Write, found: Iterable[Obj], options: Obj) -> list[Obj]:
    """Delete each of these objects; returns what they were."""
    gone = []
    for obj in found:
        metadata = obj["metadata"]
        one = Write(
            write.store, write.resource, metadata.get("namespace", ""), metadata["name"],
            write.now, dry_run=write.dry_run,
        )  # fmt: skip
        delete(one, options)
        gone.append(obj)
    return gone


def delete_pod(write: Write, pod: Obj, grace_s: int | None) -> Obj:
    """Terminate a pod: at once when it is on no node, is over, or has no grace left."""
    over = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    if grace_s is not None and grace_s < 0:
        grace_s = 1
    if grace_s is None:
        grace_s = int(pod["spec"].get("terminationGracePeriodSeconds", 30))
    if over or not pod["spec"].get("nodeName"):
        grace_s = 0
    if grace_s > 0 or pod["metadata"].get("finalizers"):
        return _mark_leaving(write, pod, grace_s)
    if not write.dry_run:
        remove(write.store, PODS, pod)
    return pod


def _mark_leaving(write: Write, obj: Obj, grace_s: int) -> Obj:
    if obj["metadata"].get("deletionTimestamp"):
        leaves_at = parse_time(obj["metadata"]["deletionTimestamp"])
        if leaves_at <= write.now + timedelta(seconds=grace_s):
            return obj
    metadata = {
        **_counted_once_more(obj["metadata"]),
        "deletionTimestamp": rfc3339(write.now + timedelta(seconds=grace_s)),
        "deletionGracePeriodSeconds": grace_s,
    }
    return write.store.put(write.resource, {**obj, "metadata": metadata}, dry_run=write.dry_run)


def _counted_once_more(metadata: Obj) -> Obj:
    """To begin to leave is a change that controllers act on, so it is a new generation."""
    if metadata.get("deletionTimestamp") or not metadata.get("generation"):
        return metadata
    return {**metadata, "generation": metadata["generation"] + 1}


def finalize(write: Write, body: Any) -> Obj:
    """`namespaces/finalize`: a leaving namespace that waits for nobody any more is gone."""
    sent = sent_object(write, body)
    before = write.store.get(NAMESPACES, "", write.name)
    validate.check_preconditions(NAMESPACES, before, sent["metadata"])
    finalizers = (sent.get("spec") or {}).get("finalizers") or []
    spec = {**before["spec"], "finalizers": finalizers}
    after = {**before, "spec": spec if finalizers else {}}
    stored = write.store.put(NAMESPACES, after, dry_run=write.dry_run)
    waits = finalizers or not stored["metadata"].get("deletionTimestamp")
    if write.dry_run or waits or stored["metadata"].get("finalizers"):
        return stored
    return write.store.remove(NAMESPACES, "", write.name)


def finish_deletion(write: Write, stored: Obj) -> Obj:
    """An object that waited for its last finalizer goes as soon as that is gone."""
    metadata = stored["metadata"]
    waits = metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds")
    if write.dry_run or waits or not metadata.get("deletionTimestamp"):
        return stored
    if write.resource is NAMESPACES:
        return _leave(write.store, stored)
    return remove(write.store, write.resource, stored)


def remove(store: ClusterStore, resource: Resource, obj: Obj) -> Obj:
    """Take an object out, and the namespace that waited for it."""
    namespace = obj["metadata"].get("namespace", "")
    gone = store.remove(resource, namespace, obj["metadata"]["name"])
    quota.release(store, resource, gone)
    held = store.find(NAMESPACES, "", namespace) if namespace else None
    if held and held["metadata"].get("deletionTimestamp"):
        _leave(store, held)
    return gone


def _leave(store: ClusterStore, namespace: Obj) -> Obj:
    """What the namespace controller does: an empty one waits for others' finalizers alone."""
    name = namespace["metadata"]["name"]
    if _content(store, name):
        return namespace
    waited_for = (namespace.get("spec") or {}).get("finalizers") or []
    others = [finalizer for finalizer in waited_for if finalizer != "kubernetes"]
    if others or namespace["metadata"].get("finalizers"):
        return store.put(NAMESPACES, {**namespace, "spec": {"finalizers": others}})
    return store.remove(NAMESPACES, "", name)


def _delete_namespace(write: Write, namespace: Obj) -> Obj:
    """Terminating, emptied at once, and gone with the last object that a finalizer holds back."""
    leaving = {**namespace, "status": {**namespace.get("status", {}), "phase": "Terminating"}}
    if write.dry_run:
        return leaving
    leaving = _mark_leaving(write, leaving, 0)
    for resource, obj in _content(write.store, write.name):
        metadata = obj["metadata"]
        if write.store.find(resource, write.name, metadata["name"]) is None:
            continue
        if metadata.get("finalizers"):
            inner = Write(write.store, resource, write.name, metadata["name"], write.now)
            _mark_leaving(inner, obj, 0)
        else:
            remove(write.store, resource, obj)
    if held := write.store.find(NAMESPACES, "", write.name):
        _leave(write.store, held)
    return leaving


def _content(store: ClusterStore, namespace: str) -> list[tuple[Resource, Obj]]:
    namespaced = (r for r in REGISTRY.resources if r.namespaced)
    return [(r, obj) for r in namespaced for obj in store.all(r, namespace)]


def success(resource: Resource, obj: Obj) -> Obj:
    metadata = obj["metadata"]
    details = {"name": metadata["name"], "kind": resource.plural, "uid": metadata["uid"]}
    details |= {"group": resource.group} if resource.group else {}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": details}  # fmt: skip
