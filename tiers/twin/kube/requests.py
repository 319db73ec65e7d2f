"""An HTTP request read as an API request: resource, namespace, name, subresource, verb, options."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tiers.twin.kube import protobuf
from tiers.twin.kube.discovery import built_in
from tiers.twin.kube.errors import (
    NoSuchPath,
    bad_request,
    invalid_options,
    method_not_allowed,
    no_such_path,
    unsupported_media,
)
from tiers.twin.kube.resources import NAMESPACES, REGISTRY, Resource
from tiers.twin.kube.values import forbidden, too_long, unsupported

_NAMESPACE_PARTS = ("status", "finalize")
_ITEM_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_SUBRESOURCE_VERBS = {
    "status": ("get", "update", "patch"),
    "scale": ("get", "update", "patch"),
    "eviction": ("create",),
    "binding": ("create",),
    "finalize": ("update",),
}


@dataclass(frozen=True)
class Target:
    """Where in the API a path points."""

    resource: Resource
    namespace: str
    name: str
    subresource: str


def read_path(path: str) -> Target:
    """The target of a path.

    Raises:
        ApiError: a 404 for what this server does not serve of its own groups.
        NoSuchPath: nothing of the server lies there.
    """
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise NoSuchPath
    namespace = ""
    unknown = no_such_path() if built_in(group, version) else NoSuchPath()
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in _NAMESPACE_PARTS:
        namespace, rest = rest[1], rest[2:]
    resource = REGISTRY.by_path(group, version, rest[0])
    if resource is None or len(rest) > 3 or (namespace and not resource.namespaced):
        raise unknown
    name, subresource = (*rest[1:], "", "")[:2]
    if subresource and subresource not in resource.subresources:
        raise unknown
    if name and resource.namespaced and not namespace:
        raise unknown
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
    here = target.namespace or not target.resource.namespaced
    if method == "POST" and here:
        return "create"
    if method == "DELETE" and here and target.resource is not NAMESPACES:
        return "deletecollection"
    raise method_not_allowed()


_OPTIONS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}
_VALIDATIONS = ("Ignore", "Strict", "Warn")
_LONGEST_MANAGER = 128


def dry_run_of(query: Mapping[str, str], verb: str, body: Any = None) -> bool:
    """Whether nothing may be stored, said in the query or in DeleteOptions. Raises a 422."""
    options = body if isinstance(body, dict) else {}
    options = options.get("deleteOptions") or options
    given = [v for v in (query.get("dryRun"), *(options.get("dryRun") or ())) if v]
    if any(value != "All" for value in given):
        problem = unsupported("dryRun", given, ("All",))
        raise invalid_options(_OPTIONS.get(verb, "DeleteOptions"), problem)
    return bool(given)


def validation_of(query: Mapping[str, str], verb: str) -> str:
    """What unknown fields lead to; `Warn` unless said. Raises a 422."""
    given = query.get("fieldValidation") or "Warn"
    if given not in _VALIDATIONS:
        problem = unsupported("fieldValidation", given, _VALIDATIONS)
        raise invalid_options(_OPTIONS.get(verb, "PatchOptions"), problem)
    return given


def check_patch_options(query: Mapping[str, str], *, applies: bool) -> None:
    """`force` belongs to an apply alone. Raises a 422."""
    if "force" in query and not applies:
        problem = forbidden("force", "may not be specified for non-apply patch")
        raise invalid_options("PatchOptions", problem)


def number(query: Mapping[str, str], key: str) -> int | None:
    """A non-negative integer of the query, None when absent. Raises a 400."""
    text = query.get(key, "")
    if not text:
        return None
    if not text.isdigit():
        raise bad_request(f"{key}: Invalid value: {text!r}")
    return int(text)


def grace_of(query: Mapping[str, str]) -> int | None:
    """The grace of a delete in seconds; less than none is told as one. Raises a 400."""
    text = query.get("gracePeriodSeconds", "")
    return 1 if text[:1] == "-" and text[1:].isdigit() else number(query, "gracePeriodSeconds")


def check_reread(query: Mapping[str, str]) -> None:
    """Raise a 400 for a page of a list that was to be of another version than its first."""
    if query.get("continue") and query.get("resourceVersion", "0") not in ("", "0"):
        raise bad_request("specifying resource version is not allowed when using continue")


def read_body(raw: bytes, content_type: str) -> Any:
    """The body as JSON data; YAML where the content type says so. Raises a 400."""
    if not raw:
        return None
    if content_type == protobuf.MEDIA:
        read = protobuf.read(raw)
        if read is None:
            raise unsupported_media(BODIES)
        return read
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
    if len(query.get("fieldManager", "")) > _LONGEST_MANAGER:
        raise invalid_options("PatchOptions", too_long("fieldManager", _LONGEST_MANAGER))
    return query.get("fieldManager") or user_agent.split("/", 1)[0][:128] or "unknown"


BODIES = ("application/json", "application/yaml")
_MEDIA = (*BODIES, protobuf.MEDIA)


def check_body_type(header: str) -> None:
    """Raise a 415 for a body in a form that is not read here; none said means JSON."""
    if header and header.split(";", 1)[0].strip() not in _MEDIA:
        raise unsupported_media(_MEDIA)
