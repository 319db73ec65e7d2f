"""What the server says about itself: version, health, API groups and their resources."""

from tiers.twin.kube.resources import REGISTRY, Obj, Resource

VERSION: Obj = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.2-twin",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2026-06-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "linux/amd64",
}
_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
_SUBRESOURCE_VERBS = {
    "status": ["get", "patch", "update"],
    "scale": ["get", "patch", "update"],
    "eviction": ["create"],
}
_SUBRESOURCE_KINDS = {
    "scale": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
    "eviction": {"group": "policy", "version": "v1", "kind": "Eviction"},
}
REVIEW_GROUP = ("authorization.k8s.io", "v1")
REVIEWS = ("selfsubjectaccessreviews", "selfsubjectrulesreviews")


def answer(path: str) -> Obj | None:
    """The document at a discovery path, or None when the path is none of them."""
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if path == "/apis":
        groups = [_group(g, v) for g, v in _groups().items()]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    parts = path.strip("/").split("/")
    if parts == ["api", "v1"]:
        return _resources("", "v1")
    if parts[0] == "apis" and len(parts) == 2 and parts[1] in _groups():
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1], _groups()[parts[1]])}
    if parts[0] == "apis" and len(parts) == 3 and parts[2] in _groups().get(parts[1], []):
        return _resources(parts[1], parts[2])
    return None


def _groups() -> dict[str, list[str]]:
    return REGISTRY.groups() | {REVIEW_GROUP[0]: [REVIEW_GROUP[1]]}


def _group(name: str, versions: list[str]) -> Obj:
    listed = [{"groupVersion": f"{name}/{v}", "version": v} for v in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _resources(group: str, version: str) -> Obj:
    listed: list[Obj] = []
    for resource in REGISTRY.resources:
        if (resource.group, resource.version) == (group, version):
            listed += _entries(resource)
    if (group, version) == REVIEW_GROUP:
        kinds = ("SelfSubjectAccessReview", "SelfSubjectRulesReview")
        for plural, kind in zip(REVIEWS, kinds, strict=True):
            listed.append({"name": plural, "singularName": kind.lower(), "namespaced": False,
                           "kind": kind, "verbs": ["create"]})  # fmt: skip
    named = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": named,
            "resources": listed}  # fmt: skip


def _entries(resource: Resource) -> list[Obj]:
    shape = {"singularName": "", "namespaced": resource.namespaced, "kind": resource.kind}
    main = shape | {
        "name": resource.plural,
        "singularName": resource.kind.lower(),
        "verbs": _VERBS,
        "shortNames": list(resource.short_names),
    }
    return [main] + [
        shape
        | {"name": f"{resource.plural}/{sub}", "verbs": _SUBRESOURCE_VERBS[sub]}
        | _SUBRESOURCE_KINDS.get(sub, {})
        for sub in resource.subresources
    ]
