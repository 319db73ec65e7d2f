"""Whether a request's object may be stored: identity, metadata, then the rules of its kind."""

from typing import Any

from tiers.twin.kube import kind_defaults, rules
from tiers.twin.kube.errors import bad_request, conflict, invalid, invalid_options
from tiers.twin.kube.resources import EVENTS, LEASES, NAMESPACES, NODES, PDBS, Obj, Resource
from tiers.twin.kube.store import json_copy
from tiers.twin.kube.values import (
    Causes,
    bad,
    forbidden,
    key_problem,
    name_problem,
    required,
    unsupported,
    value_problem,
)

_WITHOUT_SPEC = ("Event", "PriorityClass", "WorkloadPriorityClass")
_LONGEST_ANNOTATIONS = 256 * 1024


def check_identity(resource: Resource, obj: Any, namespace: str, name: str) -> Obj:
    """The body of a write, agreeing with the path it was sent to. Raises a 400."""
    if not isinstance(obj, dict) or not isinstance(obj.get("metadata") or {}, dict):
        raise bad_request(f"the object provided is unrecognized (must be of type {resource.kind})")
    version = obj.get("apiVersion") or resource.api_version
    if version != resource.api_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version "
            f"({resource.api_version})"
        )
    if (kind := obj.get("kind") or resource.kind) != resource.kind:
        raise bad_request(
            f'{kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
        )
    metadata = dict(obj.get("metadata") or {})
    if (metadata.get("namespace") or namespace) != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if name and (metadata.get("name") or name) != name:
        raise bad_request(
            f"the name of the object ({metadata.get('name')}) does not match the name on the URL "
            f"({name})"
        )
    given = {"namespace": namespace, "name": name}
    metadata |= {key: value for key, value in given.items() if value}
    return {**obj, "metadata": metadata}


def check(resource: Resource, obj: Obj) -> None:
    """Raise a 422 that names every wrong field."""
    metadata = obj["metadata"]
    name = str(metadata.get("name") or "")
    causes = _name(resource, name) + _metadata(metadata) + rules.check(resource, obj)
    if causes:
        raise invalid(resource, name, causes)


def _name(resource: Resource, name: str) -> Causes:
    if not name:
        return [required("metadata.name", "name or generateName is required")]
    problem = name_problem(name, label=resource is NAMESPACES)
    return [bad("metadata.name", name, problem)] if problem else []


def _metadata(metadata: Obj) -> Causes:
    causes: Causes = []
    for key, value in (metadata.get("labels") or {}).items():
        if problem := key_problem(key):
            causes.append(bad("metadata.labels", key, problem))
        if problem := value_problem(str(value)):
            causes.append(bad("metadata.labels", value, problem))
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        if problem := key_problem(key.lower()):
            causes.append(bad("metadata.annotations", key, problem))
    if sum(len(key) + len(str(value)) for key, value in annotations.items()) > _LONGEST_ANNOTATIONS:
        why = f"Too long: may not be more than {_LONGEST_ANNOTATIONS} bytes"
        causes.append(("FieldValueTooLong", "metadata.annotations", why))
    return causes + _owners(metadata)


def _owners(metadata: Obj) -> Causes:
    causes: Causes = []
    owners = metadata.get("ownerReferences") or []
    for place, owner in enumerate(owners):
        at = f"metadata.ownerReferences[{place}]"
        for key in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(key):
                told = "version" if key == "apiVersion" else key
                causes.append(bad(f"{at}.{key}", "", f"{told} must not be empty"))
    if sum(1 for owner in owners if owner.get("controller")) > 1:
        why = "Only one reference can have Controller set to true"
        causes.append(bad("metadata.ownerReferences", owners, why))
    return causes


def check_update(resource: Resource, before: Obj, after: Obj) -> None:
    """Raise a 422 for changes of what may not change (pod spec, selector of a Deployment)."""
    causes = _new_finalizers(before["metadata"], after["metadata"])
    causes += rules.check_change(resource, before, after)
    if causes:
        raise invalid(resource, before["metadata"]["name"], causes)


def _new_finalizers(before: Obj, after: Obj) -> Causes:
    if not before.get("deletionTimestamp"):
        return []
    added = [f for f in after.get("finalizers") or () if f not in (before.get("finalizers") or ())]
    why = "no new finalizers can be added if the object is being deleted, found new finalizers "
    quoted = ", ".join(f'"{name}"' for name in added)
    return [forbidden("metadata.finalizers", f"{why}[]string{{{quoted}}}")] if added else []


def with_defaults(resource: Resource, obj: Obj) -> Obj:
    """The fields a server fills in on create, on a copy."""
    obj = json_copy(obj)
    if resource.kind not in _WITHOUT_SPEC:
        obj["spec"] = obj.get("spec") or {}
    if resource.has_status and not (resource.custom or resource is NODES):
        obj["status"] = {}
    elif resource.custom and resource.has_status:
        obj.pop("status", None)
    if resource in kind_defaults.DEFAULTS:
        kind_defaults.DEFAULTS[resource](obj)
    return obj


# Preconditions

UNCONDITIONAL_FORBIDDEN = frozenset({LEASES, PDBS})
"""Built-in kinds that a PUT must name the resourceVersion of; all custom kinds are such."""
CREATED_BY_PUT = frozenset({LEASES, EVENTS})


def needs_version(resource: Resource) -> bool:
    return resource.custom or resource in UNCONDITIONAL_FORBIDDEN


def check_version_given(resource: Resource, obj: Obj) -> None:
    """Raise the 422 of a PUT without a resourceVersion, where the kind wants one."""
    if needs_version(resource) and not obj["metadata"].get("resourceVersion"):
        why = "Invalid value: 0x0: must be specified for an update"
        cause = ("FieldValueInvalid", "metadata.resourceVersion", why)
        raise invalid(resource, obj["metadata"]["name"], [cause])


def check_preconditions(resource: Resource, before: Obj, metadata: Obj) -> None:
    """Raise a 409 when a write names another object of that name, or an older state of it."""
    name, held = before["metadata"]["name"], before["metadata"]
    if (uid := metadata.get("uid")) and uid != held["uid"]:
        raise conflict(
            resource,
            name,
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {held['uid']}",
        )
    if (version := metadata.get("resourceVersion")) and version != held["resourceVersion"]:
        raise conflict(resource, name)


def check_delete_preconditions(resource: Resource, before: Obj, options: Obj) -> None:
    """Raise a 409 for stale preconditions, a 422 for contradicting options."""
    wanted, held = options.get("preconditions") or {}, before["metadata"]
    policy = options.get("propagationPolicy")
    if policy not in (None, "", "Orphan", "Background", "Foreground"):
        known = ("Foreground", "Background", "Orphan")
        raise invalid_options("DeleteOptions", unsupported("propagationPolicy", policy, known))
    if policy and options.get("orphanDependents") is not None:
        why = "orphanDependents and deletionPropagation cannot be both set"
        raise invalid_options("DeleteOptions", bad("propagationPolicy", policy, why))
    if (uid := wanted.get("uid")) and uid != held["uid"]:
        why = (
            f"the UID in the precondition ({uid}) does not match the UID in record "
            f"({held['uid']}). The object might have been deleted and then recreated"
        )
        raise conflict(resource, held["name"], why)
    if (version := wanted.get("resourceVersion")) and version != held["resourceVersion"]:
        why = (
            f"the ResourceVersion in the precondition ({version}) does not match the "
            f"ResourceVersion in record ({held['resourceVersion']}). The object might have been "
            "modified"
        )
        raise conflict(resource, held["name"], why)
