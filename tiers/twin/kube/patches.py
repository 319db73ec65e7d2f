"""Merge patch (RFC 7386) and strategic merge patch.

Strategic merge knows from `shapes` which lists merge by key; the directives `$patch` (`delete`,
`replace`), `$deleteFromPrimitiveList` and `$retainKeys` are honoured and `$setElementOrder` sorts
what it names. Inputs are never changed.
"""

from typing import Any

from tiers.twin.kube.errors import bad_request
from tiers.twin.kube.resources import Obj
from tiers.twin.kube.shapes import PLAIN, Shape
from tiers.twin.kube.store import json_copy


def merge_patch(document: Any, patch: Any) -> Any:
    """RFC 7386: null removes a member, anything but an object replaces."""
    if not isinstance(patch, dict):
        return json_copy(patch)
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def strategic_merge(document: Any, patch: Obj, shape: Shape = PLAIN) -> Obj:
    """Merge as Kubernetes does for built-in kinds: keyed lists element by element.

    Raises:
        ApiError: 400 when an element of a keyed list lacks its key.
    """
    if patch.get("$patch") not in (None, "replace", "merge"):
        raise bad_request(f"unknown patch type: {patch['$patch']} in map: {patch}")
    if patch.get("$patch") == "replace" or (shape.replace and "$patch" not in patch):
        return {k: json_copy(v) for k, v in patch.items() if k != "$patch"}
    result = dict(document) if isinstance(document, dict) else {}
    if (retained := patch.get("$retainKeys")) is not None:
        result = {key: value for key, value in result.items() if key in retained}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            field = key.split("/", 1)[1]
            result[field] = [item for item in result.get(field) or [] if item not in value]
        elif not key.startswith("$"):
            _merge_field(result, key, value, patch, shape.child(key))
    return result


def _merge_field(result: Obj, key: str, value: Any, patch: Obj, shape: Shape) -> None:
    held = result.get(key)
    if value is None:
        result.pop(key, None)
    elif isinstance(value, dict):
        if value.get("$patch") == "delete":
            result.pop(key, None)
        else:
            result[key] = strategic_merge(held, value, shape)
    elif isinstance(value, list) and shape.merge_key:
        merged = _merge_list(held or [], value, shape)
        result[key] = _ordered(merged, patch.get(f"$setElementOrder/{key}"), shape.merge_key)
    elif isinstance(value, list) and shape.is_set:
        result[key] = [*(held or []), *(item for item in value if item not in (held or []))]
    else:
        result[key] = json_copy(value)


def _merge_list(held: list[Obj], patch: list[Obj], shape: Shape) -> list[Obj]:
    """Elements new to the list come before those it held, as the real merge orders them."""
    name = shape.merge_key
    if any(item.get("$patch") == "replace" for item in patch):
        return [json_copy(item) for item in patch if "$patch" not in item]
    merged = {item.get(name): item for item in held}
    known = set(merged)
    for item in patch:
        if name not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {name}")
        if item.get("$patch") == "delete":
            merged.pop(item[name], None)
        else:
            merged[item[name]] = strategic_merge(
                merged.get(item[name]), item, Shape(fields=shape.fields)
            )
    added = [item for key, item in merged.items() if key not in known]
    return added + [item for key, item in merged.items() if key in known]


def _ordered(items: list[Obj], order: list[Obj] | None, name: str) -> list[Obj]:
    if not order:
        return items
    rank = {item.get(name): place for place, item in enumerate(order)}
    return sorted(items, key=lambda item: rank.get(item.get(name), len(rank)))
