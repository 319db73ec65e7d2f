"""Who owns which field: `metadata.managedFields`, and server-side apply upon it.

A field is a path of steps: a member name, or a key of a list that merges by key. Ownership is
kept at the leaves (an atomic list is one leaf). Apply merges the sent fields, takes over nothing
that another manager owns with another value (409 with one cause a field) unless forced, and
removes what this manager applied before, sends no more, and nobody else owns.

Limits: written fields of the twin's own controllers are not tracked, set lists are atomic, and
`managedFields` cannot be cleared by a patch.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tiers.twin.kube.errors import ApiError
from tiers.twin.kube.patches import element_key
from tiers.twin.kube.resources import Obj
from tiers.twin.kube.times import rfc3339

Path = tuple[str, ...]
Fields = frozenset[Path]
_UNTRACKED = {"apiVersion", "kind"}
_UNTRACKED_METADATA = {
    "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
    "managedFields", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds",
}  # fmt: skip


@dataclass(frozen=True)
class Manager:
    """Who writes, and how: one entry of managedFields is one of these."""

    name: str
    operation: str
    subresource: str = ""


def leaves(obj: Obj) -> dict[Path, Any]:
    """Every owned path of an object with its value, identity and server-set fields left out."""
    found: dict[Path, Any] = {}
    for key, value in obj.items():
        if key == "metadata":
            inner = {k: v for k, v in value.items() if k not in _UNTRACKED_METADATA}
            _walk(inner, ("f:metadata",), "metadata", found)
        elif key not in _UNTRACKED:
            _walk(value, (f"f:{key}",), key, found)
    return found


def _walk(value: Any, path: Path, field: str, found: dict[Path, Any]) -> None:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            _walk(item, (*path, f"f:{key}"), key, found)
        return
    if isinstance(value, list) and value:
        keys = [element_key(field, item) for item in value]
        if all(key is not None for key in keys):
            for key, item in zip(keys, value, strict=True):
                step = "k:" + json.dumps(dict(key or ()), separators=(",", ":"), sort_keys=True)
                _walk(item, (*path, step), "", found)
            return
    if not (isinstance(value, dict) and path == ("f:metadata",)):
        found[path] = value


def _tree(fields: Iterable[Path]) -> Obj:
    tree: Obj = {}
    for path in sorted(fields):
        node = tree
        for step in path:
            node = node.setdefault(step, {})
    return tree


def _paths(tree: Obj, prefix: Path = ()) -> set[Path]:
    found: set[Path] = set()
    for step, inner in tree.items():
        found |= _paths(inner, (*prefix, step)) if inner else {(*prefix, step)}
    return found


def _owners(obj: Obj) -> dict[Manager, tuple[Fields, str]]:
    owners = {}
    for entry in obj["metadata"].get("managedFields") or ():
        who = Manager(entry["manager"], entry["operation"], entry.get("subresource", ""))
        owners[who] = frozenset(_paths(entry.get("fieldsV1") or {})), entry.get("time", "")
    return owners


def _with_owners(obj: Obj, owners: dict[Manager, tuple[Fields, str]]) -> Obj:
    entries = []
    for who, (fields, time) in sorted(owners.items(), key=lambda owner: str(owner[0])):
        if not fields:
            continue
        entry = {
            "manager": who.name,
            "operation": who.operation,
            "apiVersion": obj["apiVersion"],
            "time": time,
            "fieldsType": "FieldsV1",
            "fieldsV1": _tree(fields),
        }
        entries.append(entry | ({"subresource": who.subresource} if who.subresource else {}))
    metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    return {**obj, "metadata": metadata | ({"managedFields": entries} if entries else {})}


def track_update(before: Obj | None, after: Obj, who: Manager, now: datetime) -> Obj:
    """`after` with what `who` changed now owned by `who` alone (create, replace, patch)."""
    old, new = leaves(before) if before else {}, leaves(after)
    changed = {path for path, value in new.items() if path not in old or old[path] != value}
    if before is not None and not changed and set(old) == set(new):
        return _with_owners(after, _owners(before))
    owners = _owners(before) if before else {}
    kept = {w: ((f & new.keys()) - changed, t) for w, (f, t) in owners.items()}
    mine, _ = kept.get(who, (frozenset(), ""))
    return _with_owners(after, kept | {who: (mine | changed, rfc3339(now))})


def apply(before: Obj, applied: Obj, who: Manager, now: datetime, *, force: bool) -> Obj:
    """Server-side apply of `applied` onto `before`.

    Raises:
        ApiError: 409 with a `FieldManagerConflict` cause for each field that another manager owns
            with a different value, unless `force`.
    """
    sent, old, owners = leaves(applied), leaves(before), _owners(before)
    lost = {path for path, value in sent.items() if path in old and old[path] != value}
    others = {w: held for w, held in owners.items() if w != who}
    if not force:
        _refuse_conflicts(applied, lost, others)
    mine, _ = owners.get(who, (frozenset(), ""))
    held_elsewhere = {path for fields, _ in others.values() for path in fields}
    dropped = {path for path in mine if path not in sent and path not in held_elsewhere}
    merged = _merge(before, applied, "")
    for path in sorted(dropped, key=len, reverse=True):
        _drop(merged, path)
    kept = {w: (fields - lost, time) for w, (fields, time) in others.items()}
    return _with_owners(merged, kept | {who: (frozenset(sent), rfc3339(now))})


def _refuse_conflicts(
    applied: Obj, lost: set[Path], others: dict[Manager, tuple[Fields, str]]
) -> None:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f'conflict with "{w.name}" using {applied["apiVersion"]}',
            "field": _dotted(path),
        }
        for w, (fields, _) in others.items()
        for path in sorted(fields & lost)
    ]
    if not causes:
        return
    plural = "s" if len(causes) > 1 else ""
    listed = ", ".join(f"{c['message']}: {c['field']}" for c in causes)
    message = f"Apply failed with {len(causes)} conflict{plural}: {listed}"
    raise ApiError(409, "Conflict", message, {"causes": causes})


def _dotted(path: Path) -> str:
    text = ""
    for step in path:
        if step.startswith("f:"):
            text += "." + step[2:]
        else:
            keys = ",".join(f"{k}={json.dumps(v)}" for k, v in json.loads(step[2:]).items())
            text += f"[{keys}]"
    return text


def _merge(held: Any, sent: Any, field: str) -> Any:
    if isinstance(held, dict) and isinstance(sent, dict):
        return held | {key: _merge(held.get(key), value, key) for key, value in sent.items()}
    if isinstance(held, list) and isinstance(sent, list):
        keys = [element_key(field, item) for item in sent]
        if sent and all(key is not None for key in keys):
            merged = {element_key(field, item): item for item in held}
            for key, item in zip(keys, sent, strict=True):
                merged[key] = _merge(merged.get(key), item, "")
            return list(merged.values())
    return sent


def _drop(obj: Obj, path: Path) -> None:
    """Remove one owned path, copying the way to it (the rest may be shared with the stored)."""
    node: Any = obj
    for place, step in enumerate(path):
        key: Any = step[2:] if step.startswith("f:") else _position(node, path, place)
        if key is None or (isinstance(node, dict) and key not in node):
            return
        if place == len(path) - 1:
            del node[key]
            return
        inner = node[key]
        node[key] = dict(inner) if isinstance(inner, dict) else list(inner)
        node = node[key]


def _position(items: Any, path: Path, place: int) -> int | None:
    if not isinstance(items, list):
        return None
    wanted, field = json.loads(path[place][2:]), path[place - 1][2:]
    for index, item in enumerate(items):
        if dict(element_key(field, item) or ()) == wanted:
            return index
    return None
