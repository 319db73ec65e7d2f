"""Priority admission: a pod's number and policy come from its PriorityClass when it is created."""

from tiers.twin.kube.errors import forbidden
from tiers.twin.kube.resources import PODS, PRIORITY_CLASSES, Obj, Resource
from tiers.twin.kube.store import ClusterStore

PREEMPT = "PreemptLowerPriority"


def admit(store: ClusterStore, resource: Resource, obj: Obj) -> Obj:
    """The pod with its priority; anything else as it is. Raises a 403 for an unknown class."""
    if resource is not PODS:
        return obj
    spec = obj["spec"]
    name = spec.get("priorityClassName")
    found = store.find(PRIORITY_CLASSES, "", name) if name else default_class(store)
    if name and found is None:
        why = f"no PriorityClass with name {name} was found"
        raise forbidden(resource, obj["metadata"]["name"], why)
    number = int(found["value"]) if found else 0
    policy = (found or {}).get("preemptionPolicy", PREEMPT)
    named = {"priorityClassName": found["metadata"]["name"]} if found else {}
    given = {"priority": number, "preemptionPolicy": policy}
    return {**obj, "spec": {**given, **spec, **named, "priority": number}}


def default_class(store: ClusterStore) -> Obj | None:
    """The class of pods that name none: the highest of those marked as the default."""
    marked = [c for c in store.all(PRIORITY_CLASSES) if c.get("globalDefault")]
    return max(marked, key=lambda c: int(c["value"]), default=None)
