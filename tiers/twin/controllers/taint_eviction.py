"""NoExecute taints: pods that do not tolerate one leave, at once or after their own patience.

The API gives every pod 300 seconds of patience with a node that is away, unless it says otherwise.
Nobody there could finish a deletion: like a cluster whose operator sets the out-of-service taint,
the pods of such a node are removed outright, so that named pods can come back elsewhere.
"""

from datetime import UTC, datetime

from tiers.twin.controllers import events, fit, pods
from tiers.twin.controllers.config import UNREACHABLE_TAINT, ControllerConfig
from tiers.twin.kube.resources import NODES, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.times import parse_time, rfc3339

BY = "taint-eviction-controller"
_SEEN = "no-execute-seen-s/"


def tick(store: ClusterStore, now: datetime, config: ControllerConfig) -> None:
    noticed = _noticed(store)
    for node in store.all(NODES):
        taints = [
            t if "timeAdded" in t else t | {"timeAdded": _notice(store, noticed, node, t, now)}
            for t in node["spec"].get("taints") or ()
            if t["effect"] == "NoExecute"
        ]
        away = any(taint["key"] == UNREACHABLE_TAINT for taint in taints)
        for pod in store.pods_on(node["metadata"]["name"]) if taints else ():
            if not pods.is_over(pod) and any(_is_due(pod, t, now, config) for t in taints):
                _evict(store, pod, now, away=away)
    for name in noticed:
        del store.counters[name]


def _noticed(store: ClusterStore) -> set[str]:
    return {name for name in store.counters if name.startswith(_SEEN)}


def _notice(store: ClusterStore, noticed: set[str], node: Obj, taint: Obj, now: datetime) -> str:
    """Since when a taint that says no time itself has been seen."""
    name = f"{_SEEN}{node['metadata']['uid']}/{taint['key']}"
    noticed.discard(name)
    since = store.counters.setdefault(name, int(now.timestamp()))
    return rfc3339(datetime.fromtimestamp(since, UTC))


def _is_due(pod: Obj, taint: Obj, now: datetime, config: ControllerConfig) -> bool:
    if not fit.tolerates(pod, taint):
        return True
    patience = [
        float(toleration["tolerationSeconds"])
        for toleration in pod["spec"].get("tolerations") or ()
        if "tolerationSeconds" in toleration
        and fit.tolerates({"spec": {"tolerations": [toleration]}}, taint)
    ]
    if not patience:
        return False
    age_s = (now - parse_time(taint["timeAdded"])).total_seconds()
    return age_s >= config.shortened(min(patience))


def _evict(store: ClusterStore, pod: Obj, now: datetime, *, away: bool) -> None:
    if not pods.is_leaving(pod):
        metadata = pod["metadata"]
        said = f"Marking for deletion Pod {metadata['namespace']}/{metadata['name']}"
        status = pods.with_condition(
            pod["status"], "DisruptionTarget", "True", now,
            reason="DeletionByTaintManager",
            message="Taint manager: deleting due to NoExecute taint",
        )  # fmt: skip
        events.record(store, pod, "TaintManagerEviction", said, now, by=BY)
        pod = pods.put_status(store, pod, status)
    pods.remove(store, pod, now, grace_s=0 if away else None)
