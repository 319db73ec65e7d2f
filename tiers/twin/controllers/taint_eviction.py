"""NoExecute taints: pods that do not tolerate one leave, at once or after their own patience.

A node that is away has its own, harder way (`nodes`); this is for taints that people and agents
set.
"""

from datetime import datetime

from tiers.twin.controllers import events, fit, pods
from tiers.twin.controllers.config import UNREACHABLE_TAINT, ControllerConfig
from tiers.twin.kube.resources import NODES, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.times import parse_time

BY = "taint-eviction-controller"


def tick(store: ClusterStore, now: datetime, config: ControllerConfig) -> None:
    for node in store.all(NODES):
        held = node["spec"].get("taints") or ()
        taints = [t for t in held if t["effect"] == "NoExecute" and t["key"] != UNREACHABLE_TAINT]
        if not taints:
            continue
        for pod in store.pods_on(node["metadata"]["name"]):
            leaving = pods.is_leaving(pod) or pods.is_over(pod)
            if not leaving and any(_is_due(pod, taint, now, config) for taint in taints):
                _evict(store, pod, now)


def _is_due(pod: Obj, taint: Obj, now: datetime, config: ControllerConfig) -> bool:
    if not fit.tolerates(pod, taint):
        return True
    patience = [
        float(toleration["tolerationSeconds"])
        for toleration in pod["spec"].get("tolerations") or ()
        if "tolerationSeconds" in toleration
        and fit.tolerates({"spec": {"tolerations": [toleration]}}, taint)
    ]
    if not patience or "timeAdded" not in taint:
        return False
    age_s = (now - parse_time(taint["timeAdded"])).total_seconds()
    return age_s >= config.shortened(min(patience))


def _evict(store: ClusterStore, pod: Obj, now: datetime) -> None:
    metadata = pod["metadata"]
    said = f"Marking for deletion Pod {metadata['namespace']}/{metadata['name']}"
    status = pods.with_condition(
        pod["status"], "DisruptionTarget", "True", now,
        reason="DeletionByTaintManager", message="Taint manager: deleting due to NoExecute taint",
    )  # fmt: skip
    events.record(store, pod, "TaintManagerEviction", said, now, by=BY)
    pods.remove(store, pods.put_status(store, pod, status), now)
