"""What a pod's place in the queue is: its PriorityClass, or the cluster's default."""

from tiers.twin.kube.priority import default_class
from tiers.twin.kube.resources import PRIORITY_CLASSES, Obj
from tiers.twin.kube.store import ClusterStore


def of_pod(store: ClusterStore, pod: Obj) -> int:
    spec = pod["spec"]
    if "priority" in spec:
        return int(spec["priority"])
    return of_class(store, spec.get("priorityClassName"))


def of_class(store: ClusterStore, name: str | None) -> int:
    found = store.find(PRIORITY_CLASSES, "", name) if name else None
    return int(found["value"]) if found else default(store)


def default(store: ClusterStore) -> int:
    found = default_class(store)
    return int(found["value"]) if found else 0


def may_preempt(store: ClusterStore, pod: Obj) -> bool:
    policy = pod["spec"].get("preemptionPolicy")
    name = pod["spec"].get("priorityClassName")
    found = store.find(PRIORITY_CLASSES, "", name) if name else None
    policy = policy or (found or {}).get("preemptionPolicy")
    return policy != "Never"
