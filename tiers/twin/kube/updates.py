"""Changing stored objects: replace, the patch formats, server-side apply, each with dry run."""

from typing import Any, NoReturn

from tiers.twin.kube import field_sets, known_fields, managed_fields, patches, quota, validate
from tiers.twin.kube.errors import (
    ApiError,
    bad_request,
    failure,
    invalid,
    invalid_options,
    unsupported_media,
)
from tiers.twin.kube.json_patch import json_patch
from tiers.twin.kube.resources import DEPLOYMENTS, NAMESPACES, NODES, PODS, QUOTAS, Obj, Resource
from tiers.twin.kube.shapes import shape_of
from tiers.twin.kube.times import parse_time
from tiers.twin.kube.values import bad, required
from tiers.twin.kube.verbs import (
    SERVER_SET,
    Write,
    create,
    finish_deletion,
    known,
    sent_object,
    store_new,
)

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
NO_MANAGER = "unknown"


def replace(write: Write, body: Any) -> Obj:
    """PUT: a stale resourceVersion is a 409; none given means whatever is there now.

    Custom kinds, Leases and budgets want the version said (422); Leases and Events are created by
    a PUT where there is none.
    """
    if isinstance(body, dict) and not (body.get("metadata") or {}).get("name"):
        raise bad_request(
            f"the name of the object ({write.name} based on URL) was undeterminable: "
            "name must be provided"
        )
    obj = sent_object(write, body)
    before = write.store.find(write.resource, write.namespace, write.name)
    meant = obj["metadata"].get("uid")
    if before is None and write.resource in validate.CREATED_BY_PUT and not meant:
        obj["metadata"].pop("resourceVersion", None)
        return create(write, obj)
    before = write.store.get(write.resource, write.namespace, write.name)
    validate.check_version_given(write.resource, obj)
    validate.check_preconditions(write.resource, before, obj["metadata"])
    return update(write, before, obj)


def patch(write: Write, content_type: str, body: Any, *, force: bool = False) -> Obj:
    """PATCH by content type. Raises 415 for a format that the kind does not take."""
    refuse_unsupported(write.resource, content_type)
    if content_type == APPLY_PATCH:
        return _apply(write, body, force=force)
    before = write.store.get(write.resource, write.namespace, write.name)
    after = patched(write.resource, content_type, before, body)
    after = validate.check_identity(write.resource, after, write.namespace, write.name)
    read, wrong = known(write, after)
    if wrong:
        message = f' "" is invalid: patch: Invalid value: {body}: {wrong}'
        raise ApiError(422, "Invalid", message)
    return update(write, before, read)


def refuse_unsupported(resource: Resource, content_type: str) -> None:
    """Custom kinds know no strategic merge: nothing says which of their lists have keys."""
    formats = [JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH]
    if resource.custom:
        formats.remove(STRATEGIC_PATCH)
    if content_type not in formats:
        raise unsupported_media(tuple(formats))


def patched(resource: Resource, content_type: str, before: Obj, body: Any) -> Obj:
    """A document after a patch of one of the three formats. Raises 400 and 422."""
    if content_type == JSON_PATCH:
        return json_patch(before, body)
    if not isinstance(body, dict):
        raise bad_request("error decoding patch: the body does not fit its content type")
    if content_type == MERGE_PATCH:
        merged: Obj = patches.merge_patch(before, body)
        return merged
    return patches.strategic_merge(before, body, shape_of(resource))


def update(write: Write, before: Obj, after: Obj) -> Obj:
    """Store `after`, as far as this request may change the object, owned by its manager."""
    _check_identity(write, before, after)
    after = _settled(write, before, after)
    tracked = managed_fields.track_update(before, after, write.by("Update"), write.now)
    return _stored(write, tracked)


def _check_identity(write: Write, before: Obj, after: Obj) -> None:
    """What the server gave cannot be written (422); another resourceVersion is a 409."""
    sent, held = after["metadata"], before["metadata"]
    causes = [
        bad(f"metadata.{key}", sent[key], "field is immutable")
        for key in ("uid", "creationTimestamp", "deletionTimestamp")
        if sent.get(key) and not _same(sent[key], held.get(key))
    ]
    if causes:
        raise invalid(write.resource, write.name, causes)
    validate.check_preconditions(write.resource, before, after["metadata"])


def _same(sent: str, held: str | None) -> bool:
    """Whether two texts say the same, as times written with another offset do."""
    if sent == held or held is None:
        return sent == held
    try:
        return parse_time(sent) == parse_time(held)
    except ValueError:
        return False


def _stored(write: Write, obj: Obj) -> Obj:
    stored = write.store.put(write.resource, obj, dry_run=write.dry_run)
    if write.resource is QUOTAS and not write.dry_run:
        quota.sync(write.store, stored)
        stored = write.store.get(write.resource, write.namespace, write.name)
    return finish_deletion(write, stored)


def _settled(write: Write, before: Obj, after: Obj) -> Obj:
    """What of the wished-for object this request may change; the rest stays as it was."""
    resource = write.resource
    whole = {**after, "apiVersion": resource.api_version, "kind": resource.kind}
    whole["metadata"] = _settled_metadata(before["metadata"], after["metadata"])
    if write.subresource == "status":
        return _settled_status(write, before, whole)
    if resource is NAMESPACES:
        whole["spec"] = before.get("spec", {})  # `finalize` alone writes its finalizers
    if resource is DEPLOYMENTS and _annotations(before) != _annotations(whole):
        # They are copied to its ReplicaSet, so they count like its spec.
        whole["metadata"]["generation"] = before["metadata"].get("generation", 0) + 1
    if resource is not PODS and whole.get("spec") != before.get("spec"):
        whole = validate.with_defaults(resource, whole)
    if resource.has_status:
        whole.pop("status", None)
        whole |= {"status": before["status"]} if "status" in before else {}
    validate.check(resource, whole)
    validate.check_update(resource, before, whole)
    return whole


def _annotations(obj: Obj) -> Obj:
    return obj["metadata"].get("annotations") or {}


def _settled_metadata(held: Obj, wanted: Obj) -> Obj:
    metadata = {k: v for k, v in wanted.items() if k not in SERVER_SET}
    kept = (*SERVER_SET, "generateName")
    return metadata | {key: held[key] for key in kept if key in held}


def _settled_status(write: Write, before: Obj, whole: Obj) -> Obj:
    """A status write leaves spec alone; kubelets may set metadata with it, others may not."""
    metadata = {**before["metadata"]}
    metadata.pop("managedFields", None)
    if owners := whole["metadata"].get("managedFields"):
        metadata["managedFields"] = owners
    if write.resource in (NODES, PODS):
        metadata = whole["metadata"]
    return {**before, "status": whole.get("status", {}), "metadata": metadata}


# Server-side apply


def _apply(write: Write, body: Any, *, force: bool) -> Obj:
    if write.manager == NO_MANAGER:
        refuse_no_manager()
    return apply_object(write, applied_object(write, body), force=force)


def apply_object(write: Write, sent: Obj, *, force: bool) -> Obj:
    """Apply a body that has been read and checked, or create what it describes."""
    before = write.store.find(write.resource, write.namespace, write.name)
    if before is None:
        return _create_by_apply(write, sent)
    _check_identity(write, before, sent)
    return apply_fields(write, before, sent, force=force)


def apply_fields(write: Write, before: Obj, sent: Obj, *, force: bool) -> Obj:
    """Apply fields that have been read and checked."""
    merged = managed_fields.apply(
        write.resource, before, sent, write.by("Apply"), write.now, force=force
    )
    return _stored(write, _settled(write, before, merged))


def refuse_no_manager() -> NoReturn:
    raise invalid_options("PatchOptions", required("fieldManager", "is required for apply patch"))


def applied_object(write: Write, body: Any) -> Obj:
    """The body of an apply, without what this (sub)resource does not write. Raises 400, 500."""
    resource = write.resource
    if not isinstance(body, dict) or not body.get("apiVersion") or not body.get("kind"):
        raise bad_request("invalid object type: apiVersion and kind must be set")
    sent = validate.check_identity(resource, body, write.namespace, write.name)
    if sent["metadata"].get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    read, unknown = known_fields.read(resource, sent)
    if unknown:
        where = "/".join(part for part in (write.namespace, write.name) if part)
        raise failure(500, (
            f"failed to create typed patch object ({where}; {resource.api_version}, "
            f"Kind={resource.kind}): .{unknown[0]}: field not declared in schema"
        ))  # fmt: skip
    if wrong := field_sets.doubled(read, shape_of(resource)):
        raise failure(500, f"failed to create typed patch object: {wrong}")
    if write.subresource == "status":
        read = {k: v for k, v in read.items() if k in ("metadata", "status")}
        identity = ("name", "namespace", "uid", "resourceVersion")
        read["metadata"] = {k: v for k, v in read["metadata"].items() if k in identity}
    elif resource.has_status:
        read.pop("status", None)
    return read | {"apiVersion": resource.api_version, "kind": resource.kind}


def _create_by_apply(write: Write, sent: Obj) -> Obj:
    if write.subresource:
        write.store.get(write.resource, write.namespace, write.name)
    owned = managed_fields.first_apply(write.resource, sent, write.by("Apply"), write.now)
    return store_new(write, sent, lambda _: owned)
