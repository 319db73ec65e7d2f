"""Which fields each kind has: unknown ones are dropped and named, wrong types are refused.

Built-in kinds are read from the official client's models, which are made from the API's own
description. Custom kinds are known one level below `spec`; what lies deeper is kept as sent.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from kubernetes.client import models

from tiers.twin.kube import quantity
from tiers.twin.kube.custom_fields import ROOT_FIELDS, SPEC_FIELDS
from tiers.twin.kube.errors import bad_request
from tiers.twin.kube.resources import Obj, Resource

GENERIC = re.compile(r"^(List|Dict)\[(?:str, )?(.+)\]$")
_SCALARS: dict[str, tuple[type, str]] = {
    "str": (str, "string"),
    "bool": (bool, "bool"),
    "int": (int, "int32"),
}
_AMOUNTS = ("limits", "requests", "hard", "used", "capacity", "allocatable", "overhead")
_ROOT = ("apiVersion", "kind", "metadata", "spec", "status")


@dataclass
class _Reading:
    resource: Resource
    unknown: list[str]

    def value(self, type_name: str, value: Any, path: str) -> Any:
        if generic := GENERIC.match(type_name):
            return self._generic(generic[1], generic[2], value, path)
        if members := _members(type_name):
            return self._members(members, value, path)
        if type_name in _SCALARS:
            self._check(value, path, *_SCALARS[type_name])
        return value

    def _generic(self, outer: str, inner: str, value: Any, path: str) -> Any:
        if outer == "List":
            self._check(value, path, list, "[]" + inner)
            return [self.value(inner, item, f"{path}[{i}]") for i, item in enumerate(value)]
        self._check(value, path, dict, "map[string]" + inner)
        if path in ("metadata.labels", "metadata.annotations"):
            return {
                k: self.value(inner, item, path) for k, item in value.items() if item is not None
            }
        # A quantity may be sent as a number and is always told as text.
        told = {k: str(v) if isinstance(v, int | float) else v for k, v in value.items()}
        if path.rpartition(".")[2] in _AMOUNTS:
            self._check_amounts(told)
        return told

    def _check_amounts(self, amounts: Obj) -> None:
        try:
            for amount in amounts.values():
                quantity.parse(amount)
        except (ValueError, ArithmeticError) as err:
            kind = self.resource.kind
            raise bad_request(
                f'{kind} in version "{self.resource.version}" cannot be handled as a {kind}: '
                "quantities must match the regular expression "
                "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            ) from err

    def _members(self, members: dict[str, str], value: Any, path: str) -> Obj:
        self._check(value, path, dict, "object")
        known: Obj = {}
        for key, item in value.items():
            inner = f"{path}.{key}" if path else key
            if key not in members:
                self.unknown.append(inner)
            elif item is not None:
                read = self.value(members[key], item, inner)
                # An empty list or map is not told, as Go's `omitempty` has it.
                if read not in ([], {}) or not GENERIC.match(members[key]):
                    known[key] = read
        return known

    def _check(self, value: Any, path: str, wanted: type, name: str) -> None:
        if isinstance(value, wanted) and not (wanted is int and isinstance(value, bool)):
            return
        kind = self.resource.kind
        raise bad_request(
            f'{kind} in version "{self.resource.version}" cannot be handled as a {kind}: '
            f"json: cannot unmarshal {_json_name(value)} into Go struct field {kind}.{path} "
            f"of type {name}"
        )


def _json_name(value: Any) -> str:
    names = {str: "string", bool: "bool", list: "array", dict: "object"}
    return names.get(type(value), "number")


@cache
def _members(type_name: str) -> dict[str, str] | None:
    """The JSON members of a model with their types, None when the name is no model's."""
    model = getattr(models, type_name, None)
    if model is None or not getattr(model, "openapi_types", None):
        return None
    return {model.attribute_map[name]: kind for name, kind in model.openapi_types.items()}


@cache
def model_of(resource: Resource) -> str:
    version = resource.version.capitalize()
    group = (resource.group or "core").split(".")[0].capitalize()
    names = (f"{version}{resource.kind}", f"{group}{version}{resource.kind}")
    return next((name for name in names if _members(name)), "")


def read(resource: Resource, obj: Obj) -> tuple[Obj, list[str]]:
    """The object with known fields alone, and the paths of the others.

    Raises:
        ApiError: 400 when a value has another type than its field.
    """
    reading = _Reading(resource, [])
    if model := model_of(resource):
        return reading.value(model, obj, ""), reading.unknown
    return _custom(resource, obj, reading), reading.unknown


def _custom(resource: Resource, obj: Obj, reading: _Reading) -> Obj:
    roots = (*_ROOT, *ROOT_FIELDS.get(resource, ()))
    members = dict.fromkeys(roots, "any") | {"metadata": "V1ObjectMeta"}
    known: Obj = reading.value("V1ObjectMeta", {}, "") | reading._members(members, obj, "")
    spec, listed = known.get("spec"), SPEC_FIELDS.get(resource)
    if isinstance(spec, dict) and listed is not None:
        known["spec"] = reading._members(dict.fromkeys(listed, "any"), spec, "spec")
    return known
