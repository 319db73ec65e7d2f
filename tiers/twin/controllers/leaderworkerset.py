"""LeaderWorkerSets: groups of one leader and its workers that live and die together.

As in the real controller a StatefulSet holds the leaders (`lws-0`), and each leader owns one that
holds its workers (`lws-0-1`, `lws-0-2`). The unit is the group: a lost pod takes the whole group
with it, fewer replicas drop the highest group, a new template replaces group by group. A leader
that leaves takes its workers along at once, not after it.
"""

import hashlib
import json
from datetime import datetime

from tiers.twin.controllers import events, pods
from tiers.twin.controllers.pods import status_of
from tiers.twin.kube.resources import LEADER_WORKER_SETS, STATEFUL_SETS, Obj
from tiers.twin.kube.store import ClusterStore

_PREFIX = "leaderworkerset.sigs.k8s.io"
NAME_KEY = f"{_PREFIX}/name"
GROUP_INDEX_KEY = f"{_PREFIX}/group-index"
GROUP_KEY = f"{_PREFIX}/group-key"
WORKER_INDEX_KEY = f"{_PREFIX}/worker-index"
REVISION_KEY = f"{_PREFIX}/template-revision-hash"
SIZE_KEY = f"{_PREFIX}/size"
LEADER_NAME_KEY = f"{_PREFIX}/leader-name"
BY = "leaderworkerset"


def tick(store: ClusterStore, now: datetime) -> None:
    """Bring every set's leaders and workers to its spec; restart groups that lost a pod."""
    for lws in store.all(LEADER_WORKER_SETS):
        if lws["metadata"].get("deletionTimestamp"):
            continue
        leaders = _leader_set(store, lws, now)["metadata"]["uid"]
        for leader in store.owned_by(leaders):
            if not pods.is_leaving(leader):
                _keep_group(store, lws, leader, now)
        _report(store, lws, store.owned_by(leaders), now)


def mark(pod: Obj, stateful: Obj, ordinal: int) -> Obj:
    """The labels that the webhook gives to pods of leader and worker sets."""
    metadata = pod["metadata"]
    if NAME_KEY not in (stateful["metadata"].get("labels") or {}):
        return pod
    if metadata["labels"].get(WORKER_INDEX_KEY) == "0":
        group = {GROUP_INDEX_KEY: str(ordinal), GROUP_KEY: _group_key(metadata)}
        return {**pod, "metadata": {**metadata, "labels": metadata["labels"] | group}}
    index = {WORKER_INDEX_KEY: str(ordinal)}
    return {**pod, "metadata": {**metadata, "labels": metadata["labels"] | index}}


def _group_key(leader: Obj) -> str:
    return hashlib.sha1(f"{leader['namespace']}/{leader['name']}".encode()).hexdigest()  # noqa: S324


def _template(lws: Obj) -> Obj:
    return dict(lws["spec"]["leaderWorkerTemplate"])


def _size(lws: Obj) -> int:
    return int(_template(lws).get("size", 1))


def _revision(lws: Obj) -> str:
    text = json.dumps(_template(lws), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _leader_set(store: ClusterStore, lws: Obj, now: datetime) -> Obj:
    """The StatefulSet of the leaders, made or brought to the spec."""
    metadata, template = lws["metadata"], _template(lws)
    labels = {NAME_KEY: metadata["name"], WORKER_INDEX_KEY: "0"}
    made = _set(lws, metadata["name"], template.get("leaderTemplate") or template["workerTemplate"],
                labels, replicas=int(lws["spec"].get("replicas", 1)))  # fmt: skip
    held = store.find(STATEFUL_SETS, metadata["namespace"], metadata["name"])
    if held is None:
        owner = pods.owner_reference(lws, api_version="leaderworkerset.x-k8s.io/v1",
                                     kind="LeaderWorkerSet")  # fmt: skip
        made["metadata"]["ownerReferences"] = [owner]
        return store.create(STATEFUL_SETS, made, now)
    return store.put(STATEFUL_SETS, {**held, "spec": made["spec"]})


def _set(lws: Obj, name: str, template: Obj, labels: dict[str, str], *, replicas: int) -> Obj:
    meta = template.get("metadata") or {}
    inner = {
        "labels": (meta.get("labels") or {}) | labels | {REVISION_KEY: _revision(lws)},
        "annotations": (meta.get("annotations") or {}) | {SIZE_KEY: str(_size(lws))},
    }
    set_labels = {NAME_KEY: lws["metadata"]["name"], REVISION_KEY: _revision(lws)}
    return {
        "metadata": {
            "name": name, "namespace": lws["metadata"]["namespace"], "labels": set_labels,
        },
        "spec": {
            "replicas": replicas,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": labels},
            "serviceName": lws["metadata"]["name"],
            "template": {"metadata": inner, "spec": template["spec"]},
        },
        "status": {},
    }  # fmt: skip


def _keep_group(store: ClusterStore, lws: Obj, leader: Obj, now: datetime) -> None:
    metadata = leader["metadata"]
    workers = store.find(STATEFUL_SETS, metadata["namespace"], metadata["name"])
    late = lws["spec"].get("startupPolicy") == "LeaderReady" and not pods.is_ready(leader)
    if workers is None:
        if _size(lws) > 1 and not late:
            store.create(STATEFUL_SETS, _worker_set(lws, leader), now)
        return
    lost = _lost(store, workers)
    policy = _template(lws).get("restartPolicy", "RecreateGroupOnPodRestart")
    if lost and policy == "RecreateGroupOnPodRestart":
        pods.remove(store, leader, now)
        group = metadata["labels"].get(GROUP_INDEX_KEY)
        message = f"{lost}, deleted leader pod {metadata['name']} to recreate group {group}"
        events.record(store, lws, "RecreateGroupOnPodRestart", message, now, by=BY)


def _lost(store: ClusterStore, workers: Obj) -> str:
    """What happened to a worker of the group; empty while all that were there still are."""
    held = store.owned_by(workers["metadata"]["uid"])
    for pod in held:
        if pods.is_leaving(pod) or pods.is_over(pod):
            return f"Worker pod {pod['metadata']['name']} failed"
    return "A worker pod is gone" if len(held) < workers["status"].get("replicas", 0) else ""


def _worker_set(lws: Obj, leader: Obj) -> Obj:
    metadata = leader["metadata"]
    labels = {
        NAME_KEY: lws["metadata"]["name"],
        GROUP_INDEX_KEY: metadata["labels"][GROUP_INDEX_KEY],
        GROUP_KEY: metadata["labels"][GROUP_KEY],
    }
    template = _template(lws)["workerTemplate"]
    made = _set(lws, metadata["name"], template, labels, replicas=_size(lws) - 1)
    made["spec"]["ordinals"] = {"start": 1}
    made["spec"]["template"]["metadata"]["annotations"][LEADER_NAME_KEY] = metadata["name"]
    owner = pods.owner_reference(leader, api_version="v1", kind="Pod")
    made["metadata"]["ownerReferences"] = [owner]
    return made


def _report(store: ClusterStore, lws: Obj, leaders: list[Obj], now: datetime) -> None:
    groups = [leader for leader in leaders if not pods.is_leaving(leader)]
    ready = sum(1 for leader in groups if _is_whole(store, lws, leader))
    current = _revision(lws)
    updated = sum(1 for p in groups if p["metadata"]["labels"].get(REVISION_KEY) == current)
    name, wanted = lws["metadata"]["name"], int(lws["spec"].get("replicas", 1))
    status = {
        "replicas": len(leaders),
        "readyReplicas": ready,
        "updatedReplicas": updated,
        "hpaPodSelector": f"{NAME_KEY}={name},{WORKER_INDEX_KEY}=0",
        "observedGeneration": lws["metadata"]["generation"],
        "conditions": status_of(lws).get("conditions") or [],
    }
    whole = ready == updated == len(leaders) == wanted
    for kind, value, reason, message in (
        ("Available", whole, "AllGroupsReady", "All replicas are ready"),
        ("Progressing", not whole, "GroupsProgressing", "Replicas are progressing"),
    ):
        status = pods.with_condition(status, kind, str(value), now, reason=reason, message=message)
    fresh = store.get(LEADER_WORKER_SETS, lws["metadata"]["namespace"], name)
    store.put(LEADER_WORKER_SETS, {**fresh, "status": status})


def _is_whole(store: ClusterStore, lws: Obj, leader: Obj) -> bool:
    if not pods.is_ready(leader):
        return False
    workers = store.owned_by(leader["metadata"]["uid"], STATEFUL_SETS)
    ready = sum(w["status"].get("readyReplicas", 0) for w in workers)
    return bool(ready == _size(lws) - 1)
