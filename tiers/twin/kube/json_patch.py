"""JSON patch (RFC 6902) as the API server's library reads it. Inputs are never changed."""

from collections.abc import Callable
from typing import Any

from tiers.twin.kube.errors import bad_request, patch_refused
from tiers.twin.kube.resources import Obj
from tiers.twin.kube.store import json_copy


def json_patch(document: Obj, operations: Any) -> Obj:
    """Apply RFC 6902 operations in order.

    Raises:
        ApiError: 422 when an operation cannot be carried out (a `test` fails, a path or the
            operation itself does not exist), 400 for what is no list of operations.
    """
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: a JSON patch is a list of operations")
    result: Obj = json_copy(document)
    for operation in operations:
        if not isinstance(operation, dict):
            raise bad_request("error decoding patch: an operation is an object")
        try:
            _OPERATIONS[operation["op"]](result, operation)
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
