"""Deployments and their ReplicaSets: as many pods as asked for, the right ones go first."""

from datetime import datetime

import numpy as np

from tiers.twin.controllers import events, pods, rolling
from tiers.twin.controllers.config import DELETION_COST_KEY, ControllerConfig
from tiers.twin.kube.errors import ApiError
from tiers.twin.kube.resources import DEPLOYMENTS, REPLICA_SETS, Obj
from tiers.twin.kube.store import ClusterStore

HASH_KEY = "pod-template-hash"
FAILURE = "ReplicaFailure"
BY = "deployment-controller"


def tick(
    store: ClusterStore, now: datetime, rng: np.random.Generator, config: ControllerConfig
) -> None:
    """Bring every Deployment's ReplicaSets and pods to its spec, and say how far they are."""
    for deployment in store.all(DEPLOYMENTS):
        if not deployment["metadata"].get("deletionTimestamp"):
            _roll(store, deployment, now)
    for replica_set in store.all(REPLICA_SETS):
        _reconcile(store, replica_set, now, rng)
    for deployment in store.all(DEPLOYMENTS):
        _report(store, deployment, now)


def _roll(store: ClusterStore, deployment: Obj, now: datetime) -> None:
    """Set the ReplicaSets' replicas; with an older template still there, a step at a time."""
    digest = pods.template_hash(deployment)
    held = store.owned_by(deployment["metadata"]["uid"], REPLICA_SETS)
    name = f"{deployment['metadata']['name']}-{digest}"
    current = next((rs for rs in held if rs["metadata"]["name"] == name), None)
    others = [rs for rs in held if rs["metadata"]["name"] != name]
    if deployment["spec"].get("paused"):
        _scale_paused(store, deployment, held, now)
        return
    if current is None:
        current = store.create(REPLICA_SETS, _replica_set(deployment, name, digest), now)
    old_pods = any(store.owned_by(rs["metadata"]["uid"]) for rs in others)
    for replica_set, replicas in rolling.steps(deployment, current, others, old_pods=old_pods):
        _resize(store, deployment, replica_set, replicas, now)
    for old in rolling.outlived(deployment, others):
        store.remove(REPLICA_SETS, *_key(old))


def _scale_paused(store: ClusterStore, deployment: Obj, held: list[Obj], now: datetime) -> None:
    """A new template waits; a new number does not, and goes to the biggest ReplicaSet."""
    if held:
        biggest = max(held, key=lambda rs: rs["spec"]["replicas"])
        rest = sum(rs["spec"]["replicas"] for rs in held) - biggest["spec"]["replicas"]
        wanted = max(0, int(deployment["spec"]["replicas"]) - rest)
        _resize(store, deployment, biggest, wanted, now)


def _resize(
    store: ClusterStore, deployment: Obj, replica_set: Obj, replicas: int, now: datetime
) -> None:
    held, name = replica_set["spec"]["replicas"], replica_set["metadata"]["name"]
    if held != replicas:
        store.put(
            REPLICA_SETS, {**replica_set, "spec": {**replica_set["spec"], "replicas": replicas}}
        )
        way = "up" if replicas > held else "down"
        message = f"Scaled {way} replica set {name} from {held} to {replicas}"
        events.record(store, deployment, "ScalingReplicaSet", message, now, by=BY)


def _replica_set(deployment: Obj, name: str, digest: str) -> Obj:
    spec, labels = deployment["spec"], {HASH_KEY: digest}
    template = spec["template"]
    meta = dict(template.get("metadata") or {})
    meta["labels"] = (meta.get("labels") or {}) | labels
    selector = dict(spec["selector"])
    selector["matchLabels"] = (selector.get("matchLabels") or {}) | labels
    made = pods.from_template(deployment, name, api_version="apps/v1", kind="Deployment")
    return {
        "metadata": made["metadata"] | {"labels": meta["labels"], "annotations": {}},
        "spec": {
            "replicas": 0,
            "selector": selector,
            "template": {**template, "metadata": meta},
        },
        "status": {"replicas": 0},
    }


def _reconcile(
    store: ClusterStore, replica_set: Obj, now: datetime, rng: np.random.Generator
) -> None:
    owned = store.owned_by(replica_set["metadata"]["uid"])
    active = [p for p in owned if not pods.is_over(p) and not pods.is_leaving(p)]
    wanted, failure = int(replica_set["spec"]["replicas"]), ""
    if replica_set["metadata"].get("deletionTimestamp"):
        wanted = len(active)  # what leaves makes no pods: the collector waits for the last one
    for _ in range(wanted - len(active)):
        name = f"{replica_set['metadata']['name']}-{pods.suffix(rng)}"
        pod = pods.from_template(replica_set, name, api_version="apps/v1", kind="ReplicaSet")
        try:
            active.append(pods.create(store, pod, now))
        except ApiError as refusal:
            failure = refusal.message
            events.record(store, replica_set, "FailedCreate", f"Error creating: {failure}", now,
                          by="replicaset-controller", warning=True, once=True)  # fmt: skip
            break
    if (surplus := len(active) - wanted) > 0:
        newest_first = sorted(active, key=_age, reverse=True)
        active = sorted(newest_first, key=_first_to_go)
        for pod in active[:surplus]:
            pods.remove(store, pod, now)
        active = active[surplus:]
    ready = sum(1 for pod in active if pods.is_ready(pod))
    status = _counts({"replicas": len(active)}, readyReplicas=ready, availableReplicas=ready)
    status["observedGeneration"] = replica_set["metadata"]["generation"]
    status = _with_failure(status | _conditions(replica_set), failure, now)
    held = store.get(REPLICA_SETS, *_key(replica_set))
    store.put(REPLICA_SETS, {**held, "status": status})


def _conditions(obj: Obj) -> Obj:
    held = obj["status"].get("conditions")
    return {"conditions": held} if held else {}


def _with_failure(status: Obj, failure: str, now: datetime) -> Obj:
    """`ReplicaFailure` while a pod cannot be made; no such condition otherwise."""
    if failure:
        return pods.with_condition(
            status, FAILURE, "True", now, reason="FailedCreate", message=failure
        )
    others = [c for c in status.get("conditions") or () if c["type"] != FAILURE]
    without = {k: v for k, v in status.items() if k != "conditions"}
    return without | ({"conditions": others} if others else {})


def _key(obj: Obj) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _age(pod: Obj) -> tuple[str, str, int]:
    """Since when it is ready, when it was made, and the order of writes within one second."""
    ready = pods.condition(pod, "Ready")
    since = ready["lastTransitionTime"] if ready and ready["status"] == "True" else ""
    return since, pod["metadata"]["creationTimestamp"], int(pod["metadata"]["resourceVersion"])


def _first_to_go(pod: Obj) -> tuple[bool, int, bool, int]:
    """Unscheduled, then pending, then not ready, then the lowest pod-deletion-cost."""
    phase = ("Pending", "Unknown", "Running").index(pod["status"].get("phase", "Pending"))
    cost = (pod["metadata"].get("annotations") or {}).get(DELETION_COST_KEY, "0")
    number = int(cost) if cost.lstrip("-").isdigit() else 0
    return bool(pod["spec"].get("nodeName")), phase, pods.is_ready(pod), number


def _counts(status: Obj, **more: int) -> Obj:
    """Counts as the API writes them: a zero is left out."""
    return status | {key: value for key, value in more.items() if value}


def _report(store: ClusterStore, deployment: Obj, now: datetime) -> None:
    held = store.owned_by(deployment["metadata"]["uid"], REPLICA_SETS)
    total = sum(rs["status"].get("replicas", 0) for rs in held)
    ready = sum(rs["status"].get("readyReplicas", 0) for rs in held)
    digest, wanted = pods.template_hash(deployment), int(deployment["spec"]["replicas"])
    updated = sum(
        rs["status"].get("replicas", 0)
        for rs in held
        if rs["metadata"]["labels"].get(HASH_KEY) == digest
    )
    status = _counts(
        {"conditions": deployment["status"].get("conditions") or []},
        replicas=total,
        updatedReplicas=updated,
        readyReplicas=ready,
        availableReplicas=ready,
        unavailableReplicas=max(0, wanted - ready),
    )
    status["observedGeneration"] = deployment["metadata"]["generation"]
    enough = ready >= wanted - rolling.allowances(deployment)[1]
    reason = "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable"
    status = pods.with_condition(status, "Available", str(enough), now, reason=reason)
    failures = [c for rs in held if (c := pods.condition(rs, FAILURE))]
    status = _with_failure(status, failures[0]["message"] if failures else "", now)
    fresh = store.get(DEPLOYMENTS, *_key(deployment))
    store.put(DEPLOYMENTS, {**fresh, "status": status})
