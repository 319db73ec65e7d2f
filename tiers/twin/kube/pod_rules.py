"""What a pod, and the template of one, may not hold; what of a pod may not change."""

from tiers.twin.kube import quantity
from tiers.twin.kube.resources import Obj
from tiers.twin.kube.values import (
    Causes,
    bad,
    forbidden,
    key_problem,
    name_problem,
    required,
    unsupported,
    value_problem,
)

POD_IMMUTABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was previously negative)"
)

TOLERATIONS_STAY = "existing toleration can not be modified except its tolerationSeconds"
OPERATORS = ("Equal", "Exists", "Gt", "Lt")
RESTARTS = ("Always", "OnFailure", "Never")


def pod(obj: Obj) -> Causes:
    spec = obj.get("spec") or {}
    policy = spec.get("restartPolicy", "Always")
    wrong = [] if policy in RESTARTS else [unsupported("spec.restartPolicy", policy, RESTARTS)]
    return containers("spec", spec) + wrong + _placing(spec)


def _placing(spec: Obj) -> Causes:
    """Where a pod may go: labels of nodes, and taints that it bears."""
    causes: Causes = []
    for key, value in (spec.get("nodeSelector") or {}).items():
        if problem := key_problem(key) or value_problem(str(value)):
            causes.append(bad("spec.nodeSelector", key, problem))
    for place, toleration in enumerate(spec.get("tolerations") or ()):
        at, operator = f"spec.tolerations[{place}]", toleration.get("operator", "Equal")
        if operator not in OPERATORS:
            causes.append(unsupported(f"{at}.operator", operator, OPERATORS))
        if not toleration.get("key") and operator != "Exists":
            why = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'  # noqa: E501
            causes.append(bad(f"{at}.operator", operator, why))
        if operator == "Exists" and toleration.get("value"):
            why = "value must be empty when `operator` is 'Exists'"
            causes.append(bad(f"{at}.operator", toleration["value"], why))
    return causes


def containers(field: str, spec: Obj) -> Causes:
    if not spec.get("containers"):
        return [required(f"{field}.containers")]
    causes: Causes = []
    names: set[str] = set()
    for place, container in enumerate(spec["containers"]):
        at = f"{field}.containers[{place}]"
        if (name := container.get("name")) in names:
            causes.append(("FieldValueDuplicate", f"{at}.name", f'Duplicate value: "{name}"'))
        names.add(name)
        if name and (problem := name_problem(name, label=True)):
            causes.append(bad(f"{at}.name", name, problem))
        causes += [required(f"{at}.{key}") for key in ("name", "image") if not container.get(key)]
        causes += _amounts(f"{at}.resources", container.get("resources") or {})
    return causes


def _amounts(field: str, resources: Obj) -> Causes:
    causes = _whole(field, resources)
    limits = resources.get("limits") or {}
    for name, asked in (resources.get("requests") or {}).items():
        extended = "/" in name
        if extended and name not in limits:
            causes.append(required(f"{field}.limits", "Limit must be set for non overcommitable resources"))  # fmt: skip  # noqa: E501
        if name in limits and quantity.parse(asked) > quantity.parse(limits[name]):
            causes.append(bad(f"{field}.requests", asked, f"must be less than or equal to {name} limit of {limits[name]}"))  # fmt: skip  # noqa: E501
        elif extended and name in limits and quantity.parse(asked) != quantity.parse(limits[name]):
            causes.append(bad(f"{field}.requests", asked, f"must be equal to {name} limit of {limits[name]}"))  # fmt: skip  # noqa: E501
    return causes


def _whole(field: str, resources: Obj) -> Causes:
    """Amounts are not negative, and of an extended resource there are whole ones alone."""
    causes: Causes = []
    for kind in ("limits", "requests"):
        for name, asked in (resources.get(kind) or {}).items():
            amount, at = quantity.parse(asked), f"{field}.{kind}[{name}]"
            if amount < 0:
                causes.append(bad(at, asked, "must be greater than or equal to 0"))
            if "/" in name and amount != amount.to_integral_value():
                causes.append(bad(at, asked, "must be an integer"))
    return causes


# Changes


def pod_change(before: Obj, after: Obj) -> Causes:
    held, wanted = (o["spec"].get("tolerations") or [] for o in (before, after))
    kept = {_untimed(t) for t in held} <= {_untimed(t) for t in wanted}
    causes = [] if kept else [forbidden("spec.tolerations", TOLERATIONS_STAY)]
    if _frozen(before) != _frozen(after):
        causes.append(forbidden("spec", POD_IMMUTABLE))
    return causes


def _untimed(toleration: Obj) -> tuple[str, ...]:
    return tuple(str(toleration.get(k, "")) for k in ("key", "operator", "value", "effect"))


def _frozen(pod: Obj) -> Obj:
    free = ("tolerations", "activeDeadlineSeconds", "schedulingGates")
    spec = {k: v for k, v in (pod.get("spec") or {}).items() if k not in free}
    for key in ("containers", "initContainers"):
        spec[key] = [{**c, "image": ""} for c in spec.get(key) or ()]
    return spec
