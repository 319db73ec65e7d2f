"""What the CRDs' schemas, their CEL rules and their webhooks refuse; only what clients lean on."""

from collections.abc import Iterable, Iterator
from typing import Any

from tiers.twin.kube import quantity
from tiers.twin.kube.resources import (
    CLUSTER_QUEUES,
    HTTP_ROUTES,
    LEADER_WORKER_SETS,
    LOCAL_QUEUES,
    MACHINE_DEPLOYMENTS,
    MACHINES,
    NODE_CLAIMS,
    NODE_POOLS,
    SCALED_OBJECTS,
    TOPOLOGIES,
    WORKLOADS,
    Obj,
    Resource,
)
from tiers.twin.kube.values import Causes, bad, required, unsupported

_STOP = ("None", "Hold", "HoldAndDrain")
_REQUIRED: dict[Resource, tuple[str, ...]] = {
    SCALED_OBJECTS: ("spec.scaleTargetRef.name", "spec.triggers"),
    LEADER_WORKER_SETS: ("spec.leaderWorkerTemplate.workerTemplate",),
    NODE_POOLS: (
        "spec.template.spec.nodeClassRef", "spec.template.spec.requirements",
    ),
    NODE_CLAIMS: ("spec.nodeClassRef", "spec.requirements"),
    MACHINE_DEPLOYMENTS: ("spec.clusterName", "spec.selector", "spec.template"),
    MACHINES: ("spec.clusterName", "spec.bootstrap", "spec.infrastructureRef"),
    TOPOLOGIES: ("spec.levels",),
    WORKLOADS: ("spec.podSets",),
}  # fmt: skip
_INTEGERS: dict[Resource, dict[str, tuple[int, int | None]]] = {
    SCALED_OBJECTS: {
        "spec.minReplicaCount": (0, None), "spec.maxReplicaCount": (0, None),
        "spec.idleReplicaCount": (0, None), "spec.pollingInterval": (0, None),
        "spec.cooldownPeriod": (0, None),
    },
    LEADER_WORKER_SETS: {"spec.replicas": (0, None), "spec.leaderWorkerTemplate.size": (1, None)},
    NODE_POOLS: {"spec.replicas": (0, None), "spec.weight": (1, 100)},
    MACHINE_DEPLOYMENTS: {"spec.replicas": (0, None)},
    WORKLOADS: {"spec.maximumExecutionTimeSeconds": (1, None)},
}  # fmt: skip
_ENUMS: dict[Resource, dict[str, tuple[str, ...]]] = {
    CLUSTER_QUEUES: {
        "spec.stopPolicy": _STOP,
        "spec.queueingStrategy": ("StrictFIFO", "BestEffortFIFO"),
        "spec.preemption.withinClusterQueue": (
            "Never", "LowerPriority", "LowerOrNewerEqualPriority",
        ),
        "spec.preemption.reclaimWithinCohort": ("Never", "LowerPriority", "Any"),
    },
    LOCAL_QUEUES: {"spec.stopPolicy": _STOP},
    LEADER_WORKER_SETS: {"spec.startupPolicy": ("LeaderCreated", "LeaderReady")},
    NODE_POOLS: {
        "spec.disruption.consolidationPolicy": ("WhenEmpty", "WhenEmptyOrUnderutilized"),
    },
}  # fmt: skip
_BOOLEANS: dict[Resource, tuple[str, ...]] = {WORKLOADS: ("spec.active",)}
_LONGEST: dict[Resource, dict[str, int]] = {
    CLUSTER_QUEUES: {"spec.resourceGroups": 16},
    WORKLOADS: {"spec.podSets": 8},
    HTTP_ROUTES: {"spec.rules": 16, "spec.hostnames": 16, "spec.parentRefs": 32},
}
_IMMUTABLE: dict[Resource, tuple[str, ...]] = {
    LOCAL_QUEUES: ("spec.clusterQueue",),
    MACHINE_DEPLOYMENTS: ("spec.clusterName", "spec.selector"),
    MACHINES: ("spec.clusterName",),
    LEADER_WORKER_SETS: ("spec.networkConfig.subdomainPolicy",),
    NODE_CLAIMS: ("spec",),
}
_MISSING = object()


def _at(obj: Obj, path: str) -> Any:
    node: Any = obj
    for name in path.split("."):
        if not isinstance(node, dict) or name not in node:
            return _MISSING
        node = node[name]
    return node


def check(resource: Resource, obj: Obj) -> Causes:
    """What is wrong with a custom object's spec."""
    causes: Causes = [
        required(path) for path in _REQUIRED.get(resource, ()) if _at(obj, path) is _MISSING
    ]
    for path, bounds in _INTEGERS.get(resource, {}).items():
        causes += _integer(path, _at(obj, path), *bounds)
    for path, words in _ENUMS.get(resource, {}).items():
        if (value := _at(obj, path)) is not _MISSING and value not in words:
            causes.append(unsupported(path, value, words))
    for path in _BOOLEANS.get(resource, ()):
        value = _at(obj, path)
        if value is not _MISSING and not isinstance(value, bool):
            causes.append(_wrong_type(path, value, "boolean"))
    for path, most in _LONGEST.get(resource, {}).items():
        value = _at(obj, path)
        if isinstance(value, list) and len(value) > most:
            why = f"Too many: {len(value)}: must have at most {most} items"
            causes.append(("FieldValueTooMany", path, why))
    if resource is HTTP_ROUTES:
        return causes + _route(obj)
    return causes + (_queue(obj) if resource is CLUSTER_QUEUES else [])


def _route(obj: Obj) -> Causes:
    """Gateway API: a backend has a name, and its weight is 0 to a million."""
    causes: Causes = []
    for place, rule in enumerate(_list(obj.get("spec", {}).get("rules"))):
        for at, ref in enumerate(_list(rule.get("backendRefs"))):
            field = f"spec.rules[{place}].backendRefs[{at}]"
            if not ref.get("name"):
                causes.append(required(f"{field}.name"))
            causes += _integer(f"{field}.weight", ref.get("weight", _MISSING), 0, 1_000_000)
    return causes


def _integer(path: str, value: Any, least: int, most: int | None) -> Causes:
    if value is _MISSING:
        return []
    if not isinstance(value, int) or isinstance(value, bool):
        return [_wrong_type(path, value, "integer")]
    if value < least:
        why = f"{path} in body should be greater than or equal to {least}"
        return [bad(path, value, why)]
    if most is not None and value > most:
        return [bad(path, value, f"{path} in body should be less than or equal to {most}")]
    return []


def _wrong_type(path: str, value: Any, wanted: str) -> tuple[str, str, str]:
    names = {str: "string", bool: "boolean", list: "array", dict: "object", float: "number"}
    shown = names.get(type(value), "integer")
    why = f'Invalid value: "{shown}": {path} in body must be of type {wanted}: "{shown}"'
    return ("FieldValueTypeInvalid", path, why)


def _queue(obj: Obj) -> Causes:
    """Kueue's webhook: covered resources match each flavour's, and quotas are amounts."""
    causes: Causes = []
    seen: set[str] = set()
    for place, group in enumerate(_list(obj.get("spec", {}).get("resourceGroups"))):
        field = f"spec.resourceGroups[{place}]"
        covered = list(group.get("coveredResources") or ())
        for name in seen.intersection(covered):
            causes.append(("FieldValueDuplicate", f"{field}.coveredResources",
                           f'Duplicate value: "{name}"'))  # fmt: skip
        seen.update(covered)
        for at, flavor in enumerate(_list(group.get("flavors"))):
            causes += _flavor(f"{field}.flavors[{at}]", flavor, covered, obj["spec"])
    return causes


def _flavor(field: str, flavor: Obj, covered: list[str], spec: Obj) -> Causes:
    resources = list(_list(flavor.get("resources")))
    causes: Causes = []
    if [r.get("name") for r in resources] != covered:
        why = "must have the same resources, in the same order, as coveredResources"
        causes.append(bad(f"{field}.resources", [r.get("name") for r in resources], why))
    for place, quota in enumerate(resources):
        at = f"{field}.resources[{place}]"
        if "nominalQuota" not in quota:
            causes.append(required(f"{at}.nominalQuota"))
        for key in ("nominalQuota", "borrowingLimit", "lendingLimit"):
            causes += _amount(f"{at}.{key}", quota.get(key))
            limited = key != "nominalQuota" and quota.get(key) is not None
            if limited and not spec.get("cohortName"):
                causes.append(bad(f"{at}.{key}", quota[key], "must be nil when cohort is empty"))
    return causes


def _amount(field: str, value: Any) -> Causes:
    if value is None:
        return []
    try:
        fine = quantity.parse(value) >= 0
    except ValueError:
        return [bad(field, value, "quantities must match the regular expression")]
    return [] if fine else [bad(field, value, "must be greater than or equal to 0")]


def _list(value: Any) -> Iterator[Obj]:
    items: Iterable[Any] = value if isinstance(value, list) else ()
    return (item for item in items if isinstance(item, dict))


def check_change(resource: Resource, before: Obj, after: Obj) -> Causes:
    """Fields that may not change; a Workload's pod sets once its quota is reserved."""
    paths = _IMMUTABLE.get(resource, ())
    if resource is WORKLOADS and _reserved(before):
        paths = ("spec.podSets",)
    return [
        bad(path, _shown(after, path), "field is immutable")
        for path in paths
        if _at(before, path) is not _MISSING and _at(before, path) != _at(after, path)
    ]


def _shown(obj: Obj, path: str) -> Any:
    value = _at(obj, path)
    return None if value is _MISSING else value


def _reserved(workload: Obj) -> bool:
    conditions = (workload.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "QuotaReserved" and c.get("status") == "True" for c in conditions)
