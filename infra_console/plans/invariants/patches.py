"""An object after one write of the API log: JSON patch, merge patch, apply, or the whole object.

Lists are replaced, which is what a node's taints do under a JSON patch and a merge patch.
"""

import copy
from collections.abc import Mapping
from typing import Any


def patched(held: Mapping[str, Any], body: Any) -> dict[str, Any]:
    """A new object; a body that the log does not hold changes nothing."""
    made = copy.deepcopy(dict(held))
    if isinstance(body, list):
        for operation in body:
            _operate(made, operation)
        return made
    return _merged(made, body) if isinstance(body, Mapping) else made


def _operate(made: dict[str, Any], operation: Mapping[str, Any]) -> None:
    if operation.get("op") not in {"add", "replace", "remove"}:
        return
    *parents, last = [
        part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]
    ]
    place: Any = made
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
    if isinstance(place, list):
        _operate_list(place, last, operation)
    elif operation["op"] == "remove":
        place.pop(last, None)
    else:
        place[last] = operation["value"]


def _operate_list(place: list[Any], last: str, operation: Mapping[str, Any]) -> None:
    if last == "-":
        place.append(operation["value"])
    elif operation["op"] == "add":
        place.insert(int(last), operation["value"])
    elif operation["op"] == "remove":
        place.pop(int(last))
    else:
        place[int(last)] = operation["value"]


def _merged(held: dict[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in change.items():
        if value is None:
            held.pop(key, None)
        elif isinstance(value, Mapping):
            below = held.get(key)
            held[key] = _merged(below if isinstance(below, dict) else {}, value)
        else:
            held[key] = value
    return held
