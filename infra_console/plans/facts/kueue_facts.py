"""What a plan relies on of Kueue's objects, and how they stand once it is done.

Preconditions are who an object is and what somebody set, never its status: admissions void nothing.
A move of quota is a Move of kind `scale` on a ClusterQueue: `pool` is the flavour, the counts are
whole GPUs of nominal quota, `evicts` are the Workloads that leave for it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from infra_console.cluster.kueue import read_cluster_queue, read_workload
from infra_console.cluster.objects import GPU
from infra_console.plans.spec import Move, ObjectRef


def quota_fact(flavor: str, resource: str) -> str:
    """The name of the fact that one nominal quota is what it was."""
    return f"quota of {resource} in {flavor}"


def quota_problems(move: Move) -> list[str]:
    """How a queue differs from what a move of its quota promised, its status included."""
    queue = read_cluster_queue(move.target.cluster, move.target.name)
    quota, wanted = queue.quota(move.pool, GPU), move.to_replicas or 0
    if quota is None:
        return [f"{queue.name}: has no quota of {move.pool}, planned {wanted}"]
    if quota.amount != wanted:
        return [f"{queue.name}: quota of {move.pool} is {quota.amount}, planned {wanted}"]
    held = queue.reserved.get((move.pool, GPU), 0)
    if wanted < (move.from_replicas or 0) and held > wanted:
        return [f"{queue.name}: {held} of {wanted} GPUs of {move.pool} are reserved"]
    return []


def _queue(target: ObjectRef) -> dict[str, Any]:
    queue = read_cluster_queue(target.cluster, target.name)
    quotas = {quota_fact(q.flavor, q.resource): q.amount for q in queue.quotas}
    return {"uid": queue.uid, **quotas}


def _workload(target: ObjectRef) -> dict[str, Any]:
    workload = read_workload(target.cluster, target.namespace, target.name)
    return {"uid": workload.uid, "active": workload.active}


KUEUE_FACTS: Mapping[str, Callable[[ObjectRef], dict[str, Any]]] = {
    "ClusterQueue": _queue,
    "Workload": _workload,
}
