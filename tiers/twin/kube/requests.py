"""An HTTP request read as an API request: resource, namespace, name, subresource, verb, options."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tiers.twin.kube.errors import bad_request, method_not_allowed, no_such_path
from tiers.twin.kube.resources import REGISTRY, Resource

_NAMESPACE_PARTS = ("status", "finalize")
_ITEM_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_SUBRESOURCE_VERBS = {
    "status": ("get", "update", "patch"),
    "scale": ("get", "update", "patch"),
    "eviction": ("create",),
}


@dataclass(frozen=True)
class Target:
    """Where in the API a path points."""

    resource: Resource
    namespace: str
    name: str
    subresource: str


def read_path(path: str) -> Target:
    """The target of a path. Raises a 404 for what this server does not serve."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise no_such_path()
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in _NAMESPACE_PARTS:
        namespace, rest = rest[1], rest[2:]
    resource = REGISTRY.by_path(group, version, rest[0])
    if resource is None or len(rest) > 3 or (namespace and not resource.namespaced):
        raise no_such_path()
    name, subresource = (*rest[1:], "", "")[:2]
    if subresource and subresource not in resource.subresources:
        raise no_such_path()
    if name and resource.namespaced and not namespace:
        raise no_such_path()
    return Target(resource, namespace, name, subresource)


def verb_of(method: str, target: Target, query: Mapping[str, str]) -> str:
    """The RBAC verb of a request. Raises a 405 where the API has no such call."""
    if target.subresource:
        verb = "create" if method == "POST" else _ITEM_VERBS.get(method, "")
        if verb in _SUBRESOURCE_VERBS[target.subresource]:
            return verb
        raise method_not_allowed()
    if target.name:
        if verb := _ITEM_VERBS.get(method, ""):
            return verb
        raise method_not_allowed()
    if method == "GET":
        return "watch" if query.get("watch") in ("1", "true", "True") else "list"
    if method == "POST" and (target.namespace or not target.resource.namespaced):
        return "create"
    raise method_not_allowed()


def dry_run_of(query: Mapping[str, str], body: Any = None) -> bool:
    """Whether nothing may be stored, said in the query or in DeleteOptions. Raises a 400."""
    options = body if isinstance(body, dict) else {}
    options = options.get("deleteOptions") or options
    given = [v for v in (query.get("dryRun"), *(options.get("dryRun") or ())) if v]
    if any(value != "All" for value in given):
        raise bad_request(f"Invalid value: {given}: dryRun: Unsupported value: supported: All")
    return bool(given)


def number(query: Mapping[str, str], key: str) -> int | None:
    """A non-negative integer of the query, None when absent. Raises a 400."""
    text = query.get(key, "")
    if not text:
        return None
    if not text.isdigit():
        raise bad_request(f"{key}: Invalid value: {text!r}")
    return int(text)


def read_body(raw: bytes, content_type: str) -> Any:
    """The body as JSON data; YAML where the content type says so. Raises a 400."""
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError as err:
        if "yaml" not in content_type:
            raise bad_request(f"error decoding the body: {err}") from err
    try:
        return yaml.safe_load(raw)
    except yaml.YAMLError as err:
        raise bad_request(f"error decoding the body: {err}") from err


def manager_of(query: Mapping[str, str], user_agent: str) -> str:
    """The field manager: as given, else the user agent up to its version, as the server does."""
    return query.get("fieldManager") or user_agent.split("/", 1)[0][:128] or "unknown"
