"""`pods/binding`: how a scheduler puts a pod on a node, once and for good."""

from typing import Any

from tiers.twin.kube.errors import bad_request, conflict, failure
from tiers.twin.kube.resources import PODS, Obj, Resource
from tiers.twin.kube.times import rfc3339
from tiers.twin.kube.verbs import Write

_BINDINGS = Resource("", "v1", "Binding", "pods/binding", True)


def bind(write: Write, body: Any) -> Obj:
    """Set a pod's node.

    Raises:
        ApiError: 409 when it has one already, is leaving or is gated, 404 and 400 as any create.
    """
    if not isinstance(body, dict) or body.get("kind", "Binding") != "Binding":
        raise bad_request("not a Binding")
    metadata, target = body.get("metadata") or {}, body.get("target") or {}
    if metadata.get("name", write.name) != write.name:
        raise bad_request("name in URL does not match name in Binding object")
    if target.get("kind", "Node") not in ("", "Node") or not target.get("name"):
        raise failure(500, "target.name: Required value")
    pod = write.store.get(PODS, write.namespace, write.name)
    _refuse_bound(write, pod, metadata)
    spec = {**pod["spec"], "nodeName": target["name"]}
    status = {**pod["status"], "conditions": _scheduled(pod, rfc3339(write.now))}
    after = {**pod, "metadata": _annotated(pod, metadata), "spec": spec, "status": status}
    write.store.put(PODS, after, dry_run=write.dry_run)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _refuse_bound(write: Write, pod: Obj, metadata: Obj) -> None:
    held, why = pod["metadata"], ""
    uid, version = metadata.get("uid"), metadata.get("resourceVersion")
    if (uid and uid != held["uid"]) or (version and version != held["resourceVersion"]):
        why = "Precondition failed: the pod is another, or has changed"
    elif held.get("deletionTimestamp"):
        why = f"pod {write.name} is being deleted, cannot be assigned to a host"
    elif node := pod["spec"].get("nodeName"):
        why = f'pod {write.name} is already assigned to node "{node}"'
    elif pod["spec"].get("schedulingGates"):
        why = f"pod {write.name} has non-empty .spec.schedulingGates"
    if why:
        raise conflict(_BINDINGS, write.name, why)


def _annotated(pod: Obj, metadata: Obj) -> Obj:
    """A binding's labels and annotations become the pod's."""
    told = {
        key: {**(pod["metadata"].get(key) or {}), **metadata[key]}
        for key in ("labels", "annotations")
        if metadata.get(key)
    }
    return {**pod["metadata"], **told}


def _scheduled(pod: Obj, at: str) -> list[Obj]:
    others = [c for c in pod["status"].get("conditions") or () if c["type"] != "PodScheduled"]
    return [*others, {"type": "PodScheduled", "status": "True", "lastTransitionTime": at}]
