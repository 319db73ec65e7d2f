"""Admission checks: quota is reserved first, and somebody else says whether the job may start.

The controller that an AdmissionCheck names writes its answer into the Workload: `Ready` from all
of them admits it, `Retry` sends it back to the queue, `Rejected` deactivates it.
"""

from datetime import datetime

from tiers.twin.controllers import events, pods
from tiers.twin.controllers.kueue import workloads
from tiers.twin.controllers.pods import status_of
from tiers.twin.kube.resources import ADMISSION_CHECKS, CLUSTER_QUEUES, WORKLOADS, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.times import rfc3339

RETRY = "AdmissionCheck"


def tick(store: ClusterStore, now: datetime) -> None:
    for workload in store.all(WORKLOADS):
        if workloads.holds_quota(workload) and not workloads.is_evicted(workload):
            queue = store.find(CLUSTER_QUEUES, "", workloads.cluster_queue(workload))
            if queue is not None:
                _heed(store, workload, required(queue, workload), now)


def required(queue: Obj, workload: Obj) -> list[str]:
    """The checks that a queue asks for on the flavors that the Workload was given."""
    flavors = {flavor for flavor, _ in workloads.usage(workload)}
    strategy = queue["spec"].get("admissionChecksStrategy") or {}
    return [
        rule["name"]
        for rule in strategy.get("admissionChecks") or ()
        if not rule.get("onFlavors") or flavors & set(rule["onFlavors"])
    ]


def trouble(store: ClusterStore, queue: Obj) -> str:
    """Why a queue's checks keep it from admitting anybody; empty when they do not."""
    strategy = queue["spec"].get("admissionChecksStrategy") or {}
    found = [
        store.find(ADMISSION_CHECKS, "", rule["name"])
        for rule in strategy.get("admissionChecks") or ()
    ]
    if any(check is None for check in found):
        return "AdmissionCheckNotFound"
    active = all(workloads.is_true(check, "Active") for check in found if check)
    return "" if active else "AdmissionCheckInactive"


def _heed(store: ClusterStore, workload: Obj, names: list[str], now: datetime) -> None:
    held = {c["name"]: c for c in status_of(workload).get("admissionChecks") or ()}
    states = {name: held.get(name, {}).get("state", "Pending") for name in names}
    if "Rejected" in states.values():
        _reject(store, workload, [n for n, s in states.items() if s == "Rejected"], now)
    elif "Retry" in states.values():
        why = "At least one admission check is false"
        workload = _set(store, workload, {name: _pending(name, now) for name in names})
        workloads.evict(store, workload, RETRY, why, now)
    else:
        kept = {name: held.get(name) or _pending(name, now) for name in names}
        workload = _set(store, workload, kept)
        if all(s == "Ready" for s in states.values()) and not workloads.is_true(
            workload, "Admitted"
        ):
            _admit(store, workload, now)


def _pending(name: str, now: datetime) -> Obj:
    return {"name": name, "state": "Pending", "message": "", "lastTransitionTime": rfc3339(now)}


def _set(store: ClusterStore, workload: Obj, checks: dict[str, Obj]) -> Obj:
    status = {k: v for k, v in status_of(workload).items() if k != "admissionChecks"}
    status |= {"admissionChecks": list(checks.values())} if checks else {}
    return workloads.put_status(store, workload, status)


def _reject(store: ClusterStore, workload: Obj, names: list[str], now: datetime) -> None:
    """Somebody must reactivate it: asking again would bring the same answer."""
    said = f"Admission check(s): [{','.join(names)}], were rejected"
    events.record(store, workload, "AdmissionCheckRejected", said, now, by=workloads.BY,
                  warning=True)  # fmt: skip
    store.put(WORKLOADS, {**workload, "spec": workload["spec"] | {"active": False}})


def _admit(store: ClusterStore, workload: Obj, now: datetime) -> None:
    status = pods.with_condition(
        status_of(workload), "Admitted", "True", now,
        reason="Admitted", message="The workload is admitted",
    )  # fmt: skip
    stored = workloads.put_status(store, workload, status)
    said = f"Admitted by ClusterQueue {workloads.cluster_queue(workload)}"
    events.record(store, stored, "Admitted", said, now, by=workloads.BY)
