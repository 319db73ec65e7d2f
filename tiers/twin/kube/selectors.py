"""Label and field selectors: from a query string or from a `LabelSelector` object."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tiers.twin.kube.errors import ApiError, bad_request
from tiers.twin.kube.resources import (
    EVENTS,
    JOBS,
    NAMESPACES,
    NODES,
    PODS,
    REPLICA_SETS,
    RESOURCE_SLICES,
    Obj,
    Resource,
)
from tiers.twin.kube.values import key_problem, value_problem

Labels = Mapping[str, str]
Matcher = Callable[[Obj], bool]
_SPLIT = re.compile(r",(?![^(]*\))")
_SET = re.compile(r"^(?P<key>[^\s!=()]+)\s+(?P<op>in|notin)\s*\((?P<values>[^)]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s!=()]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^\s!=()]*)$")
_COMPARE = re.compile(r"^(?P<key>[^\s!=()<>]+)\s*(?P<op>[<>])\s*(?P<value>-?\d+)$")
_EXISTS = re.compile(r"^(?P<no>!?)\s*(?P<key>[^\s!=(),]+)$")


def _requirement(text: str) -> Callable[[Labels], bool]:
    text = text.strip()
    if found := _SET.match(text):
        key, wanted = found["key"], {v.strip() for v in found["values"].split(",")}
        _checked(text, key, wanted)
        if found["op"] == "in":
            return lambda labels: labels.get(key) in wanted
        return lambda labels: labels.get(key) not in wanted
    if found := _EQUAL.match(text):
        key, value = found["key"], found["value"]
        _checked(text, key, [value])
        if found["op"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _COMPARE.match(text):
        return _comparison(found["key"], found["op"], int(found["value"]))
    if found := _EXISTS.match(text):
        key, absent = found["key"], bool(found["no"])
        _checked(text, key, ())
        return lambda labels: (key in labels) != absent
    raise bad_request(f"unable to parse requirement: found '{text}'")


def _checked(text: str, key: str, values: Iterable[str]) -> None:
    """Raise the 400 of a key or a value that no label can have."""
    if problem := key_problem(key):
        raise bad_request(f"unable to parse requirement: found '{text}': key {key}: {problem}")
    for value in values:
        if problem := value_problem(value):
            raise bad_request(f"unable to parse requirement: values[0][{key}]: {value}: {problem}")


def _comparison(key: str, op: str, bound: int) -> Callable[[Labels], bool]:
    """A label above or below a number; without one, or with other text, it is neither."""

    def test(labels: Labels) -> bool:
        held = labels.get(key, "")
        if not held.lstrip("-").isdigit():
            return False
        return int(held) > bound if op == ">" else int(held) < bound

    return test


def label_matcher(text: str) -> Matcher:
    """`a=b,c in (d,e),!f` as a test of an object. Raises a 400 when it cannot be read."""
    wanted = [_requirement(part) for part in _SPLIT.split(text) if part.strip()]
    return lambda obj: all(test(obj["metadata"].get("labels") or {}) for test in wanted)


_COMMON = ("metadata.name", "metadata.namespace")
_BY_KIND: dict[Resource, tuple[str, ...]] = {
    PODS: (
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
        "spec.hostNetwork", "status.phase", "status.podIP", "status.podIPs",
        "status.nominatedNodeName",
    ),
    NODES: ("spec.unschedulable",),
    NAMESPACES: ("status.phase",),
    EVENTS: (
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name",
        "involvedObject.uid", "involvedObject.apiVersion", "involvedObject.resourceVersion",
        "involvedObject.fieldPath", "reason", "reportingComponent", "source", "type",
    ),
    JOBS: ("status.successful",),
    REPLICA_SETS: ("status.replicas",),
    RESOURCE_SLICES: ("spec.nodeName", "spec.driver"),
}  # fmt: skip
_JOB_SUCCEEDED = "status.successful"


def _read_field(obj: Obj, path: str) -> str:
    """A field as a selector sees it: text, "" when it is not there, `false` for a flag."""
    if path == _JOB_SUCCEEDED:
        return str((obj.get("status") or {}).get("succeeded", 0))
    if path == "source":
        return str((obj.get("source") or {}).get("component", ""))
    node: Any = obj
    for name in path.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    if path in ("spec.unschedulable", "spec.hostNetwork"):
        return str(bool(node)).lower()
    if path == "status.podIPs":
        return ",".join(item["ip"] for item in node or ())
    if path == "status.replicas":
        return str(node or 0)
    return "" if node is None else str(node)


def _unsupported_field(resource: Resource, key: str, text: str) -> ApiError:
    if resource in _BY_KIND and not resource.custom:
        why = f"field label not supported: {key}"
    else:
        known = ", ".join(f'"{name}"' for name in _COMMON)
        why = f'"{key}" is not a known field selector: only {known}'
    where = f"{resource.group}/{resource.version}, Resource={resource.plural}"
    return bad_request(
        f'Unable to find "{where}" that match label selector "", field selector "{text}": {why}'
    )


def field_matcher(resource: Resource, text: str) -> Matcher:
    """`spec.nodeName=x,status.phase!=Running`; fields a kind does not index are a 400."""
    tests: list[Matcher] = []
    for part in filter(None, text.split(",")):
        found = _EQUAL.match(part.strip())
        if found is None:
            raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        if found["key"] not in (*_COMMON, *_BY_KIND.get(resource, ())):
            raise _unsupported_field(resource, found["key"], text)
        tests.append(_field_test(found["key"], found["op"], found["value"]))
    return lambda obj: all(test(obj) for test in tests)


def _field_test(key: str, op: str, value: str) -> Matcher:
    if op == "!=":
        return lambda obj: _read_field(obj, key) != value
    return lambda obj: _read_field(obj, key) == value


def matcher(resource: Resource, labels: str, fields: str) -> Matcher:
    """Both selectors of a list or watch as one test."""
    by_label, by_field = label_matcher(labels), field_matcher(resource, fields)
    return lambda obj: by_label(obj) and by_field(obj)


def selects(selector: Obj | None, labels: Labels) -> bool:
    """Whether a `LabelSelector` object picks these labels; an empty one picks all, None none."""
    if selector is None:
        return False
    exact = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in exact.items()):
        return False
    return all(_expression(e, labels) for e in selector.get("matchExpressions") or ())


def _expression(expression: Obj, labels: Labels) -> bool:
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def selector_text(selector: Obj) -> str:
    """A `LabelSelector` as the string form that a Scale's status carries."""
    parts = [f"{k}={v}" for k, v in sorted((selector.get("matchLabels") or {}).items())]
    for e in selector.get("matchExpressions") or ():
        values = ",".join(sorted(e.get("values") or ()))
        forms = {"In": f"{e['key']} in ({values})", "NotIn": f"{e['key']} notin ({values})"}
        plain = e["key"] if e["operator"] == "Exists" else f"!{e['key']}"
        parts.append(forms.get(e["operator"], plain))
    return ",".join(parts)
