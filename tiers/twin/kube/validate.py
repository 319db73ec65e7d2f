"""What the API refuses to store, and the defaults it fills in; only what clients lean on."""

import re
from typing import Any

from tiers.twin.kube.errors import ApiError, bad_request, invalid
from tiers.twin.kube.resources import (
    DEPLOYMENTS,
    JOBS,
    NAMESPACES,
    NODES,
    PDBS,
    PODS,
    REPLICA_SETS,
    Obj,
    Resource,
)  # fmt: skip
from tiers.twin.kube.selectors import selects
from tiers.twin.kube.store import json_copy

Causes = list[tuple[str, str, str]]
_NAME = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_LABEL_NAME = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
POD_IMMUTABLE = "pod updates may not change fields other than image, tolerations (additions)"


def check_identity(resource: Resource, obj: Any, namespace: str, name: str) -> Obj:
    """The body of a write, agreeing with the path it was sent to. Raises a 400."""
    if not isinstance(obj, dict) or not isinstance(obj.get("metadata", {}), dict):
        raise bad_request("the object provided is unrecognized (must be of type " + resource.kind)
    given = (obj.get("apiVersion", resource.api_version), obj.get("kind", resource.kind))
    if given != (resource.api_version, resource.kind):
        raise bad_request(
            f"{given[1]} in version {given[0]!r} cannot be handled as a {resource.kind}"
        )
    metadata = dict(obj.get("metadata") or {})
    if metadata.get("namespace", namespace) != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if name and metadata.get("name", name) != name:
        raise bad_request(
            "the name of the object does not match the name on the URL "
            f"({metadata.get('name')} and {name})"
        )
    if namespace:
        metadata["namespace"] = namespace
    if name:
        metadata["name"] = name
    return {**obj, "metadata": metadata}


def check(resource: Resource, obj: Obj) -> None:
    """Raise a 422 that names every wrong field."""
    metadata = obj["metadata"]
    causes: Causes = []
    name = str(metadata.get("name", ""))
    if not name:
        causes.append(("FieldValueRequired", "metadata.name", "Required value"))
    elif not _NAME.match(name) or len(name) > 253:
        causes.append(_bad("metadata.name", name, "a lowercase RFC 1123 subdomain is needed"))
    causes += _labels("metadata.labels", metadata.get("labels") or {})
    causes += _annotations(metadata.get("annotations") or {})
    causes += _KIND_CHECKS[resource](obj) if resource in _KIND_CHECKS else []
    if causes:
        raise invalid(resource, name, causes)


def _bad(field: str, value: Any, why: str) -> tuple[str, str, str]:
    return ("FieldValueInvalid", field, f'Invalid value: "{value}": {why}')


def _key_ok(key: str) -> bool:
    prefix, _, name = key.rpartition("/")
    return bool(_LABEL_NAME.match(name)) and len(name) <= 63 and (not prefix or _is_name(prefix))


def _is_name(text: str) -> bool:
    return bool(_NAME.match(text))


def _labels(field: str, labels: Obj) -> Causes:
    causes = [_bad(field, key, "not a qualified name") for key in labels if not _key_ok(key)]
    for value in labels.values():
        if not isinstance(value, str) or not _LABEL_VALUE.match(value) or len(value) > 63:
            causes.append(_bad(field, value, "not a label value of at most 63 characters"))
    return causes


def _annotations(annotations: Obj) -> Causes:
    return [
        _bad("metadata.annotations", key, "a qualified name with a string value is needed")
        for key, value in annotations.items()
        if not _key_ok(key.lower()) or not isinstance(value, str)
    ]


def _node(obj: Obj) -> Causes:
    causes: Causes = []
    seen = set()
    for place, taint in enumerate(obj.get("spec", {}).get("taints") or ()):
        field = f"spec.taints[{place}]"
        if not _key_ok(str(taint.get("key", ""))):
            causes.append(_bad(f"{field}.key", taint.get("key"), "not a qualified name"))
        if taint.get("effect") not in EFFECTS:
            causes.append(
                ("FieldValueNotSupported", f"{field}.effect",
                 f'Unsupported value: "{taint.get("effect")}"')
            )  # fmt: skip
        if (pair := (taint.get("key"), taint.get("effect"))) in seen:
            causes.append(
                ("FieldValueDuplicate", field, "taints must be unique by key and effect pair")
            )
        seen.add(pair)
    return causes


def _replicated(obj: Obj) -> Causes:
    spec = obj.get("spec") or {}
    causes = _count("spec.replicas", spec.get("replicas", 1))
    if not spec.get("selector"):
        causes.append(("FieldValueRequired", "spec.selector", "Required value"))
    labels = (spec.get("template") or {}).get("metadata", {}).get("labels") or {}
    if spec.get("selector") and not selects(spec["selector"], labels):
        why = "`selector` does not match template `labels`"
        causes.append(_bad("spec.template.metadata.labels", labels, why))
    return causes + _containers("spec.template.spec", (spec.get("template") or {}).get("spec", {}))


def _count(field: str, value: Any) -> Causes:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return []
    return [_bad(field, value, "must be greater than or equal to 0")]


def _containers(field: str, spec: Obj) -> Causes:
    if spec.get("containers"):
        return []
    return [("FieldValueRequired", f"{field}.containers", "Required value")]


def _pdb(obj: Obj) -> Causes:
    spec = obj.get("spec") or {}
    if "minAvailable" in spec and "maxUnavailable" in spec:
        return [_bad("spec", spec, "minAvailable and maxUnavailable cannot be both set")]
    return []


_KIND_CHECKS = {
    NODES: _node,
    PODS: lambda obj: _containers("spec", obj.get("spec") or {}),
    DEPLOYMENTS: _replicated,
    REPLICA_SETS: _replicated,
    JOBS: lambda o: (
        _containers("spec.template.spec", o["spec"].get("template", {}).get("spec", {}))
        if o.get("spec")
        else [("FieldValueRequired", "spec", "Required value")]
    ),
    PDBS: _pdb,
}


def check_update(resource: Resource, before: Obj, after: Obj) -> None:
    """Refuse changes of what may not change (pod spec, selector of a Deployment)."""
    name = before["metadata"]["name"]
    if resource is PODS and _frozen(before) != _frozen(after):
        raise invalid(
            resource, name, [("FieldValueForbidden", "spec", "Forbidden: " + POD_IMMUTABLE)]
        )
    held, wanted = ((o.get("spec") or {}).get("selector") for o in (before, after))
    if resource in (DEPLOYMENTS, REPLICA_SETS) and held != wanted:
        raise invalid(resource, name, [_bad("spec.selector", wanted, "field is immutable")])


def _frozen(pod: Obj) -> Obj:
    spec = {k: v for k, v in (pod.get("spec") or {}).items() if k != "tolerations"}
    spec["containers"] = [{**c, "image": ""} for c in spec.get("containers") or ()]
    return spec


def with_defaults(resource: Resource, obj: Obj) -> Obj:
    """The fields a server fills in on create, on a copy."""
    obj = json_copy(obj)
    spec = obj.setdefault("spec", {}) if resource.kind != "Event" else {}
    if resource is PODS:
        _pod_defaults(spec)
        obj["status"] = {"phase": "Pending", "qosClass": "Burstable"}
    elif resource in (DEPLOYMENTS, REPLICA_SETS):
        spec.setdefault("replicas", 1)
        _pod_defaults(spec.get("template", {}).get("spec", {}))
        obj["status"] = {"replicas": 0} if resource is REPLICA_SETS else {}
    elif resource is NAMESPACES:
        spec.setdefault("finalizers", ["kubernetes"])
        obj["status"] = {"phase": "Active"}
    elif resource is PDBS:
        zero = dict.fromkeys(
            ("currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods"), 0
        )
        obj["status"] = zero
    elif resource.has_status and resource is not NODES:
        obj["status"] = {}
    return obj


def _pod_defaults(spec: Obj) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    for container in spec.get("containers") or ():
        container.setdefault("imagePullPolicy", "IfNotPresent")
        resources = container.setdefault("resources", {})
        if "limits" in resources:
            resources["requests"] = {**resources["limits"], **resources.get("requests", {})}


def check_uid(resource: Resource, name: str, held: str, asked: str | None) -> None:
    """409 when a precondition names another object of the same name."""
    if asked and asked != held:
        raise ApiError(
            409, "Conflict",
            f'Operation cannot be fulfilled on {resource.qualified} "{name}": Precondition failed: '
            f"UID in precondition: {asked}, UID in object meta: {held}",
            {"name": name, "kind": resource.plural},
        )  # fmt: skip
