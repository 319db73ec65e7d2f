"""Bodies that kubectl sends as protobuf, read as the JSON they stand for.

Only what its own commands write so: access reviews, evictions, delete options, namespaces. Field
numbers follow the `generated.proto` of each API group. Everything else is a 415.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tiers.twin.kube.errors import bad_request

MEDIA = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
Message = Mapping[int, tuple[str, Any]]
"""Field numbers with their JSON names and what they hold; a list of one means repeated."""
TEXT, NUMBER, FLAG, LABELS = "text", "number", "flag", "labels"

_METADATA: Message = {
    1: ("name", TEXT), 2: ("generateName", TEXT), 3: ("namespace", TEXT), 5: ("uid", TEXT),
    6: ("resourceVersion", TEXT), 11: ("labels", LABELS), 12: ("annotations", LABELS),
    14: ("finalizers", [TEXT]),
}  # fmt: skip
_PRECONDITIONS: Message = {1: ("uid", TEXT), 2: ("resourceVersion", TEXT)}
_DELETE: Message = {
    1: ("gracePeriodSeconds", NUMBER), 2: ("preconditions", _PRECONDITIONS),
    3: ("orphanDependents", FLAG), 4: ("propagationPolicy", TEXT), 5: ("dryRun", [TEXT]),
}  # fmt: skip
_RESOURCE: Message = {
    1: ("namespace", TEXT), 2: ("verb", TEXT), 3: ("group", TEXT), 4: ("version", TEXT),
    5: ("resource", TEXT), 6: ("subresource", TEXT), 7: ("name", TEXT),
}  # fmt: skip
_PLAIN: Message = {1: ("path", TEXT), 2: ("verb", TEXT)}
_ACCESS: Message = {1: ("resourceAttributes", _RESOURCE), 2: ("nonResourceAttributes", _PLAIN)}
_RULES: Message = {1: ("namespace", TEXT)}
_KINDS: dict[str, Message] = {
    "DeleteOptions": _DELETE,
    "Eviction": {1: ("metadata", _METADATA), 2: ("deleteOptions", _DELETE)},
    "Namespace": {1: ("metadata", _METADATA), 2: ("spec", {})},
    "SelfSubjectAccessReview": {1: ("metadata", _METADATA), 2: ("spec", _ACCESS)},
    "SelfSubjectRulesReview": {1: ("metadata", _METADATA), 2: ("spec", _RULES)},
    "SelfSubjectReview": {1: ("metadata", _METADATA)},
}
_TYPE: Message = {1: ("apiVersion", TEXT), 2: ("kind", TEXT)}
_ENVELOPE: Message = {1: ("type", _TYPE), 2: ("raw", "bytes")}


def read(raw: bytes) -> dict[str, Any] | None:
    """The object in a body, None for a kind that is not read here. Raises a 400."""
    if not raw.startswith(_MAGIC):
        raise bad_request("the body is not a Kubernetes protobuf message")
    try:
        envelope = _message(raw[len(_MAGIC) :], _ENVELOPE)
        known = _KINDS.get(envelope["type"]["kind"])
        if known is None:
            return None
        return {**envelope["type"], **_message(envelope.get("raw", b""), known)}
    except (IndexError, KeyError, UnicodeDecodeError) as err:
        raise bad_request("the body is no complete protobuf message") from err


def _message(data: bytes, fields: Message) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        name, holds = fields.get(number, ("", ""))
        if not name:
            continue
        if isinstance(holds, list):
            found.setdefault(name, []).append(_value(value, holds[0]))
        elif holds == LABELS:
            pair = _message(value, {1: ("key", TEXT), 2: ("value", TEXT)})
            found.setdefault(name, {})[pair.get("key", "")] = pair.get("value", "")
        elif (read_value := _value(value, holds)) != "":
            found[name] = read_value
    return found


def _value(value: Any, holds: Any) -> Any:
    if holds == TEXT:
        return value.decode()
    if holds == FLAG:
        return bool(value)
    return value if holds in (NUMBER, "bytes") else _message(value, holds)


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Field numbers and values: integers, or the bytes of what has a length."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        wire = tag & 7
        value: Any
        if wire == 0:
            value, place = _varint(data, place)
        elif wire == 2:
            length, place = _varint(data, place)
            if place + length > len(data):
                raise IndexError
            value, place = data[place : place + length], place + length
        else:
            raise IndexError  # no field read here is of a fixed width
        yield tag >> 3, value


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, place = data[place], place + 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
