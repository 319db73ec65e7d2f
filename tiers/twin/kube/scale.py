"""The `scale` subresource: replicas alone, with the parent's uid and resourceVersion.

Where replicas and the selector lie is said by `PATHS`, as a CRD's `specReplicasPath` and
`labelSelectorPath` do.
"""

from dataclasses import dataclass
from typing import Any

from tiers.twin.kube import updates
from tiers.twin.kube.errors import bad_request, conflict, invalid
from tiers.twin.kube.resources import (
    DEPLOYMENTS,
    LEADER_WORKER_SETS,
    NODE_POOLS,
    REPLICA_SETS,
    STATEFUL_SETS,
    Obj,
    Resource,
)
from tiers.twin.kube.selectors import selector_text
from tiers.twin.kube.values import bad
from tiers.twin.kube.verbs import Write

SCALE = Resource("autoscaling", "v1", "Scale", "scales", True)
_IDENTITY = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


@dataclass(frozen=True)
class Paths:
    """Where a kind keeps its replicas, those it has, and the selector as text ("" for none)."""

    replicas: tuple[str, ...] = ("spec", "replicas")
    held: tuple[str, ...] = ("status", "replicas")
    selector: tuple[str, ...] = ("status", "selector")


PATHS: dict[Resource, Paths] = {
    LEADER_WORKER_SETS: Paths(selector=("status", "hpaPodSelector")),
    NODE_POOLS: Paths(held=("status", "nodes"), selector=()),
}
_BUILT_IN = (DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS)


def _paths(resource: Resource) -> Paths:
    return PATHS.get(resource, Paths())


def _at(obj: Obj, path: tuple[str, ...]) -> Any:
    node: Any = obj
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    return node if path else None


def view(resource: Resource, parent: Obj) -> Obj:
    """The autoscaling/v1 Scale of an object."""
    metadata, paths = parent["metadata"], _paths(resource)
    if resource in _BUILT_IN:
        selector = selector_text(parent["spec"].get("selector") or {})
    else:
        selector = _at(parent, paths.selector) or ""
    status: Obj = {"replicas": _at(parent, paths.held) or 0}
    wanted = _at(parent, paths.replicas)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in _IDENTITY if key in metadata},
        "spec": {} if wanted is None or wanted == 0 else {"replicas": wanted},
        "status": status | ({"selector": selector} if selector else {}),
    }


def _parent(write: Write) -> Obj:
    return write.store.get(write.resource, write.namespace, write.name)


def read(write: Write) -> Obj:
    return view(write.resource, _parent(write))


def replace(write: Write, body: Any) -> Obj:
    """Set replicas; a stale resourceVersion in the Scale is a 409, a negative number a 422."""
    if not isinstance(body, dict):
        raise bad_request("not a Scale")
    parent = _parent(write)
    _check(write, parent, body)
    after = _with_replicas(write.resource, parent, _replicas(write, body))
    return view(write.resource, updates.update(write, parent, after))


def patch(write: Write, content_type: str, body: Any, *, force: bool = False) -> Obj:
    """Patch the Scale as if it were stored; an apply owns the parent's replicas field."""
    updates.refuse_unsupported(write.resource, content_type)
    if content_type != updates.APPLY_PATCH:
        return replace(write, updates.patched(SCALE, content_type, read(write), body))
    if write.manager == updates.NO_MANAGER:
        updates.refuse_no_manager()
    if not isinstance(body, dict):
        raise bad_request("not a Scale")
    parent = _parent(write)
    _check(write, parent, body)
    sent = _with_replicas(write.resource, _named(write, parent), _replicas(write, body))
    return view(write.resource, updates.apply_fields(write, parent, sent, force=force))


def _check(write: Write, parent: Obj, body: Obj) -> None:
    metadata = body.get("metadata") or {}
    if (kind := body.get("kind", SCALE.kind)) != SCALE.kind:
        raise bad_request(f"the object provided is unrecognized (must be of type Scale): {kind}")
    if (metadata.get("name") or write.name) != write.name:
        raise bad_request(
            f"the name of the object ({metadata.get('name')}) does not match the name on the URL "
            f"({write.name})"
        )
    held = parent["metadata"]
    if any((metadata.get(k) or held[k]) != held[k] for k in ("resourceVersion", "uid")):
        raise conflict(write.resource, write.name)


def _replicas(write: Write, body: Obj) -> int:
    replicas = (body.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        why = "must be greater than or equal to 0"
        raise invalid(SCALE, write.name, [bad("spec.replicas", replicas, why)])
    return replicas


def _with_replicas(resource: Resource, obj: Obj, replicas: int) -> Obj:
    outer, name = _paths(resource).replicas
    return {**obj, outer: {**(obj.get(outer) or {}), name: replicas}}


def _named(write: Write, parent: Obj) -> Obj:
    """An apply's object with nothing in it yet."""
    return {"apiVersion": parent["apiVersion"], "kind": parent["kind"],
            "metadata": {"name": write.name}}  # fmt: skip
