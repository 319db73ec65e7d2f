"""What the server says about itself: version, health, API groups and their resources."""

from typing import NamedTuple

from tiers.twin.kube.resources import NAMESPACES, REGISTRY, Obj, Resource

VERSION: Obj = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2-twin",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2026-06-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "linux/amd64",
}
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_SUBRESOURCE_VERBS = {
    "status": ["get", "patch", "update"],
    "scale": ["get", "patch", "update"],
    "eviction": ["create"],
    "binding": ["create"],
    "finalize": ["update"],
}
_SUBRESOURCE_KINDS = {
    "scale": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
    "eviction": {"group": "policy", "version": "v1", "kind": "Eviction"},
    "binding": {"kind": "Binding"},
}


_IN_ALL = ("Pod", "Deployment", "ReplicaSet", "StatefulSet", "Job", "HorizontalPodAutoscaler")
"""What `kubectl get all` means."""


class Review(NamedTuple):
    """A kind that is answered and never stored."""

    group: str
    version: str
    plural: str
    kind: str


REVIEWS = (
    Review("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    Review("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    Review("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview"),
)


def answer(path: str) -> Obj | None:
    """The document at a discovery path, or None when the path is none of them."""
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if path == "/apis":
        groups = [_group(g, v) for g, v in known_groups().items()]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    parts = path.strip("/").split("/")
    if parts == ["api", "v1"]:
        return _resources("", "v1")
    if parts[0] != "apis" or len(parts) not in (2, 3) or parts[1] not in known_groups():
        return None
    versions = known_groups()[parts[1]]
    if len(parts) == 2:
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1], versions)}
    return _resources(parts[1], parts[2]) if parts[2] in versions else None


def known_groups() -> dict[str, list[str]]:
    return REGISTRY.groups() | {review.group: [review.version] for review in REVIEWS}


def built_in(group: str, version: str) -> bool:
    """Whether this group is the server's own: it then answers 404 with a Status."""
    if group and version not in known_groups().get(group, ()):
        return False
    kinds = [r for r in REGISTRY.resources if r.group == group]
    return not kinds or not all(r.custom for r in kinds)


def _group(name: str, versions: list[str]) -> Obj:
    listed = [{"groupVersion": f"{name}/{v}", "version": v} for v in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _resources(group: str, version: str) -> Obj:
    listed: list[Obj] = []
    for resource in REGISTRY.resources:
        if (resource.group, resource.version) == (group, version):
            listed += _entries(resource)
    for review in REVIEWS:
        if (review.group, review.version) == (group, version):
            listed.append({"name": review.plural, "singularName": review.kind.lower(),
                           "namespaced": False, "kind": review.kind,
                           "verbs": ["create"]})  # fmt: skip
    named = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": named,
            "resources": listed}  # fmt: skip


def _entries(resource: Resource) -> list[Obj]:
    shape: Obj = {"singularName": "", "namespaced": resource.namespaced, "kind": resource.kind}
    verbs = [v for v in _VERBS if resource is not NAMESPACES or v != "deletecollection"]
    main = shape | {
        "name": resource.plural,
        "singularName": resource.kind.lower(),
        "verbs": verbs,
    }
    main |= {"shortNames": list(resource.short_names)} if resource.short_names else {}
    main |= {"categories": ["all"]} if resource.kind in _IN_ALL else {}
    return [main] + [
        shape
        | {"name": f"{resource.plural}/{sub}", "verbs": _SUBRESOURCE_VERBS[sub]}
        | _SUBRESOURCE_KINDS.get(sub, {})
        for sub in resource.subresources
    ]
