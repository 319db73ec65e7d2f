"""ResourceQuota as admission enforces it, and its `status.used`.

Used amounts are counted from the objects themselves whenever a quota is read or a pod is admitted,
so they are never behind; a real quota controller lags by moments.
"""

from collections.abc import Iterable
from decimal import Decimal

from tiers.twin.kube import quantity
from tiers.twin.kube.errors import forbidden
from tiers.twin.kube.resources import PODS, QUOTAS, REGISTRY, Obj, Resource
from tiers.twin.kube.store import ClusterStore

Amounts = dict[str, Decimal]
_COMPUTE = ("cpu", "memory")
_BINARY = ("memory", "storage")


def admit(store: ClusterStore, resource: Resource, obj: Obj, *, dry_run: bool = False) -> None:
    """Raise the 403 of a quota that a new object would exceed; else count it as used."""
    namespace = obj["metadata"].get("namespace", "")
    if not namespace or resource is QUOTAS:
        return
    asked = usage(resource, obj)
    for quota in store.all(QUOTAS, namespace):
        if _covers(quota, resource, obj):
            _admit_to(quota, used_in(store, quota), asked, resource, obj)
            if not dry_run:
                sync(store, quota, extra=asked)


def _admit_to(quota: Obj, used: Amounts, asked: Amounts, resource: Resource, obj: Obj) -> None:
    name = obj["metadata"].get("name", "")
    title, hard = quota["metadata"]["name"], _hard(quota)
    if missing := _missing(hard, obj) if resource is PODS else []:
        why = f"failed quota: {title}: must specify {'; '.join(missing)}"
        raise forbidden(resource, name, why)
    over = [k for k, n in asked.items() if k in hard and n and used.get(k, 0) + n > hard[k]]
    if over:
        parts = (f"{word}: {_text(over, amounts)}" for word, amounts in (
            ("requested", asked), ("used", used), ("limited", hard)))  # fmt: skip
        raise forbidden(resource, name, f"exceeded quota: {title}, {', '.join(parts)}")


def _text(keys: Iterable[str], amounts: Amounts) -> str:
    return ",".join(f"{k}={_show(k, amounts.get(k, Decimal(0)))}" for k in sorted(keys))


def _show(key: str, amount: Decimal) -> str:
    return quantity.show(amount, binary=any(word in key for word in _BINARY))


def _hard(quota: Obj) -> Amounts:
    return {k: quantity.parse(v) for k, v in (quota["spec"].get("hard") or {}).items()}


def _missing(hard: Amounts, pod: Obj) -> list[str]:
    """A quota on cpu or memory makes every container say how much."""
    found = []
    for key in sorted(hard):
        kind, _, name = key.rpartition(".")
        if name in _COMPUTE and kind in ("", "requests", "limits"):
            without = [
                c["name"]
                for c in pod["spec"].get("containers") or ()
                if name not in (c.get("resources", {}).get(kind or "requests") or {})
            ]
            found += [f"{key} for: {','.join(without)}"] if without else []
    return found


def usage(resource: Resource, obj: Obj) -> Amounts:
    """What one object counts for, by the names that quotas use."""
    amounts = {f"count/{resource.qualified}": Decimal(1)}
    if resource is not PODS:
        return amounts
    amounts["pods"] = Decimal(1)
    for kind in ("requests", "limits"):
        for name, amount in _totals(obj["spec"], kind).items():
            amounts[f"{kind}.{name}"] = amount
            if kind == "requests" and name in _COMPUTE:
                amounts[name] = amount
    return amounts


def _totals(spec: Obj, kind: str) -> Amounts:
    """The sum over containers, or the largest init container where that is more."""
    totals: Amounts = {}
    for container in spec.get("containers") or ():
        for name, amount in (container.get("resources", {}).get(kind) or {}).items():
            totals[name] = totals.get(name, Decimal(0)) + quantity.parse(amount)
    for container in spec.get("initContainers") or ():
        for name, amount in (container.get("resources", {}).get(kind) or {}).items():
            totals[name] = max(totals.get(name, Decimal(0)), quantity.parse(amount))
    return totals


def _covers(quota: Obj, resource: Resource, obj: Obj) -> bool:
    """Whether an object counts: a pod that is over does not, and scopes narrow."""
    if resource is not PODS:
        return True
    if obj.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return False
    spec, selector = obj["spec"], quota["spec"].get("scopeSelector") or {}
    effort = obj.get("status", {}).get("qosClass") == "BestEffort"
    ends = spec.get("activeDeadlineSeconds") is not None
    facts = {"BestEffort": effort, "NotBestEffort": not effort,
             "Terminating": ends, "NotTerminating": not ends}  # fmt: skip
    if not all(facts.get(scope, True) for scope in quota["spec"].get("scopes") or ()):
        return False
    return all(_in_scope(e, spec, facts) for e in selector.get("matchExpressions") or ())


def _in_scope(expression: Obj, spec: Obj, facts: dict[str, bool]) -> bool:
    if expression.get("scopeName") != "PriorityClass":
        return facts.get(expression.get("scopeName", ""), True)
    held, values = spec.get("priorityClassName", ""), expression.get("values") or []
    match expression.get("operator"):
        case "In":
            return held in values
        case "NotIn":
            return held not in values
        case "Exists":
            return bool(held)
        case _:
            return not held


def used_in(store: ClusterStore, quota: Obj) -> Amounts:
    """What the objects of a quota's namespace use of what it limits."""
    hard, namespace = _hard(quota), quota["metadata"].get("namespace", "")
    used: Amounts = dict.fromkeys(hard, Decimal(0))
    for resource in REGISTRY.resources:
        counted = resource is PODS or f"count/{resource.qualified}" in hard
        if not resource.namespaced or not counted:
            continue
        for obj in store.all(resource, namespace):
            if _covers(quota, resource, obj):
                for key, amount in usage(resource, obj).items():
                    if key in used:
                        used[key] += amount
    return used


def status(store: ClusterStore, quota: Obj, extra: Amounts | None = None) -> Obj:
    """`status` with hard as in spec, and used as counted now."""
    used = used_in(store, quota)
    for key, amount in (extra or {}).items():
        if key in used:
            used[key] += amount
    return {
        "hard": dict(quota["spec"].get("hard") or {}),
        "used": {key: _show(key, amount) for key, amount in used.items()},
    }


def sync(store: ClusterStore, quota: Obj, extra: Amounts | None = None) -> None:
    """Write a quota's status where it has changed."""
    counted = status(store, quota, extra)
    if quota.get("status") != counted:
        store.put(QUOTAS, {**quota, "status": counted})


def sync_all(store: ClusterStore, namespace: str = "") -> None:
    for quota in store.all(QUOTAS, namespace):
        sync(store, quota)


def release(store: ClusterStore, resource: Resource, gone: Obj) -> None:
    """Count anew where an object has left."""
    if resource is not QUOTAS and (namespace := gone["metadata"].get("namespace")):
        sync_all(store, namespace)
