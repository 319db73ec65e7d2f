"""StatefulSets: pods with a number each; the highest number goes first.

Limits: no ControllerRevision objects, so a pod below the update's partition that is lost comes
back from the new template; volumes are not made.
"""

from collections.abc import Callable
from datetime import datetime

from tiers.twin.controllers import events, pods
from tiers.twin.kube.errors import ApiError
from tiers.twin.kube.resources import PODS, STATEFUL_SETS, Obj
from tiers.twin.kube.store import ClusterStore

POD_NAME_KEY = "statefulset.kubernetes.io/pod-name"
INDEX_KEY = "apps.kubernetes.io/pod-index"
REVISION_KEY = "controller-revision-hash"
BY = "statefulset-controller"
Mark = Callable[[Obj, Obj, int], Obj]
"""What a webhook adds to a new pod, given its StatefulSet and its number."""


def unmarked(pod: Obj, _stateful: Obj, _ordinal: int) -> Obj:
    return pod


def tick(store: ClusterStore, now: datetime, mark: Mark = unmarked) -> None:
    """Bring every StatefulSet's pods to its spec, in their order, and say how far they are."""
    for stateful in store.all(STATEFUL_SETS):
        if not stateful["metadata"].get("deletionTimestamp"):
            _reconcile(store, stateful, now, mark)
            _report(store, stateful)


def revision(stateful: Obj) -> str:
    return f"{stateful['metadata']['name']}-{pods.template_hash(stateful)}"


def ordinal(pod: Obj) -> int:
    return int(pod["metadata"]["name"].rsplit("-", 1)[1])


def _ordinals(stateful: Obj) -> range:
    spec = stateful["spec"]
    start = int((spec.get("ordinals") or {}).get("start", 0))
    return range(start, start + int(spec.get("replicas", 1)))


def _is_ordered(stateful: Obj) -> bool:
    return bool(stateful["spec"].get("podManagementPolicy", "OrderedReady") == "OrderedReady")


def _is_settled(pod: Obj | None) -> bool:
    return pod is not None and pods.is_ready(pod) and not pods.is_leaving(pod)


def _reconcile(store: ClusterStore, stateful: Obj, now: datetime, mark: Mark) -> None:
    held = {ordinal(pod): pod for pod in store.owned_by(stateful["metadata"]["uid"])}
    wanted, ordered = _ordinals(stateful), _is_ordered(stateful)
    for number in wanted:
        pod = held.get(number)
        if pod is None or pods.is_over(pod):
            _replace(store, stateful, pod, number, now, mark)
        if ordered and not _is_settled(pod):
            # Each pod waits for those before it; nothing shrinks or rolls meanwhile.
            return
    shrinking = _shrink(store, stateful, [p for n, p in held.items() if n not in wanted], now)
    if not shrinking and all(n in held for n in wanted):
        _roll(store, stateful, [held[n] for n in reversed(wanted)], now)


def _replace(
    store: ClusterStore, stateful: Obj, ended: Obj | None, number: int, now: datetime, mark: Mark
) -> None:
    metadata = stateful["metadata"]
    name = f"{metadata['name']}-{number}"
    if ended is not None:
        pods.remove(store, ended, now, grace_s=0)
    if store.find(PODS, metadata["namespace"], name) is not None:
        return  # a pod of that name has not left yet
    pod = pods.from_template(stateful, name, api_version="apps/v1", kind="StatefulSet")
    pod["metadata"]["labels"] |= {
        POD_NAME_KEY: name,
        INDEX_KEY: str(number),
        REVISION_KEY: revision(stateful),
    }
    try:
        pods.create(store, mark(pod, stateful, number), now)
    except ApiError as refusal:
        message = (
            f"create Pod {name} in StatefulSet {metadata['name']} failed error: {refusal.message}"
        )
        events.record(store, stateful, "FailedCreate", message, now, by=BY, warning=True, once=True)
        return
    message = f"create Pod {name} in StatefulSet {metadata['name']} successful"
    events.record(store, stateful, "SuccessfulCreate", message, now, by=BY)


def _shrink(store: ClusterStore, stateful: Obj, surplus: list[Obj], now: datetime) -> bool:
    """Let pods beyond the range go from the highest number down; True while any is there."""
    going = sorted(surplus, key=ordinal, reverse=True)
    for pod in going[:1] if _is_ordered(stateful) else going:
        _delete(store, stateful, pod, now)
    return bool(going)


def _delete(store: ClusterStore, stateful: Obj, pod: Obj, now: datetime) -> None:
    if pods.is_leaving(pod):
        return
    pods.remove(store, pod, now)
    name = stateful["metadata"]["name"]
    message = f"delete Pod {pod['metadata']['name']} in StatefulSet {name} successful"
    events.record(store, stateful, "SuccessfulDelete", message, now, by=BY)


def _roll(store: ClusterStore, stateful: Obj, highest_first: list[Obj], now: datetime) -> None:
    """Replace one pod of an older template at a time."""
    strategy = stateful["spec"].get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return
    partition = int((strategy.get("rollingUpdate") or {}).get("partition", 0))
    current = revision(stateful)
    for pod in highest_first:
        if ordinal(pod) < partition:
            return
        if pod["metadata"]["labels"].get(REVISION_KEY) != current:
            _delete(store, stateful, pod, now)
            return
        if not _is_settled(pod):
            return


def _report(store: ClusterStore, stateful: Obj) -> None:
    held = store.owned_by(stateful["metadata"]["uid"])
    staying = [pod for pod in held if not pods.is_leaving(pod)]
    target = revision(stateful)
    updated = sum(1 for p in staying if p["metadata"]["labels"].get(REVISION_KEY) == target)
    ready = sum(1 for pod in staying if pods.is_ready(pod))
    done = updated == len(staying) == len(_ordinals(stateful))
    current = target if done else stateful["status"].get("currentRevision", target)
    status = {
        "replicas": len(held),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "updatedReplicas": updated,
        "currentReplicas": updated if current == target else len(staying) - updated,
        "currentRevision": current,
        "updateRevision": target,
        "collisionCount": 0,
        "observedGeneration": stateful["metadata"]["generation"],
    }
    metadata = stateful["metadata"]
    fresh = store.get(STATEFUL_SETS, metadata["namespace"], metadata["name"])
    store.put(STATEFUL_SETS, {**fresh, "status": status})
