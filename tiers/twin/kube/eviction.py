"""`pods/eviction`: a delete that asks the PodDisruptionBudget first, as the real subresource."""

from typing import Any

from tiers.twin.kube.errors import ApiError, bad_request, failure, too_many_requests
from tiers.twin.kube.resources import PDBS, PODS, Obj
from tiers.twin.kube.selectors import selects
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.times import rfc3339
from tiers.twin.kube.validate import check_delete_preconditions
from tiers.twin.kube.verbs import Write, delete_pod

RETRY_AFTER_S = 10
BLOCKED = "Cannot evict pod as it would violate the pod's disruption budget."
MANY = (
    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not "
    "support."
)


def is_ready(pod: Obj) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def budgets_of(store: ClusterStore, pod: Obj) -> list[Obj]:
    labels = pod["metadata"].get("labels") or {}
    return [
        pdb
        for pdb in store.all(PDBS, pod["metadata"]["namespace"])
        if selects(pdb["spec"].get("selector"), labels)
    ]


def evict(write: Write, body: Any) -> Obj:
    """Evict one pod.

    Raises:
        ApiError: 429 with a `DisruptionBudget` cause when its budget has nothing to spare, 500
            when two budgets cover it, 404, 409 and 400 as for a delete.
    """
    pod = write.store.get(PODS, write.namespace, write.name)
    if not isinstance(body, dict) or body.get("kind", "Eviction") != "Eviction":
        raise bad_request("not an Eviction")
    if (body.get("metadata") or {}).get("name", write.name) != write.name:
        raise bad_request("name in URL does not match name in Eviction object")
    options = body.get("deleteOptions") or {}
    check_delete_preconditions(PODS, pod, options)
    if not _free_to_go(pod):
        _spend_budget(write, pod)
    if not pod["metadata"].get("deletionTimestamp"):
        pod = _with_reason(write, pod)
    delete_pod(write, pod, options.get("gracePeriodSeconds"))
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _free_to_go(pod: Obj) -> bool:
    """Pods that serve nobody are deleted without asking a budget."""
    phase = pod.get("status", {}).get("phase")
    leaving = bool(pod["metadata"].get("deletionTimestamp"))
    return leaving or phase in ("Succeeded", "Failed", "Pending")


def _spend_budget(write: Write, pod: Obj) -> None:
    budgets = budgets_of(write.store, pod)
    if len(budgets) > 1:
        raise failure(500, MANY)
    if not budgets:
        return
    pdb = budgets[0]
    status = pdb["status"]
    enough = status["currentHealthy"] >= status["desiredHealthy"] > 0
    always = pdb["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow"
    if not is_ready(pod) and (enough or always):
        return
    _refuse_if_empty(pdb)
    disrupted = {**(status.get("disruptedPods") or {}), write.name: rfc3339(write.now)}
    spent = {**status, "disruptionsAllowed": status["disruptionsAllowed"] - 1}
    spent["disruptedPods"] = disrupted
    write.store.put(PDBS, {**pdb, "status": spent}, dry_run=write.dry_run)


def _refuse_if_empty(pdb: Obj) -> None:
    """A 429; it says how long to wait only where that helps, as the real one."""
    status, name = pdb["status"], pdb["metadata"]["name"]
    if status.get("observedGeneration", 0) < pdb["metadata"].get("generation", 1):
        why = f"The disruption budget {name} is still being processed by the server."
        raise _blocked(why, RETRY_AFTER_S)
    if status["disruptionsAllowed"] <= 0:
        why = (
            f"The disruption budget {name} needs {status['desiredHealthy']} healthy pods and has "
            f"{status['currentHealthy']} currently"
        )
        raise _blocked(why, 0)


def _blocked(why: str, retry_after_s: int) -> ApiError:
    cause = {"reason": "DisruptionBudget", "message": why}
    return too_many_requests(BLOCKED, [cause], retry_after_s)


def _with_reason(write: Write, pod: Obj) -> Obj:
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
        "lastTransitionTime": rfc3339(write.now),
    }
    others = [c for c in pod["status"].get("conditions") or () if c["type"] != "DisruptionTarget"]
    status = {**pod["status"], "conditions": [*others, condition]}
    return write.store.put(PODS, {**pod, "status": status}, dry_run=write.dry_run)
