"""Handing a field over to whoever owned it before us, with the value as it stands.

A write owns a field only when it changes it, and an apply in somebody's name would take off all
that they applied before and that it leaves out. So the ownership itself is written, and nothing
else: `metadata.managedFields`, by JSON patch under the resourceVersion, as the API allows.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import Any

from kubernetes import client as kubernetes

from infra_console.cluster import bounds, caps, scaling
from infra_console.cluster.answers import read_json
from infra_console.cluster.client import FIELD_MANAGER, client_for
from infra_console.cluster.custom_objects import CustomKind
from infra_console.cluster.errors import InvalidRequest, ObjectConflict
from infra_console.cluster.kueue import CLUSTER_QUEUE, WORKLOAD
from infra_console.cluster.managers import Manager, other_owners
from infra_console.cluster.patching import JSON_PATCH, op, write
from infra_console.cluster.places import Kind
from infra_console.cluster.routes import ROUTE

Path = tuple[str, ...]
Fields = dict[str, Any]


def _kind(custom: CustomKind) -> Kind:
    return Kind(custom.group, custom.version, custom.kind, custom.plural, custom.namespaced)


KINDS: Mapping[str, Kind] = {
    **bounds.KINDS,
    **scaling.KINDS,
    **{k.kind: _kind(k) for k in (CLUSTER_QUEUE, WORKLOAD, ROUTE)},
}
# The one field of each kind that is ours to write; a node's label and the two bounds are named.
FIELD: Mapping[str, Path] = {
    **dict.fromkeys(scaling.KINDS, ("spec", "replicas")),
    **{kind: ("spec", field, key) for kind, (field, key, _) in caps.FIELDS.items()},
    "ClusterQueue": ("spec", "resourceGroups"),
    "Workload": ("spec", "active"),
    "HTTPRoute": ("spec", "rules"),
}


@dataclass(frozen=True, slots=True)
class FieldAt:
    """Where a field is."""

    cluster: str
    kind: str
    namespace: str
    name: str
    path: Path

    @property
    def words(self) -> str:
        """For people: `minReplicas of HorizontalPodAutoscaler inference/chat`."""
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.path[-1]} of {self.kind} {place}{self.name}"


@dataclass(frozen=True, slots=True)
class FieldState:
    """A field as read: whether it is ours, who else owns it, and its object."""

    at: FieldAt
    ours: bool
    owners: tuple[Manager, ...]
    value: Any
    item: Mapping[str, Any]


def pointer(path: Sequence[str]) -> str:
    """A path as one text, as JSON patches write it."""
    return "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in path)


def path_of(text: str) -> Path:
    """The path that a pointer writes."""
    return tuple(p.replace("~1", "/").replace("~0", "~") for p in text.split("/")[1:])


def read_field(at: FieldAt) -> FieldState:
    """Raises ClusterError."""
    return _state(at, _read(at))


def hand_over(held: FieldState, managers: Iterable[Manager]) -> FieldState:
    """Make these managers the owners of a field of ours; its value stays.

    Raises:
        ObjectConflict: the object changed since it was read; nothing was written.
        InvalidRequest: it is as it was read, and the server refuses the change itself.
    """
    at, version = held.at, held.item["metadata"]["resourceVersion"]
    body = [
        op("test", "/metadata/resourceVersion", version),
        op("replace", "/metadata/managedFields", _handed_over(held, managers)),
    ]
    what = f"hand over {at.words}"
    options: dict[str, Any] = {"name": at.name, "body": body, **_place(at)}
    try:
        item = write(at.cluster, what, _call(at, "patch"), False, kind=JSON_PATCH, **options)
    except InvalidRequest as err:
        # A failed `test` is a 422 as well; the version tells the two apart.
        if _read(at)["metadata"]["resourceVersion"] == version:
            raise
        raise ObjectConflict(at.cluster, err.problem) from err
    return _state(at, item)


def _state(at: FieldAt, item: Mapping[str, Any]) -> FieldState:
    return FieldState(
        at=at,
        ours=any(_is_ours(e) and _part(e, at.path) is not None for e in _entries(item)),
        owners=other_owners(item, at.path),
        value=_value(item, at.path),
        item=item,
    )


def _value(item: Mapping[str, Any], path: Path) -> Any:
    held: Any = item
    for part in path:
        held = (held or {}).get(part)
    return held


def _read(at: FieldAt) -> Fields:
    return read_json(at.cluster, f"read {at.words}", _call(at, "get"), name=at.name, **_place(at))


def _call(at: FieldAt, verb: str) -> Callable[..., Any]:
    if kind := KINDS.get(at.kind):
        return kind.verb(at.cluster, verb)
    api, name = kubernetes.CoreV1Api(client_for(at.cluster)), "read" if verb == "get" else verb
    calls = {"Node": f"{name}_node", caps.QUOTA: f"{name}_namespaced_resource_quota"}
    call: Callable[..., Any] = getattr(api, calls[at.kind])
    return call


def _place(at: FieldAt) -> dict[str, str]:
    if kind := KINDS.get(at.kind):
        return kind.place(at.namespace)
    return {"namespace": at.namespace} if at.namespace else {}


def _handed_over(held: FieldState, managers: Iterable[Manager]) -> list[Fields]:
    """The object's managedFields with ours of this field in the managers' entries."""
    entries, part = [], {}
    for entry in copy.deepcopy(_entries(held.item)):
        if _is_ours(entry) and (mine := _part(entry, held.at.path)) is not None:
            part = mine
            _take_out(entry["fieldsV1"], held.at.path)
        if entry.get("fieldsV1"):
            entries.append(entry)
    for manager in managers:
        tree = _entry_of(manager, entries, held.item)["fieldsV1"]
        *above, last = _steps(held.at.path)
        reduce(lambda place, step: place.setdefault(step, {}), above, tree).setdefault(last, part)
    return entries


def _entry_of(manager: Manager, entries: list[Fields], item: Mapping[str, Any]) -> Fields:
    """The manager's entry, made where it is not there any more."""
    operation = "Apply" if manager.applies else "Update"
    for entry in entries:
        who = (entry.get("manager"), entry.get("operation"), entry.get("subresource", ""))
        if who == (manager.name, operation, ""):
            return entry
    made: Fields = {
        "manager": manager.name,
        "operation": operation,
        "apiVersion": item["apiVersion"],
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "fieldsType": "FieldsV1",
        "fieldsV1": {},
    }
    entries.append(made)
    return made


def _entries(item: Mapping[str, Any]) -> list[Fields]:
    return item["metadata"].get("managedFields") or []


def _is_ours(entry: Mapping[str, Any]) -> bool:
    return entry.get("manager") == FIELD_MANAGER and entry.get("subresource") != "status"


def _steps(path: Path) -> list[str]:
    return [f"f:{part}" for part in path]


def _part(entry: Mapping[str, Any], path: Path) -> Any:
    """What an entry owns at a path and below it; None where it owns nothing there."""
    tree: Any = entry.get("fieldsV1")
    return reduce(lambda held, step: None if held is None else held.get(step), _steps(path), tree)


def _take_out(tree: Fields, path: Path) -> None:
    """Take a field out of what an entry owns, and what is empty above it then."""
    first, *rest = path
    if rest:
        _take_out(tree[f"f:{first}"], tuple(rest))
    if not rest or not tree[f"f:{first}"]:
        del tree[f"f:{first}"]
