"""Runs the queues: who is next, who fits, who is evicted to make room, who must stop.

Lowering a nominal quota evicts nobody: what is admitted stays, and only new admissions wait. A
Workload that waits for its victims keeps what they will free, so that nobody slips in.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tiers.twin.controllers import events, pods
from tiers.twin.controllers.kueue import checks, preemption, workloads
from tiers.twin.controllers.kueue.assignment import Assignment, assign
from tiers.twin.controllers.kueue.preemption import Held
from tiers.twin.controllers.kueue.quota import Pot, pots
from tiers.twin.controllers.pods import status_of
from tiers.twin.controllers.quantities import written
from tiers.twin.kube.resources import (
    CLUSTER_QUEUES,
    LOCAL_QUEUES,
    NAMESPACES,
    RESOURCE_FLAVORS,
    WORKLOADS,
    Obj,
)
from tiers.twin.kube.selectors import selects
from tiers.twin.kube.store import ClusterStore

_BECAUSE = {
    preemption.LOWER: "prioritization in the ClusterQueue",
    preemption.RECLAIMED: "reclamation within the cohort",
    preemption.WHILE_BORROWING: "reclamation within the cohort while borrowing",
}


@dataclass
class Queues:
    """One pass: quota as it stands, its holders, and each queue's Workloads in order."""

    store: ClusterStore
    now: datetime
    pots: dict[str, Pot]
    held: list[Held]
    pending: dict[str, list[Obj]]


def tick(store: ClusterStore, now: datetime) -> None:
    checks.tick(store, now)
    _stop(store, now)
    everyone = store.all(WORKLOADS)
    quota = pots(store)
    held = preemption.holders(store, everyone, quota)
    pending = _pending(store, [w for w in everyone if workloads.waits(w)], now)
    queues = Queues(store, now, quota, held, pending)
    while heads := list(_heads(queues)):
        for name, _ in heads:
            _try(queues, name)
    checks.tick(store, now)


def _stop(store: ClusterStore, now: datetime) -> None:
    """Evict what was deactivated or whose queue is drained; take back what was reactivated."""
    for workload in store.all(WORKLOADS):
        evicted = pods.condition(workload, "Evicted") or {}
        if workloads.is_true(workload, "Finished"):
            continue
        if not workloads.is_active(workload):
            why = "The workload is deactivated"
            workloads.evict(store, workload, workloads.DEACTIVATED, why, now)
        elif workloads.is_evicted(workload) and evicted["reason"] == workloads.DEACTIVATED:
            if not workloads.holds_quota(workload):
                _reactivate(store, workload, now)
        elif workloads.holds_quota(workload) and (reason := _drained(store, workload)):
            why = f"The {reason.removesuffix('Stopped')} is stopped"
            workloads.evict(store, workload, reason, why, now)


def _reactivate(store: ClusterStore, workload: Obj, now: datetime) -> None:
    words = ("Reactivated", "The workload was requeued after reactivation")
    for kind, value in (("Evicted", "False"), ("Requeued", "True")):
        workload = workloads.set_condition(store, workload, kind, value, *words, now)


def _drained(store: ClusterStore, workload: Obj) -> str:
    queue = store.find(CLUSTER_QUEUES, "", workloads.cluster_queue(workload))
    if queue is not None and queue["spec"].get("stopPolicy") == "HoldAndDrain":
        return "ClusterQueueStopped"
    local = store.find(
        LOCAL_QUEUES, workload["metadata"]["namespace"], workload["spec"]["queueName"]
    )
    if local is not None and local["spec"].get("stopPolicy") == "HoldAndDrain":
        return "LocalQueueStopped"
    return ""


def _pending(store: ClusterStore, waiting: list[Obj], now: datetime) -> dict[str, list[Obj]]:
    """Workloads by ClusterQueue, highest priority and oldest first; the rest are told why not."""
    found: dict[str, list[Obj]] = {}
    for workload in waiting:
        queue, why = _queue_of(store, workload)
        if why:
            workloads.refuse(store, workload, "Inadmissible", why, now)
        else:
            found.setdefault(queue, []).append(workload)
    for entries in found.values():
        entries.sort(key=lambda w: _order(store, w))
    return found


def _order(store: ClusterStore, workload: Obj) -> tuple[int, str, str]:
    metadata = workload["metadata"]
    return -workloads.rank(store, workload), metadata["creationTimestamp"], metadata["name"]


def queue_name(store: ClusterStore, workload: Obj) -> str:
    namespace = workload["metadata"]["namespace"]
    local = store.find(LOCAL_QUEUES, namespace, workload["spec"]["queueName"])
    return str(local["spec"]["clusterQueue"]) if local else ""


def _queue_of(store: ClusterStore, workload: Obj) -> tuple[str, str]:
    namespace, asked = workload["metadata"]["namespace"], workload["spec"]["queueName"]
    local = store.find(LOCAL_QUEUES, namespace, asked)
    if local is None:
        return "", f"LocalQueue {asked} doesn't exist"
    name = local["spec"]["clusterQueue"]
    queue = store.find(CLUSTER_QUEUES, "", name)
    if queue is None:
        return "", f"ClusterQueue {name} doesn't exist"
    if local["spec"].get("stopPolicy", "None") != "None":
        return "", f"LocalQueue {asked} is inactive"
    if inactive(store, queue):
        return "", f"ClusterQueue {name} is inactive"
    home = store.find(NAMESPACES, "", namespace)
    labels = ((home or {}).get("metadata") or {}).get("labels") or {}
    if not selects(queue["spec"].get("namespaceSelector"), labels):
        return "", "Workload namespace doesn't match ClusterQueue selector"
    return name, ""


def inactive(store: ClusterStore, queue: Obj) -> str:
    """Why a ClusterQueue admits nobody; empty when it does."""
    if queue["spec"].get("stopPolicy", "None") != "None":
        return "Stopped"
    flavors = {f["name"] for g in queue["spec"].get("resourceGroups") or () for f in g["flavors"]}
    known = all(store.find(RESOURCE_FLAVORS, "", name) for name in flavors)
    return checks.trouble(store, queue) if known else "FlavorNotFound"


def _heads(queues: Queues) -> Iterator[tuple[str, tuple[bool, tuple[int, str, str]]]]:
    """The first of each queue; those that need not borrow, then priority, then age."""
    heads = []
    for name, entries in queues.pending.items():
        if entries:
            place = _assign(queues, name, entries[0])
            heads.append((name, (place.borrows, _order(queues.store, entries[0]))))
    yield from sorted(heads, key=lambda head: head[1])


def _assign(queues: Queues, name: str, workload: Obj) -> Assignment:
    queue = queues.store.get(CLUSTER_QUEUES, "", name)
    return assign(queues.store, workload, queue, queues.pots[name])


def _try(queues: Queues, name: str) -> None:
    """Admit a queue's head, make room for it, or let it wait."""
    queue, entries = queues.store.get(CLUSTER_QUEUES, "", name), queues.pending[name]
    workload = entries.pop(0)
    place = _assign(queues, name, workload)
    if place.mode == "fit":
        _admit(queues, name, workload, place)
        return
    why = f"couldn't assign flavors to pod set main: {place.why}"
    if place.mode == "preempt" and _make_room(queues, queue, workload, place):
        why += ". Pending the preemption of other workloads"
        queues.pots[name].take(place.uses)
    workloads.refuse(queues.store, workload, "Pending", why, queues.now)
    if queue["spec"].get("queueingStrategy") == "StrictFIFO":
        entries.clear()


def _admit(queues: Queues, name: str, workload: Obj, place: Assignment) -> None:
    queues.pots[name].take(place.uses)
    pod_set = workload["spec"]["podSets"][0]
    part = {"name": pod_set["name"], "count": pod_set["count"], "flavors": place.flavors}
    part["resourceUsage"] = {resource: written(a) for (_, resource), a in place.uses.items()}
    status = status_of(workload) | {
        "admission": {"clusterQueue": name, "podSetAssignments": [part]}
    }
    said = f"Quota reserved in ClusterQueue {name}"
    steps = [("QuotaReserved", "True", "QuotaReserved", said)]
    for kind in ("Evicted", "Preempted"):
        if workloads.is_true(workload, kind):
            steps.append((kind, "False", "QuotaReserved", f"Previously: {kind}"))
    for kind, value, reason, message in steps:
        status = pods.with_condition(
            status, kind, value, queues.now, reason=reason, message=message
        )
    stored = workloads.put_status(queues.store, workload, status)
    events.record(queues.store, stored, "QuotaReserved", said, queues.now, by=workloads.BY)


def _make_room(queues: Queues, queue: Obj, workload: Obj, place: Assignment) -> bool:
    pot = queues.pots[queue["metadata"]["name"]]
    rank = workloads.rank(queues.store, workload)
    chosen = preemption.victims(queue, pot, workload, rank, place.uses, queues.held)
    if chosen is None:
        return False
    for held, reason in chosen:
        message = (
            f"Preempted to accommodate a workload (UID: {workload['metadata']['uid']}) "
            f"due to {_BECAUSE[reason]}"
        )
        gone = workloads.evict(
            queues.store, held.workload, workloads.PREEMPTED, message, queues.now
        )
        gone = workloads.set_condition(
            queues.store, gone, "Preempted", "True", reason, message, queues.now
        )
        queues.held[queues.held.index(held)] = Held(gone, held.pot, held.rank, held.uses)
    return True
