"""What a kind refuses to hold, and what it refuses to change; only what clients lean on.

Each rule gives causes, `(reason, field, message)`, as a 422 lists them.
"""

import re
from collections.abc import Callable
from typing import Any

from tiers.twin.kube import custom_rules, events, quantity
from tiers.twin.kube.pod_rules import containers, pod, pod_change
from tiers.twin.kube.resources import (
    DEPLOYMENTS,
    EVENTS,
    HPAS,
    JOBS,
    LEASES,
    NODES,
    PDBS,
    PODS,
    PRIORITY_CLASSES,
    QUOTAS,
    REPLICA_SETS,
    RESOURCE_CLAIM_TEMPLATES,
    RESOURCE_CLAIMS,
    RESOURCE_SLICES,
    STATEFUL_SETS,
    Obj,
    Resource,
)
from tiers.twin.kube.selectors import selects
from tiers.twin.kube.values import (
    Causes,
    bad,
    forbidden,
    key_problem,
    required,
    unsupported,
    value_problem,
)

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
SYSTEM_PRIORITY = 1_000_000_000
STATEFUL_SET_MUTABLE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip


def _node(obj: Obj) -> Causes:
    causes: Causes = []
    seen = set()
    for place, taint in enumerate(obj.get("spec", {}).get("taints") or ()):
        field = f"metadata.taints[{place}]"
        if problem := key_problem(str(taint.get("key", ""))):
            causes.append(bad(f"{field}.key", taint.get("key", ""), problem))
        if problem := value_problem(str(taint.get("value") or "")):
            causes.append(bad(f"{field}.value", taint["value"], problem))
        if taint.get("effect") not in EFFECTS:
            causes.append(unsupported(f"{field}.effect", taint.get("effect", ""), EFFECTS))
        if (pair := (taint.get("key"), taint.get("effect"))) in seen:
            why = f"Duplicate value: {taint}: taints must be unique by key and effect pair"
            causes.append(("FieldValueDuplicate", field, why))
        seen.add(pair)
    return causes


def _replicated(obj: Obj) -> Causes:
    spec = obj.get("spec") or {}
    causes = not_negative("spec.replicas", spec.get("replicas", 1))
    if not spec.get("selector"):
        causes.append(required("spec.selector"))
    template = spec.get("template") or {}
    labels = template.get("metadata", {}).get("labels") or {}
    if spec.get("selector") and not selects(spec["selector"], labels):
        why = "`selector` does not match template `labels`"
        causes.append(bad("spec.template.metadata.labels", labels, why))
    return causes + containers("spec.template.spec", template.get("spec") or {})


def not_negative(field: str, value: Any) -> Causes:
    return at_least(field, value, 0)


def at_least(field: str, value: Any, least: int) -> Causes:
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return []
    return [bad(field, value, f"must be greater than or equal to {least}")]


def _budget(obj: Obj) -> Causes:
    spec = obj.get("spec") or {}
    if "minAvailable" in spec and "maxUnavailable" in spec:
        return [bad("spec", spec, "minAvailable and maxUnavailable cannot be both set")]
    given = (
        (f"spec.{key}", spec[key]) for key in ("minAvailable", "maxUnavailable") if key in spec
    )
    return [cause for field, value in given for cause in _count_or_share(field, value)]


def _count_or_share(field: str, value: Any) -> Causes:
    """A number of pods, or a share of them in percent."""
    if not isinstance(value, str):
        return not_negative(field, value)
    if not re.fullmatch(r"[0-9]+%", value):
        return [bad(field, value, "a valid percent string must be a numeric string followed by an "
                                  "ending '%' (e.g. '1%',  or '93%', regex used for validation is "
                                  "'[0-9]+%')")]  # fmt: skip
    return [] if int(value[:-1]) <= 100 else [bad(field, value, "must not be greater than 100%")]


def _autoscaler(obj: Obj) -> Causes:
    spec = obj.get("spec") or {}
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    causes = at_least("spec.minReplicas", least, 1)
    if most < 1:
        causes.append(bad("spec.maxReplicas", most, "must be greater than 0"))
    elif most < least:
        causes.append(
            bad("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
        )
    target = spec.get("scaleTargetRef") or {}
    wanted = (key for key in ("kind", "name") if not target.get(key))
    return causes + [required(f"spec.scaleTargetRef.{key}") for key in wanted]


def _priority(obj: Obj) -> Causes:
    name, value = str(obj["metadata"].get("name", "")), obj.get("value", 0)
    if value > SYSTEM_PRIORITY and not name.startswith("system-"):
        why = f"maximum allowed value of a user defined priority is {SYSTEM_PRIORITY}"
        return [forbidden("value", why)]
    return []


def _lease(obj: Obj) -> Causes:
    spec = obj.get("spec") or {}
    causes: Causes = []
    if (seconds := spec.get("leaseDurationSeconds")) is not None and seconds <= 0:
        causes.append(bad("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    if (turns := spec.get("leaseTransitions")) is not None and turns < 0:
        why = "must be greater than or equal to 0"
        causes.append(bad("spec.leaseTransitions", turns, why))
    return causes


def _quota(obj: Obj) -> Causes:
    causes: Causes = []
    for name, amount in ((obj.get("spec") or {}).get("hard") or {}).items():
        try:
            if quantity.parse(amount) < 0:
                raise ValueError
        except ValueError:
            causes.append(bad(f"spec.hard[{name}]", amount, "must be greater than or equal to 0"))
    return causes


def _slice(obj: Obj) -> Causes:
    spec = obj.get("spec") or {}
    causes = [required(f"spec.{key}") for key in ("driver",) if not spec.get(key)]
    return causes + ([] if (spec.get("pool") or {}).get("name") else [required("spec.pool.name")])


def _job(obj: Obj) -> Causes:
    template = (obj.get("spec") or {}).get("template") or {}
    policy = (template.get("spec") or {}).get("restartPolicy", "Always")
    causes = containers("spec.template.spec", template.get("spec") or {})
    if policy == "Always":
        field = "spec.template.spec.restartPolicy"
        causes.append(required(field, 'valid values: "OnFailure", "Never"'))
    return causes + not_negative("spec.parallelism", obj["spec"].get("parallelism", 0))


CHECKS: dict[Resource, Callable[[Obj], Causes]] = {
    NODES: _node,
    PODS: pod,
    DEPLOYMENTS: _replicated,
    REPLICA_SETS: _replicated,
    STATEFUL_SETS: _replicated,
    JOBS: _job,
    PDBS: _budget,
    HPAS: _autoscaler,
    PRIORITY_CLASSES: _priority,
    LEASES: _lease,
    EVENTS: events.check,
    QUOTAS: _quota,
    RESOURCE_SLICES: _slice,
}


def check(resource: Resource, obj: Obj) -> Causes:
    """What is wrong with an object beyond its metadata."""
    if resource.custom:
        return custom_rules.check(resource, obj)
    return CHECKS[resource](obj) if resource in CHECKS else []


# Changes


def _node_change(before: Obj, after: Obj) -> Causes:
    held, wanted = (o["spec"].get("providerID") for o in (before, after))
    why = 'node updates may not change providerID except from "" to valid'
    return [forbidden("spec.providerID", why)] if held and wanted != held else []


def _selector_change(before: Obj, after: Obj) -> Causes:
    held, wanted = (o["spec"].get("selector") for o in (before, after))
    return [] if held == wanted else [bad("spec.selector", wanted, "field is immutable")]


def _stateful_set_change(before: Obj, after: Obj) -> Causes:
    held, wanted = (
        {k: v for k, v in o["spec"].items() if k not in STATEFUL_SET_MUTABLE}
        for o in (before, after)
    )
    listed = "', '".join(STATEFUL_SET_MUTABLE[:-1])
    why = (
        f"updates to statefulset spec for fields other than '{listed}' and "
        f"'{STATEFUL_SET_MUTABLE[-1]}' are forbidden"
    )
    return [] if held == wanted else [forbidden("spec", why)]


def _job_change(before: Obj, after: Obj) -> Causes:
    frozen: tuple[str, ...] = ("completions", "selector", "completionMode")
    if not before["spec"].get("suspend"):
        frozen = (*frozen, "template")
    return [
        bad(f"spec.{key}", after["spec"].get(key), "field is immutable")
        for key in frozen
        if before["spec"].get(key) != after["spec"].get(key)
    ]


def _priority_change(before: Obj, after: Obj) -> Causes:
    same = before.get("value") == after.get("value")
    return [] if same else [forbidden("value", "may not be changed in an update.")]


def _spec_change(before: Obj, after: Obj) -> Causes:
    same = before.get("spec") == after.get("spec")
    return [] if same else [bad("spec", after.get("spec"), "field is immutable")]


CHANGES: dict[Resource, Callable[[Obj, Obj], Causes]] = {
    NODES: _node_change,
    PODS: pod_change,
    DEPLOYMENTS: _selector_change,
    REPLICA_SETS: _selector_change,
    STATEFUL_SETS: _stateful_set_change,
    JOBS: _job_change,
    PRIORITY_CLASSES: _priority_change,
    RESOURCE_CLAIMS: _spec_change,
    RESOURCE_CLAIM_TEMPLATES: _spec_change,
}


def check_change(resource: Resource, before: Obj, after: Obj) -> Causes:
    """What an update may not change."""
    if resource.custom:
        return custom_rules.check_change(resource, before, after)
    return CHANGES[resource](before, after) if resource in CHANGES else []
