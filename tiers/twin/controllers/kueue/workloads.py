"""Reading and changing Workloads: requests, states, conditions."""

from datetime import datetime
from decimal import Decimal

from tiers.twin.controllers import events, pods, priority
from tiers.twin.controllers.kueue.quota import Amounts
from tiers.twin.controllers.pods import status_of
from tiers.twin.controllers.quantities import ZERO, quantity
from tiers.twin.kube.resources import WORKLOADS, Obj
from tiers.twin.kube.store import ClusterStore

BY = "kueue-admission"
PREEMPTED, DEACTIVATED = "Preempted", "Deactivated"


def is_true(workload: Obj, kind: str) -> bool:
    found = pods.condition(workload, kind)
    return found is not None and found["status"] == "True"


def holds_quota(workload: Obj) -> bool:
    return is_true(workload, "QuotaReserved") and not is_true(workload, "Finished")


def is_evicted(workload: Obj) -> bool:
    """Asked to leave, and not let in again since."""
    return is_true(workload, "Evicted")


def is_active(workload: Obj) -> bool:
    return workload["spec"].get("active", True) is not False


def waits(workload: Obj) -> bool:
    return (
        is_active(workload)
        and not is_true(workload, "QuotaReserved")
        and not is_true(workload, "Finished")
    )


def rank(store: ClusterStore, workload: Obj) -> int:
    spec = workload["spec"]
    return int(spec["priority"]) if "priority" in spec else priority.default(store)


def requests(workload: Obj) -> dict[str, Decimal]:
    """What all its pods together ask for, by resource."""
    total: dict[str, Decimal] = {}
    for pod_set in workload["spec"].get("podSets") or ():
        for container in pod_set["template"]["spec"].get("containers") or ():
            asked = container.get("resources") or {}
            for name, amount in (
                (asked.get("limits") or {}) | (asked.get("requests") or {})
            ).items():
                total[name] = total.get(name, ZERO) + quantity(amount) * int(pod_set["count"])
    return total


def usage(workload: Obj) -> Amounts:
    """What it holds, by flavor and resource."""
    held: Amounts = {}
    admission = status_of(workload).get("admission") or {}
    for part in admission.get("podSetAssignments") or ():
        for resource, flavor in (part.get("flavors") or {}).items():
            amount = quantity(part["resourceUsage"][resource])
            held[flavor, resource] = held.get((flavor, resource), ZERO) + amount
    return held


def cluster_queue(workload: Obj) -> str:
    """The ClusterQueue that it holds quota of; empty without one."""
    return str((status_of(workload).get("admission") or {}).get("clusterQueue", ""))


def put_status(store: ClusterStore, workload: Obj, status: Obj) -> Obj:
    metadata = workload["metadata"]
    fresh = store.get(WORKLOADS, metadata["namespace"], metadata["name"])
    return store.put(WORKLOADS, {**fresh, "status": status})


def set_condition(
    store: ClusterStore, workload: Obj, kind: str, value: str, reason: str, message: str,
    now: datetime,
) -> Obj:  # fmt: skip
    status = pods.with_condition(
        status_of(workload), kind, value, now, reason=reason, message=message
    )
    return put_status(store, workload, status)


def refuse(store: ClusterStore, workload: Obj, reason: str, message: str, now: datetime) -> Obj:
    """Leave it pending, and say why."""
    return set_condition(store, workload, "QuotaReserved", "False", reason, message, now)


def evict(store: ClusterStore, workload: Obj, reason: str, message: str, now: datetime) -> Obj:
    """Ask a Workload to leave; its quota is free when its pods are gone."""
    found = pods.condition(workload, "Evicted")
    if found is not None and (found["status"], found["reason"]) == ("True", reason):
        return workload
    if holds_quota(workload):
        name = f"EvictedDueTo{reason}"
        events.record(store, workload, name, message, now, by=BY)
    return set_condition(store, workload, "Evicted", "True", reason, message, now)
