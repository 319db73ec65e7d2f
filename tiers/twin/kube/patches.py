"""The three patch formats: JSON patch (RFC 6902), merge patch (RFC 7386), strategic merge.

Strategic merge knows which lists merge by key from `resources.LIST_KEYS`; the directives `$patch`
(`delete`, `replace`), `$deleteFromPrimitiveList` and `$retainKeys` are honoured and
`$setElementOrder` sorts what it names. Inputs are never changed.
"""

from collections.abc import Callable
from typing import Any

from tiers.twin.kube.errors import bad_request, patch_refused
from tiers.twin.kube.resources import DEFAULT_KEY_VALUES, LIST_KEYS, SET_LISTS, Obj
from tiers.twin.kube.store import json_copy

_MISSING = object()


def json_patch(document: Obj, operations: Any) -> Obj:
    """Apply RFC 6902 operations in order.

    Raises:
        ApiError: 422 when a `test` fails or a path does not exist, 400 for a malformed patch.
    """
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: a JSON patch is a list of operations")
    result: Obj = json_copy(document)
    for operation in operations:
        if not isinstance(operation, dict) or "op" not in operation or "path" not in operation:
            raise bad_request("error decoding patch: an operation needs op and path")
        apply = _OPERATIONS.get(operation["op"])
        if apply is None:
            raise bad_request(f"error decoding patch: unexpected kind: {operation['op']}")
        try:
            apply(result, operation)
        except (KeyError, IndexError, ValueError, TypeError) as err:
            raise patch_refused() from err
    return result


def _tokens(pointer: str) -> list[str]:
    if not pointer.startswith("/"):
        raise ValueError(pointer)
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]


def _parent(document: Any, pointer: str) -> tuple[Any, str]:
    *way, last = _tokens(pointer)
    for token in way:
        document = document[_index(token)] if isinstance(document, list) else document[token]
    if not isinstance(document, dict | list):
        raise TypeError(pointer)
    return document, last


def _index(token: str) -> int:
    if not token.isdigit():
        raise ValueError(token)
    return int(token)


def _read(document: Any, pointer: str) -> Any:
    parent, last = _parent(document, pointer)
    return parent[_index(last)] if isinstance(parent, list) else parent[last]


def _add(document: Any, pointer: str, value: Any) -> None:
    parent, last = _parent(document, pointer)
    if isinstance(parent, dict):
        parent[last] = value
        return
    place = len(parent) if last == "-" else _index(last)
    if place > len(parent):
        raise IndexError(pointer)
    parent.insert(place, value)


def _remove(document: Any, pointer: str) -> None:
    parent, last = _parent(document, pointer)
    del parent[_index(last) if isinstance(parent, list) else last]


def _replace(document: Any, pointer: str, value: Any) -> None:
    parent, last = _parent(document, pointer)
    if isinstance(parent, list):
        parent[_index(last)] = value
    else:
        _ = parent[last]
        parent[last] = value


def _test(document: Any, operation: Obj) -> None:
    parent, last = _parent(document, operation["path"])
    wanted = operation.get("value")
    if isinstance(parent, dict) and last not in parent:
        held: Any = None  # the server's library lets a test for null pass on an absent member
    else:
        held = _read(document, operation["path"])
    if held != wanted or isinstance(held, bool) != isinstance(wanted, bool):
        raise ValueError("test failed")


def _move(document: Any, operation: Obj) -> None:
    value = _read(document, operation["from"])
    _remove(document, operation["from"])
    _add(document, operation["path"], value)


_OPERATIONS: dict[str, Callable[[Any, Obj], None]] = {
    "add": lambda doc, op: _add(doc, op["path"], json_copy(op["value"])),
    "remove": lambda doc, op: _remove(doc, op["path"]),
    "replace": lambda doc, op: _replace(doc, op["path"], json_copy(op["value"])),
    "move": _move,
    "copy": lambda doc, op: _add(doc, op["path"], json_copy(_read(doc, op["from"]))),
    "test": _test,
}


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


def strategic_merge(document: Any, patch: Obj) -> Obj:
    """Merge as Kubernetes does for built-in kinds: keyed lists element by element."""
    directive = patch.get("$patch")
    if directive == "replace":
        return {k: json_copy(v) for k, v in patch.items() if k != "$patch"}
    result = dict(document) if isinstance(document, dict) else {}
    if retained := patch.get("$retainKeys"):
        result = {key: value for key, value in result.items() if key in retained}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            field = key.split("/", 1)[1]
            result[field] = [item for item in result.get(field) or [] if item not in value]
        elif not key.startswith("$"):
            _merge_field(result, key, value, patch)
    return result


def _merge_field(result: Obj, key: str, value: Any, patch: Obj) -> None:
    held = result.get(key)
    if value is None:
        result.pop(key, None)
    elif isinstance(value, dict):
        if value.get("$patch") == "delete":
            result.pop(key, None)
        else:
            result[key] = strategic_merge(held, value)
    elif isinstance(value, list) and key in LIST_KEYS and _keyed(key, value):
        merged = _merge_list(key, held or [], value)
        result[key] = _ordered(key, merged, patch.get(f"$setElementOrder/{key}"))
    elif isinstance(value, list) and key in SET_LISTS:
        result[key] = [*(held or []), *(item for item in value if item not in (held or []))]
    else:
        result[key] = json_copy(value)


def _keyed(field: str, items: list[Any]) -> bool:
    """A list of this name whose elements are objects (strategic merge keys ports by one field)."""
    return all(isinstance(i, dict) and ("$patch" in i or LIST_KEYS[field][0] in i) for i in items)


def _merge_list(field: str, held: list[Obj], patch: list[Obj]) -> list[Obj]:
    """Elements new to the list come before those it held, as the real merge orders them."""
    name = LIST_KEYS[field][0]
    if any(item.get("$patch") == "replace" for item in patch):
        return [json_copy(item) for item in patch if "$patch" not in item]
    merged = {item.get(name): item for item in held}
    known = set(merged)
    for item in patch:
        if item.get("$patch") == "delete":
            merged.pop(item.get(name), None)
        else:
            merged[item[name]] = strategic_merge(merged.get(item[name]), item)
    added = [item for key, item in merged.items() if key not in known]
    return added + [item for key, item in merged.items() if key in known]


def _ordered(field: str, items: list[Obj], order: list[Obj] | None) -> list[Obj]:
    if not order:
        return items
    name = LIST_KEYS[field][0]
    rank = {item[name]: place for place, item in enumerate(order)}
    return sorted(items, key=lambda item: rank.get(item[name], len(rank)))


def element_key(field: str, item: Any) -> tuple[tuple[str, Any], ...] | None:
    """What names an element of a keyed list (defaults filled in), or None for other lists."""
    if field not in LIST_KEYS or not isinstance(item, dict):
        return None
    names = LIST_KEYS[field]
    found = tuple((n, item.get(n, DEFAULT_KEY_VALUES.get(n))) for n in names)
    return found if found[0][1] is not None else None
