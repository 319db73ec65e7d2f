"""What ClusterQueues and LocalQueues say of themselves: counts, reservation, usage, borrowing."""

from datetime import datetime
from typing import Any

from tiers.twin.controllers import pods
from tiers.twin.controllers.kueue import admission, workloads
from tiers.twin.controllers.kueue.quota import Amounts, pot_of
from tiers.twin.controllers.pods import status_of
from tiers.twin.controllers.quantities import ZERO, written
from tiers.twin.kube.resources import CLUSTER_QUEUES, LOCAL_QUEUES, WORKLOADS, Obj
from tiers.twin.kube.store import ClusterStore

_WORDS = {
    "Stopped": "Can't admit new workloads: is stopped.",
    "FlavorNotFound": "Can't admit new workloads: references missing ResourceFlavor(s).",
    "AdmissionCheckNotFound": "Can't admit new workloads: references missing AdmissionCheck(s).",
    "AdmissionCheckInactive": "Can't admit new workloads: references inactive AdmissionCheck(s).",
    "": "Can admit new workloads",
}


def tick(store: ClusterStore, now: datetime) -> None:
    everyone = [w for w in store.all(WORKLOADS) if not workloads.is_true(w, "Finished")]
    for queue in store.all(CLUSTER_QUEUES):
        name = queue["metadata"]["name"]
        mine = [w for w in everyone if _belongs(store, w, name)]
        nominal = pot_of(queue).nominal
        status = status_of(queue) | _counts(mine) | {
            "flavorsReservation": _flavors(queue, _total(mine, "QuotaReserved"), nominal),
            "flavorsUsage": _flavors(queue, _total(mine, "Admitted"), nominal),
        }  # fmt: skip
        why = admission.inactive(store, queue)
        store.put(CLUSTER_QUEUES, {**queue, "status": _active(status, why, now)})
    for local in store.all(LOCAL_QUEUES):
        store.put(LOCAL_QUEUES, {**local, "status": _local(store, local, everyone, now)})


def _belongs(store: ClusterStore, workload: Obj, queue: str) -> bool:
    held = workloads.cluster_queue(workload)
    return (held or admission.queue_name(store, workload)) == queue


def _counts(mine: list[Obj]) -> dict[str, int]:
    return {
        "pendingWorkloads": sum(1 for w in mine if workloads.waits(w)),
        "reservingWorkloads": sum(1 for w in mine if workloads.is_true(w, "QuotaReserved")),
        "admittedWorkloads": sum(1 for w in mine if workloads.is_true(w, "Admitted")),
    }


def _total(mine: list[Obj], kind: str) -> Amounts:
    total: Amounts = {}
    for workload in mine:
        if workloads.is_true(workload, kind):
            for key, amount in workloads.usage(workload).items():
                total[key] = total.get(key, ZERO) + amount
    return total


def _flavors(queue: Obj, total: Amounts, nominal: Amounts | None) -> list[dict[str, Any]]:
    found = []
    for group in queue["spec"].get("resourceGroups") or ():
        for flavor in group["flavors"]:
            resources = [
                _resource(flavor["name"], r["name"], total, nominal) for r in flavor["resources"]
            ]
            found.append({"name": flavor["name"], "resources": resources})
    return found


def _resource(
    flavor: str, resource: str, total: Amounts, nominal: Amounts | None
) -> dict[str, str]:
    used = total.get((flavor, resource), ZERO)
    said = {"name": resource, "total": written(used)}
    if nominal is None:
        return said
    return said | {"borrowed": written(max(ZERO, used - nominal.get((flavor, resource), ZERO)))}


def _active(status: Obj, why: str, now: datetime) -> Obj:
    return pods.with_condition(
        status, "Active", str(not why), now, reason=why or "Ready", message=_WORDS[why]
    )


def _local(store: ClusterStore, local: Obj, everyone: list[Obj], now: datetime) -> Obj:
    metadata = local["metadata"]
    mine = [
        w
        for w in everyone
        if w["metadata"]["namespace"] == metadata["namespace"]
        and w["spec"]["queueName"] == metadata["name"]
    ]
    queue = store.find(CLUSTER_QUEUES, "", local["spec"]["clusterQueue"])
    stopped = local["spec"].get("stopPolicy", "None") != "None"
    why = "Stopped" if stopped or queue is None else admission.inactive(store, queue)
    status = status_of(local) | _counts(mine)
    if queue is not None:
        status |= {
            "flavorsReservation": _flavors(queue, _total(mine, "QuotaReserved"), None),
            "flavorsUsage": _flavors(queue, _total(mine, "Admitted"), None),
        }
    return _active(status, why, now)
