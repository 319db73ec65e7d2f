"""Sets of fields: what an object holds, what two of them differ in, and the `fieldsV1` form.

A field is a path of steps: `f:` and a member's name, `k:` and the keys of a list's element, `v:`
and the value of a set's element. Inner nodes are members too, as in structured-merge-diff: who
adds a map owns the map and its entries, who adds an entry owns the entry.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

from tiers.twin.kube.resources import Obj, Resource
from tiers.twin.kube.shapes import Shape, never_owned, shape_of

Path = tuple[str, ...]
Fields = frozenset[Path]
NOTHING: Fields = frozenset()
INNER: Final = object()
"""Stands for the value of a node that has fields of its own."""
_UNTRACKED = {"apiVersion", "kind"}
_UNTRACKED_METADATA = {
    "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
    "managedFields", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds",
}  # fmt: skip


def flatten(resource: Resource, obj: Obj) -> dict[Path, Any]:
    """Every field that somebody can own, with its value (`INNER` where it has fields itself)."""
    tracked = {key: value for key, value in obj.items() if key not in _UNTRACKED}
    metadata = tracked.get("metadata") or {}
    tracked["metadata"] = {k: v for k, v in metadata.items() if k not in _UNTRACKED_METADATA}
    found: dict[Path, Any] = {}
    _walk(tracked, (), shape_of(resource), found)
    skipped = never_owned(resource)
    return {path: value for path, value in found.items() if path not in skipped}


def _walk(value: Any, path: Path, shape: Shape, found: dict[Path, Any]) -> None:
    parts = list(_parts(value, shape))
    whole = not parts and not (isinstance(value, dict) and not shape.atomic)
    found[path] = value if whole else INNER
    for step, item, inner in parts:
        _walk(item, (*path, step), inner, found)


def _parts(value: Any, shape: Shape) -> Iterable[tuple[str, Any, Shape]]:
    """The owned parts of a value; none for scalars and for what is atomic."""
    if isinstance(value, dict) and not shape.atomic:
        return [(f"f:{key}", item, shape.child(key)) for key, item in value.items()]
    if isinstance(value, list) and shape.is_set:
        return [(f"v:{json.dumps(item)}", item, Shape(atomic=True)) for item in value]
    if isinstance(value, list) and shape.keys:
        steps = [key_step(shape, item) for item in value]
        if all(step is not None for step in steps):
            inner = Shape(fields=shape.fields)
            return [(str(s), item, inner) for s, item in zip(steps, value, strict=True)]
    return []


def key_step(shape: Shape, item: Any) -> str | None:
    key = shape.element_key(item)
    if key is None:
        return None
    return "k:" + json.dumps(dict(key), separators=(",", ":"), sort_keys=True)


def applied_set(resource: Resource, sent: Obj) -> Fields:
    """What an apply of `sent` owns: leaves, empty maps, and elements of keyed lists and sets."""
    flat = flatten(resource, sent)
    parents = {path[:-1] for path in flat}
    return frozenset(
        path
        for path, value in flat.items()
        if value is not INNER or path not in parents or path[-1].startswith(("k:", "v:"))
    )


def doubled(value: Any, shape: Shape, path: str = "") -> str:
    """Where a keyed list has two elements of one key, or one without: "" where none does."""
    if isinstance(value, dict):
        inner = (doubled(v, shape.child(k), f"{path}.{k}") for k, v in value.items())
        return next(filter(None, inner), "")
    if not isinstance(value, list) or not shape.keys:
        return ""
    seen = set()
    for place, item in enumerate(value):
        step = key_step(shape, item)
        if step is None:
            return f"{path}: element {place}: omits key field {shape.keys[0]!r}"
        if step in seen:
            return f"{path}: duplicate entries for key {step.removeprefix('k:')}"
        seen.add(step)
        if found := doubled(item, Shape(fields=shape.fields), f"{path}[{place}]"):
            return found
    return ""


def difference(before: dict[Path, Any], after: dict[Path, Any]) -> tuple[Fields, Fields]:
    """Fields added or changed, and fields removed."""
    changed = {p for p, value in after.items() if p not in before or before[p] != value}
    return frozenset(changed), frozenset(before.keys() - after.keys())


def to_tree(paths: Fields) -> Obj:
    """The `fieldsV1` form: a member with members below it is marked by a dot."""
    tree: Obj = {}
    for path in sorted(paths):
        node = tree
        for step in path:
            node = node.setdefault(step, {})
    for path in paths:
        node = tree
        for step in path:
            node = node[step]
        if node:
            node["."] = {}
    return tree


def from_tree(tree: Obj, prefix: Path = ()) -> set[Path]:
    found: set[Path] = set()
    for step, inner in tree.items():
        if step == ".":
            found.add(prefix)
        elif inner:
            found |= from_tree(inner, (*prefix, step))
        else:
            found.add((*prefix, step))
    return found


def dotted(path: Path) -> str:
    """`.spec.containers[name="server"].image`, as conflicts name a field."""
    text = ""
    for step in path:
        kind, rest = step[:2], step[2:]
        if kind == "f:":
            text += "." + rest
        elif kind == "v:":
            text += f"[={rest}]"
        else:
            keys = ",".join(f"{k}={json.dumps(v)}" for k, v in json.loads(rest).items())
            text += f"[{keys}]"
    return text
