"""Label and field selectors: from a query string or from a `LabelSelector` object."""

import re
from collections.abc import Callable, Mapping

from tiers.twin.kube.errors import bad_request
from tiers.twin.kube.resources import PODS, Obj, Resource

Labels = Mapping[str, str]
Matcher = Callable[[Obj], bool]
_SPLIT = re.compile(r",(?![^(]*\))")
_SET = re.compile(r"^(?P<key>[^\s!=()]+)\s+(?P<op>in|notin)\s*\((?P<values>[^)]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s!=()]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^\s!=()]*)$")
_EXISTS = re.compile(r"^(?P<no>!?)\s*(?P<key>[^\s!=(),]+)$")


def _requirement(text: str) -> Callable[[Labels], bool]:
    text = text.strip()
    if found := _SET.match(text):
        key, wanted = found["key"], {v.strip() for v in found["values"].split(",")}
        if found["op"] == "in":
            return lambda labels: labels.get(key) in wanted
        return lambda labels: labels.get(key) not in wanted
    if found := _EQUAL.match(text):
        key, value = found["key"], found["value"]
        if found["op"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _EXISTS.match(text):
        key, absent = found["key"], bool(found["no"])
        return lambda labels: (key in labels) != absent
    raise bad_request(f"unable to parse requirement: found '{text}'")


def label_matcher(text: str) -> Matcher:
    """`a=b,c in (d,e),!f` as a test of an object. Raises a 400 when it cannot be read."""
    wanted = [_requirement(part) for part in _SPLIT.split(text) if part.strip()]
    return lambda obj: all(test(obj["metadata"].get("labels") or {}) for test in wanted)


_FIELDS: dict[str, Callable[[Obj], str]] = {
    "metadata.name": lambda o: str(o["metadata"]["name"]),
    "metadata.namespace": lambda o: str(o["metadata"].get("namespace", "")),
    "spec.nodeName": lambda o: str(o.get("spec", {}).get("nodeName", "")),
    "spec.unschedulable": lambda o: str(bool(o.get("spec", {}).get("unschedulable"))).lower(),
    "status.phase": lambda o: str(o.get("status", {}).get("phase", "")),
    "involvedObject.name": lambda o: str(o.get("involvedObject", {}).get("name", "")),
    "involvedObject.kind": lambda o: str(o.get("involvedObject", {}).get("kind", "")),
    "reason": lambda o: str(o.get("reason", "")),
}
_COMMON = {"metadata.name", "metadata.namespace"}
_BY_KIND = {
    PODS.kind: {"spec.nodeName", "status.phase"},
    "Node": {"spec.unschedulable"},
    "Namespace": {"status.phase"},
    "Event": {"involvedObject.name", "involvedObject.kind", "reason"},
}


def field_matcher(resource: Resource, text: str) -> Matcher:
    """`spec.nodeName=x,status.phase!=Running`; fields a kind does not index are a 400."""
    tests: list[Matcher] = []
    for part in filter(None, text.split(",")):
        found = _EQUAL.match(part.strip())
        if found is None:
            raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        if found["key"] not in _COMMON | _BY_KIND.get(resource.kind, set()):
            raise bad_request(f"field label not supported: {found['key']}")
        tests.append(_field_test(found["key"], found["op"], found["value"]))
    return lambda obj: all(test(obj) for test in tests)


def _field_test(key: str, op: str, value: str) -> Matcher:
    read = _FIELDS[key]
    if op == "!=":
        return lambda obj: read(obj) != value
    return lambda obj: read(obj) == value


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
