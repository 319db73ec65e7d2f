"""Aggregated discovery: every group, version and resource in one document.

https://kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery
"""

from collections.abc import Iterable

from tiers.twin.kube import discovery
from tiers.twin.kube.resources import Obj

MEDIA = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_WANTED = frozenset(MEDIA.split(";"))


def asked_for(accept: str) -> bool:
    """Whether the first form of an Accept header that is written here is this one."""
    for part in accept.split(","):
        words = {word.strip() for word in part.split(";")}
        if words == _WANTED:
            return True
        if words == {"application/json"}:
            return False
    return False


def answer(path: str) -> Obj | None:
    """The document of `/api` or `/apis`, None for any other path."""
    if path == "/api":
        return _document({"": ["v1"]})
    return _document(discovery.known_groups()) if path == "/apis" else None


def _document(groups: dict[str, list[str]]) -> Obj:
    items = [
        {"metadata": {"name": name} if name else {},
         "versions": [_version(name, version) for version in versions]}
        for name, versions in groups.items()
    ]  # fmt: skip
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {}, "items": items}  # fmt: skip


def _version(group: str, version: str) -> Obj:
    place = f"/apis/{group}/{version}" if group else f"/api/{version}"
    listed = (discovery.answer(place) or {})["resources"]
    found = [_resource(group, version, e, listed) for e in listed if "/" not in e["name"]]
    return {"version": version, "resources": found, "freshness": "Current"}


def _resource(group: str, version: str, entry: Obj, listed: Iterable[Obj]) -> Obj:
    own = f"{entry['name']}/"
    below = [
        {"subresource": e["name"].removeprefix(own), "responseKind": _kind(group, version, e),
         "verbs": e["verbs"]}
        for e in listed
        if e["name"].startswith(own)
    ]  # fmt: skip
    found = {
        "resource": entry["name"],
        "responseKind": _kind(group, version, entry),
        "scope": "Namespaced" if entry["namespaced"] else "Cluster",
        "singularResource": entry["singularName"],
        "verbs": entry["verbs"],
    }
    told = {key: entry[key] for key in ("shortNames", "categories") if key in entry}
    return found | told | ({"subresources": below} if below else {})


def _kind(group: str, version: str, entry: Obj) -> Obj:
    told = {"group": entry.get("group", group), "version": entry.get("version", version)}
    return {**told, "kind": entry["kind"]}
