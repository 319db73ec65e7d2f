"""The two halves of server-side apply on documents: laying fields over, and taking one out."""

from typing import Any

from tiers.twin.kube.field_sets import Fields, Path, key_step
from tiers.twin.kube.resources import Obj
from tiers.twin.kube.shapes import PLAIN, Shape


def merge(held: Any, sent: Any, shape: Shape) -> Any:
    """`held` with `sent` laid over it; neither is changed."""
    if isinstance(held, dict) and isinstance(sent, dict) and not shape.atomic:
        return held | {k: merge(held.get(k), v, shape.child(k)) for k, v in sent.items()}
    if isinstance(held, list) and isinstance(sent, list):
        if shape.is_set:
            return [*held, *(item for item in sent if item not in held)]
        if shape.keys and all(shape.element_key(item) for item in sent):
            return _merge_elements(held, sent, shape)
    return sent


def _merge_elements(held: list[Any], sent: list[Any], shape: Shape) -> list[Any]:
    merged = {shape.element_key(item): item for item in held}
    for item in sent:
        key = shape.element_key(item)
        merged[key] = merge(merged.get(key), item, Shape(fields=shape.fields))
    return list(merged.values())


def drop(obj: Obj, path: Path, shape: Shape, owned: Fields) -> None:
    """Remove one field, and the maps and lists that this leaves empty and nobody owns.

    The way to it is copied: the rest may be shared with what is stored.
    """
    way: list[tuple[Any, Any]] = []
    node: Any = obj
    for step in path:
        key = _place(node, step, shape)
        if key is None:
            return
        way.append((node, key))
        inner = node[key]
        node[key] = inner.copy() if isinstance(inner, dict | list) else inner
        node, shape = node[key], shape.child(step[2:]) if step[:2] == "f:" else _element(shape)
    for depth in range(len(way), 0, -1):
        parent, key = way[depth - 1]
        if depth < len(way) and (parent[key] or path[:depth] in owned or depth == 1):
            return
        del parent[key]


def _element(shape: Shape) -> Shape:
    return Shape(fields=shape.fields) if shape.keys else PLAIN


def _place(node: Any, step: str, shape: Shape) -> Any:
    """The key or index of a step, None when it is not there."""
    if isinstance(node, dict):
        return step[2:] if step[:2] == "f:" and step[2:] in node else None
    if not isinstance(node, list):
        return None
    for index, item in enumerate(node):
        if step == key_step(shape, item) or (step[:2] == "v:" and step[2:] == f'"{item}"'):
            return index
    return None
