"""Reading and changing pods, as every controller needs it."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from tiers.twin.kube import priority, quota
from tiers.twin.kube.resources import PODS, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.times import rfc3339
from tiers.twin.kube.validate import with_defaults
from tiers.twin.kube.verbs import Write, delete_pod
from tiers.twin.profile import GPU_RESOURCE

# The letters that generated names use: no vowels, so that no word appears by chance.
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def requested_gpus(pod: Obj) -> int:
    """GPUs that a pod, or a template, asks for: a limit is a request where none is written."""
    return sum(_gpus(c.get("resources") or {}) for c in pod["spec"].get("containers") or ())


def _gpus(resources: Obj) -> int:
    asked = resources.get("requests") or {}
    if GPU_RESOURCE not in asked:
        asked = resources.get("limits") or {}
    return int(asked.get(GPU_RESOURCE, 0))


def is_over(pod: Obj) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def is_leaving(pod: Obj) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def condition(obj: Obj, kind: str) -> Obj | None:
    conditions = obj.get("status", {}).get("conditions") or ()
    return next((c for c in conditions if c["type"] == kind), None)


def is_ready(obj: Obj) -> bool:
    found = condition(obj, "Ready")
    return found is not None and found["status"] == "True"


def with_condition(
    status: Obj,
    kind: str,
    value: str,
    now: datetime,
    *,
    reason: str = "",
    message: str | None = None,
) -> Obj:
    """`status` with one condition set; its transition time moves only when its value does."""
    conditions: Sequence[Obj] = status.get("conditions") or ()
    held = next((c for c in conditions if c["type"] == kind), None)
    since = held["lastTransitionTime"] if held and held["status"] == value else rfc3339(now)
    made: Obj = {"type": kind, "status": value, "lastTransitionTime": since}
    made |= {"reason": reason} if reason else {}
    made |= {"message": message} if message is not None else {}
    rest = [c for c in conditions if c["type"] != kind]
    return {**status, "conditions": [*rest, made]}


def status_of(obj: Obj) -> Obj:
    """An object's status; a custom object has none until its controller has looked at it."""
    return obj.get("status") or {}


def create(store: ClusterStore, pod: Obj, now: datetime) -> Obj:
    """Store a controller's new pod as the API would. Raises ApiError when a quota forbids it."""
    admitted = priority.admit(store, PODS, with_defaults(PODS, pod))
    quota.admit(store, PODS, admitted)
    return store.create(PODS, admitted, now)


def put_status(store: ClusterStore, pod: Obj, status: Obj) -> Obj:
    return store.put(PODS, {**pod, "status": status})


def remove(store: ClusterStore, pod: Obj, now: datetime, grace_s: int | None = None) -> None:
    """Delete a pod as a controller does, with its own grace unless one is given."""
    if is_leaving(pod) and grace_s is None:
        return
    metadata = pod["metadata"]
    write = Write(store, PODS, metadata["namespace"], metadata["name"], now)
    delete_pod(write, pod, grace_s)


def from_template(owner: Obj, name: str, *, api_version: str, kind: str) -> Obj:
    """A pod of an owner's template, as yet without identity."""
    template = owner["spec"]["template"]
    meta = template.get("metadata") or {}
    reference = owner_reference(owner, api_version=api_version, kind=kind)
    return {
        "metadata": {
            "name": name,
            "namespace": owner["metadata"]["namespace"],
            "labels": dict(meta.get("labels") or {}),
            "annotations": dict(meta.get("annotations") or {}),
            "ownerReferences": [reference],
        },
        "spec": template["spec"],
        "status": {},
    }


def owner_reference(owner: Obj, *, api_version: str, kind: str) -> Obj:
    """The reference by which an object is its controller's."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def template_hash(owner: Obj) -> str:
    """What tells pods of one template from those of another."""
    text = json.dumps(owner["spec"]["template"], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def suffix(rng: np.random.Generator) -> str:
    return "".join(_SUFFIX_LETTERS[i] for i in rng.integers(0, len(_SUFFIX_LETTERS), 5))
