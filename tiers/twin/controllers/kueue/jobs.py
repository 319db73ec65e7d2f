"""Ties Jobs to Workloads: suspended at birth, let run on the flavor's nodes, suspended again."""

import hashlib
from datetime import datetime

from tiers.twin.controllers import events, pods, priority
from tiers.twin.controllers.config import QUEUE_KEY
from tiers.twin.controllers.kueue import workloads
from tiers.twin.controllers.pods import status_of
from tiers.twin.kube.resources import (
    JOBS,
    RESOURCE_FLAVORS,
    WORKLOAD_PRIORITY_CLASSES,
    WORKLOADS,
    Obj,
)
from tiers.twin.kube.store import ClusterStore

PRIORITY_KEY = "kueue.x-k8s.io/priority-class"
JOB_UID_KEY = "kueue.x-k8s.io/job-uid"
BY = "batch/job-kueue-controller"
_ASKS_TOPOLOGY = {
    "kueue.x-k8s.io/podset-required-topology": "required",
    "kueue.x-k8s.io/podset-preferred-topology": "preferred",
}


def tick(store: ClusterStore, now: datetime) -> None:
    for job in store.all(JOBS):
        if (job["metadata"].get("labels") or {}).get(QUEUE_KEY):
            _reconcile(store, job, now)


def _reconcile(store: ClusterStore, job: Obj, now: datetime) -> None:
    workload = find(store, job)
    if any(workloads.is_true(job, kind) for kind in ("Complete", "Failed")):
        if workload is not None:
            _finish(store, workload, now)
        return
    if workload is None or not _matches(job, workload):
        _suspend(store, job, workload, "Kueue holds the job until it is admitted", now)
        _renew(store, job, workload, now)
    elif workloads.is_evicted(workload) and not workloads.is_true(workload, "Finished"):
        _leave(store, job, workload, now)
    elif not workloads.is_true(workload, "Admitted"):
        _suspend(store, job, workload, "Not admitted by cluster queue", now)
    elif job["spec"].get("suspend"):
        _start(store, job, workload, now)


def find(store: ClusterStore, job: Obj) -> Obj | None:
    owned = store.owned_by(job["metadata"]["uid"], WORKLOADS)
    return owned[0] if owned else None


def _matches(job: Obj, workload: Obj) -> bool:
    """Another size or queue asks for another Workload."""
    asked = job["metadata"]["labels"][QUEUE_KEY], int(job["spec"].get("parallelism", 1))
    spec = workload["spec"]
    return asked == (spec["queueName"], int(spec["podSets"][0]["count"]))


def _renew(store: ClusterStore, job: Obj, old: Obj | None, now: datetime) -> None:
    if old is not None:
        store.remove(WORKLOADS, old["metadata"]["namespace"], old["metadata"]["name"])
    fresh = store.get(JOBS, job["metadata"]["namespace"], job["metadata"]["name"])
    made = store.create(WORKLOADS, _workload(store, fresh), now)
    message = f"Created Workload: {made['metadata']['namespace']}/{made['metadata']['name']}"
    events.record(store, job, "CreatedWorkload", message, now, by=BY)


def _workload(store: ClusterStore, job: Obj) -> Obj:
    metadata, template = job["metadata"], job["spec"]["template"]
    digest = hashlib.sha256(metadata["uid"].encode()).hexdigest()[:5]
    spec = {
        "queueName": metadata["labels"][QUEUE_KEY],
        "active": True,
        "podSets": [_pod_set(template, int(job["spec"].get("parallelism", 1)))],
        **_priority(store, job),
    }
    owner = pods.owner_reference(job, api_version="batch/v1", kind="Job")
    return {
        "metadata": {
            "name": f"job-{metadata['name']}-{digest}",
            "namespace": metadata["namespace"],
            "labels": {JOB_UID_KEY: metadata["uid"]},
            "ownerReferences": [owner],
        },
        "spec": spec,
        "status": {},
    }


def _priority(store: ClusterStore, job: Obj) -> Obj:
    """Of the WorkloadPriorityClass that a label names, else of the pods' PriorityClass."""
    name = (job["metadata"].get("labels") or {}).get(PRIORITY_KEY)
    found = store.find(WORKLOAD_PRIORITY_CLASSES, "", name) if name else None
    if found is not None:
        ref = {"group": "kueue.x-k8s.io", "kind": "WorkloadPriorityClass", "name": name}
        return {"priority": int(found["value"]), "priorityClassRef": ref}
    name = job["spec"]["template"]["spec"].get("priorityClassName")
    number = {"priority": priority.of_class(store, name)}
    ref = {"group": "scheduling.k8s.io", "kind": "PriorityClass", "name": name}
    return number | ({"priorityClassRef": ref} if name else {})


def _pod_set(template: Obj, count: int) -> Obj:
    notes = (template.get("metadata") or {}).get("annotations") or {}
    asked = {word: notes[key] for key, word in _ASKS_TOPOLOGY.items() if key in notes}
    made = {"name": "main", "count": count, "template": template}
    return made | ({"topologyRequest": asked} if asked else {})


def _suspend(store: ClusterStore, job: Obj, workload: Obj | None, why: str, now: datetime) -> None:
    """Stop the job and take back what admission put into its template."""
    if job["spec"].get("suspend"):
        return
    template = workload["spec"]["podSets"][0]["template"] if workload else job["spec"]["template"]
    spec = {**job["spec"], "suspend": True, "template": template}
    store.put(JOBS, {**job, "spec": spec})
    events.record(store, job, "Stopped" if workload else "Suspended", why, now, by=BY)


def _start(store: ClusterStore, job: Obj, workload: Obj, now: datetime) -> None:
    selector: dict[str, str] = {}
    tolerations: list[Obj] = []
    part = status_of(workload)["admission"]["podSetAssignments"][0]
    for name in sorted(set(part["flavors"].values())):
        flavor = store.find(RESOURCE_FLAVORS, "", name)
        spec = flavor["spec"] if flavor else {}
        selector |= spec.get("nodeLabels") or {}
        tolerations += spec.get("tolerations") or []
    template = job["spec"]["template"]
    inner = dict(template["spec"])
    inner["nodeSelector"] = (inner.get("nodeSelector") or {}) | selector
    inner["tolerations"] = [*(inner.get("tolerations") or []), *tolerations]
    spec = {**job["spec"], "suspend": False, "template": {**template, "spec": inner}}
    store.put(JOBS, {**job, "spec": spec})
    queue = workloads.cluster_queue(workload)
    events.record(store, job, "Started", f"Admitted by clusterQueue {queue}", now, by=BY)


def _leave(store: ClusterStore, job: Obj, workload: Obj, now: datetime) -> None:
    """Stop an evicted job; once its pods are gone, give its quota back and queue again."""
    why = pods.condition(workload, "Evicted") or {}
    _suspend(store, job, workload, why["message"], now)
    if store.owned_by(job["metadata"]["uid"]) or not workloads.holds_quota(workload):
        return
    status = {k: v for k, v in status_of(workload).items() if k != "admission"}
    again = why["reason"] != workloads.DEACTIVATED
    for kind, value, reason, message in (
        ("QuotaReserved", "False", "Pending", why["message"]),
        ("Admitted", "False", "NoReservation", "The workload has no reservation"),
        ("Requeued", str(again), why["reason"], why["message"]),
    ):
        status = pods.with_condition(status, kind, value, now, reason=reason, message=message)
    workloads.put_status(store, workload, status)


def _finish(store: ClusterStore, workload: Obj, now: datetime) -> None:
    if not workloads.is_true(workload, "Finished"):
        workloads.set_condition(
            store, workload, "Finished", "True", "Succeeded", "Job finished successfully", now
        )
