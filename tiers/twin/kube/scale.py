"""The `scale` subresource: replicas alone, with the parent's uid and resourceVersion."""

from typing import Any

from tiers.twin.kube import managed_fields
from tiers.twin.kube.errors import bad_request, conflict, invalid, unsupported_media
from tiers.twin.kube.resources import Obj, Resource
from tiers.twin.kube.selectors import selector_text
from tiers.twin.kube.verbs import APPLY_PATCHES, JSON_PATCH, PATCHES, Write

_SCALE = Resource("autoscaling", "v1", "Scale", "scales", True)


def view(parent: Obj) -> Obj:
    """The autoscaling/v1 Scale of a Deployment or ReplicaSet."""
    metadata, spec = parent["metadata"], parent["spec"]
    keys = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in keys if key in metadata},
        "spec": {"replicas": spec.get("replicas", 0)},
        "status": {
            "replicas": parent.get("status", {}).get("replicas", 0),
            "selector": selector_text(spec["selector"]),
        },
    }


def read(write: Write) -> Obj:
    return view(write.store.get(write.resource, write.namespace, write.name))


def replace(write: Write, body: Any) -> Obj:
    """Set replicas; a stale resourceVersion in the Scale is a 409."""
    if not isinstance(body, dict):
        raise bad_request("not a Scale")
    parent = write.store.get(write.resource, write.namespace, write.name)
    metadata = body.get("metadata") or {}
    if metadata.get("name", write.name) != write.name:
        raise bad_request("the name of the object does not match the name on the URL")
    asked, held = metadata.get("resourceVersion"), parent["metadata"]["resourceVersion"]
    if (asked and asked != held) or metadata.get("uid", parent["metadata"]["uid"]) != (
        parent["metadata"]["uid"]
    ):
        raise conflict(write.resource, write.name)
    replicas = (body.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        why = f'Invalid value: "{replicas}": must be greater than or equal to 0'
        raise invalid(_SCALE, write.name, [("FieldValueInvalid", "spec.replicas", why)])
    after = {**parent, "spec": {**parent["spec"], "replicas": replicas}}
    tracked = managed_fields.track_update(parent, after, write.by("Update"), write.now)
    return view(write.store.put(write.resource, tracked, dry_run=write.dry_run))


def patch(write: Write, content_type: str, body: Any) -> Obj:
    """Patch the Scale as if it were stored."""
    if content_type not in PATCHES:
        raise unsupported_media(tuple(PATCHES) if content_type in APPLY_PATCHES else (*PATCHES,))
    if not isinstance(body, list if content_type == JSON_PATCH else dict):
        raise bad_request("error decoding patch: the body does not fit its content type")
    return replace(write, PATCHES[content_type](read(write), body))
