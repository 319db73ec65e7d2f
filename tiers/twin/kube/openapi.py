"""OpenAPI v3 of what is served, as far as generic clients read it: paths, parameters, schemas.

Schemas of built-in kinds are read from the official client's models; of custom kinds only the
members of `spec` are known (`custom_fields`).
"""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from typing import Any

from kubernetes.client import models

from tiers.twin.kube import discovery
from tiers.twin.kube.custom_fields import SPEC_FIELDS
from tiers.twin.kube.known_fields import GENERIC, model_of
from tiers.twin.kube.resources import REGISTRY, Obj, Resource

ROOT = "/openapi/v3"
_SCALARS: dict[str, Obj] = {
    "str": {"type": "string"},
    "bool": {"type": "boolean"},
    "int": {"type": "integer", "format": "int32"},
    "float": {"type": "number"},
    "datetime": {"type": "string", "format": "date-time"},
}
_WRITES = {"post": "create", "put": "update", "patch": "patch"}


def answer(path: str) -> Obj | None:
    """The document at a path below `/openapi/v3`, None when there is none."""
    if path == ROOT:
        return {"paths": {place: _entry(place) for place in _places()}}
    place = path.removeprefix(ROOT + "/")
    return _document(place) if place in _places() else None


@cache
def _places() -> tuple[str, ...]:
    named = (f"apis/{g}/{v}" for g, versions in REGISTRY.groups().items() for v in versions)
    return ("api/v1", *named)


def _entry(place: str) -> Obj:
    digest = sha256(f"{place} {discovery.VERSION['gitVersion']}".encode()).hexdigest().upper()
    return {"serverRelativeURL": f"{ROOT}/{place}?hash={digest}"}


@cache
def _document(place: str) -> Obj:
    group_version = place.removeprefix("apis/").removeprefix("api/")
    served = [r for r in REGISTRY.resources if r.api_version == group_version]
    paths: Obj = {}
    schemas: Obj = {}
    for resource in served:
        paths |= _paths(f"/{place}", resource)
        schemas |= _schemas(resource)
    info = {"title": "Kubernetes", "version": discovery.VERSION["gitVersion"]}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _kind(resource: Resource) -> Obj:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _paths(root: str, resource: Resource) -> Obj:
    within = f"{root}/namespaces/{{namespace}}" if resource.namespaced else root
    collection = f"{within}/{resource.plural}"
    return {
        collection: {"get": _reading("list", resource), "post": _writing("post", resource),
                     "delete": _reading("deletecollection", resource)},
        f"{collection}/{{name}}": {
            "get": _reading("get", resource), "put": _writing("put", resource),
            "patch": _writing("patch", resource), "delete": _reading("delete", resource),
        },
    }  # fmt: skip


def _reading(action: str, resource: Resource) -> Obj:
    return {"x-kubernetes-action": action, "x-kubernetes-group-version-kind": _kind(resource),
            "responses": {"200": {"description": "OK"}}}  # fmt: skip


def _writing(method: str, resource: Resource) -> Obj:
    names = ("dryRun", "fieldManager", "fieldValidation", *(["force"] if method == "patch" else ()))
    parameters = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names]
    body = {"content": {"application/json": {"schema": _reference(_name(resource))}}}
    return {**_reading(_WRITES[method], resource), "parameters": parameters, "requestBody": body}


def _name(resource: Resource) -> str:
    return model_of(resource) or f"{resource.group}.{resource.version}.{resource.kind}"


def _reference(name: str) -> Obj:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas(resource: Resource) -> Obj:
    found: Obj = {}
    if model := model_of(resource):
        _gather(model, found)
    else:
        _gather("V1ObjectMeta", found)
        found[_name(resource)] = _custom(resource)
    found[_name(resource)]["x-kubernetes-group-version-kind"] = [_kind(resource)]
    return found


def _custom(resource: Resource) -> Obj:
    anything = {"x-kubernetes-preserve-unknown-fields": True}
    known = dict.fromkeys(SPEC_FIELDS.get(resource, ()), anything)
    text = {"type": "string"}
    return {
        "type": "object",
        "properties": {
            "apiVersion": text, "kind": text, "metadata": _reference("V1ObjectMeta"),
            "spec": {"type": "object", "properties": known},
            "status": {"type": "object", **anything},
        },
    }  # fmt: skip


def _gather(model: str, found: Obj) -> None:
    """The schema of a model and of every model that it names."""
    if model in found:
        return
    described: Any = getattr(models, model)
    found[model] = {
        "type": "object",
        "description": (described.__doc__ or "").strip().split("\n\n")[0],
    }
    said = {
        field.alias or name: field.description for name, field in described.model_fields.items()
    }
    properties = {}
    for name, wanted in described.openapi_types.items():
        shown = _typed(wanted, lambda inner: _gather(inner, found))
        member = described.attribute_map[name]
        shown = {"allOf": [shown]} if "$ref" in shown else shown
        properties[member] = shown | {"description": said.get(member) or ""}
    found[model]["properties"] = properties


def _typed(wanted: str, meet: Callable[[str], None]) -> Obj:
    if generic := GENERIC.match(wanted):
        inner = _typed(generic[2], meet)
        if generic[1] == "List":
            return {"type": "array", "items": inner}
        return {"type": "object", "additionalProperties": inner}
    if wanted in _SCALARS:
        return _SCALARS[wanted]
    if getattr(getattr(models, wanted, None), "openapi_types", None):
        meet(wanted)
        return _reference(wanted)
    return {"x-kubernetes-preserve-unknown-fields": True}
