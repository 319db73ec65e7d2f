"""Keeps the status of every PodDisruptionBudget, as the disruption controller does."""

from datetime import datetime
from math import ceil
from typing import Any

from tiers.twin.controllers import pods
from tiers.twin.kube.resources import (
    DEPLOYMENTS,
    JOBS,
    PDBS,
    PODS,
    REPLICA_SETS,
    STATEFUL_SETS,
    Obj,
)
from tiers.twin.kube.selectors import selects
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.times import parse_time

# A pod evicted longer ago than this and still here is taken back into the budget.
DISRUPTED_TIMEOUT_S = 120.0


def tick(store: ClusterStore, now: datetime) -> None:
    budgets = store.all(PDBS)
    by_label = _by_label(store) if budgets else {}
    for pdb in budgets:
        covered = [
            pod
            for pod in _candidates(store, pdb, by_label)
            if selects(pdb["spec"].get("selector"), pod["metadata"].get("labels") or {})
            and not pods.is_over(pod)
        ]
        store.put(PDBS, {**pdb, "status": _status(store, pdb, covered, now)})


Labelled = dict[tuple[str, str, str], list[Obj]]


def _by_label(store: ClusterStore) -> Labelled:
    """Pods by namespace, label and value: hundreds of budgets need not look at every pod."""
    found: Labelled = {}
    for pod in store.all(PODS):
        for key, value in (pod["metadata"].get("labels") or {}).items():
            found.setdefault((pod["metadata"]["namespace"], key, value), []).append(pod)
    return found


def _candidates(store: ClusterStore, pdb: Obj, by_label: Labelled) -> list[Obj]:
    namespace = pdb["metadata"]["namespace"]
    exact = (pdb["spec"].get("selector") or {}).get("matchLabels") or {}
    for key, value in exact.items():
        return by_label.get((namespace, key, value), [])
    return store.all(PODS, namespace)


def _status(store: ClusterStore, pdb: Obj, covered: list[Obj], now: datetime) -> Obj:
    disrupted = _still_disrupted(pdb, covered, now)
    healthy = sum(
        1
        for pod in covered
        if pods.is_ready(pod)
        and not pods.is_leaving(pod)
        and pod["metadata"]["name"] not in disrupted
    )
    expected, desired = _wanted(store, pdb["spec"], covered)
    status = {
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "disruptionsAllowed": max(0, healthy - desired) if expected else 0,
        "expectedPods": expected,
        "observedGeneration": pdb["metadata"]["generation"],
        "conditions": pdb["status"].get("conditions") or [],
    }
    status |= {"disruptedPods": disrupted} if disrupted else {}
    allowed = bool(status["disruptionsAllowed"])
    reason = "SufficientPods" if allowed else "InsufficientPods"
    return pods.with_condition(
        status, "DisruptionAllowed", str(allowed), now, reason=reason, message=""
    )


def _still_disrupted(pdb: Obj, covered: list[Obj], now: datetime) -> dict[str, str]:
    staying = {p["metadata"]["name"] for p in covered if not pods.is_leaving(p)}
    return {
        name: at
        for name, at in (pdb["status"].get("disruptedPods") or {}).items()
        if name in staying and (now - parse_time(at)).total_seconds() < DISRUPTED_TIMEOUT_S
    }


def _wanted(store: ClusterStore, spec: Obj, covered: list[Obj]) -> tuple[int, int]:
    """Pods expected, and how many of them must stay healthy; percentages round up."""
    if isinstance(spec.get("minAvailable"), int):
        return len(covered), spec["minAvailable"]
    expected = _expected(store, covered)
    if "minAvailable" in spec:
        return expected, _of(spec["minAvailable"], expected)
    return expected, max(0, expected - _of(spec.get("maxUnavailable", 0), expected))


def _of(value: Any, total: int) -> int:
    return value if isinstance(value, int) else ceil(int(str(value).rstrip("%")) * total / 100)


def _expected(store: ClusterStore, covered: list[Obj]) -> int:
    """The sum of the replicas that the pods' controllers ask for."""
    asked: dict[str, int] = {}
    for pod in covered:
        namespace = pod["metadata"]["namespace"]
        for owner in pod["metadata"].get("ownerReferences") or ():
            asked |= _replicas(store, namespace, owner)
    return sum(asked.values())


def _replicas(store: ClusterStore, namespace: str, owner: Obj) -> dict[str, int]:
    if owner["kind"] == "Job":
        job = store.find(JOBS, namespace, owner["name"])
        return {owner["uid"]: int(job["spec"].get("parallelism", 1))} if job else {}
    if owner["kind"] == "StatefulSet":
        stateful = store.find(STATEFUL_SETS, namespace, owner["name"])
        return {owner["uid"]: int(stateful["spec"].get("replicas", 1))} if stateful else {}
    held = store.find(REPLICA_SETS, namespace, owner["name"])
    if owner["kind"] != "ReplicaSet" or held is None:
        return {}
    for above in held["metadata"].get("ownerReferences") or ():
        parent = store.find(DEPLOYMENTS, namespace, above["name"])
        if parent is not None:
            return {above["uid"]: int(parent["spec"]["replicas"])}
    return {owner["uid"]: int(held["spec"]["replicas"])}
