"""The node lifecycle: cordons become taints, and nodes with an old Lease NotReady and tainted.

Their pods are unready at once and leave when they have no more patience with the taint
(`taint_eviction`).
"""

from datetime import datetime

from tiers.twin.controllers import events, leases, pods
from tiers.twin.controllers.config import CORDON_TAINT, UNREACHABLE_TAINT, ControllerConfig
from tiers.twin.kube.resources import NODES, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.times import rfc3339

BY = "node-controller"


def fail_node(store: ClusterStore, name: str, now: datetime) -> None:
    """Let a node fall silent. Raises a 404 when there is no such node."""
    store.get(NODES, "", name)
    store.failed_nodes.setdefault(name, now.isoformat())


def heal_node(store: ClusterStore, name: str) -> None:
    """Let a failed node speak again at its next heartbeat."""
    if store.failed_nodes.pop(name, None):
        leases.renew_soon(store)


def tick(store: ClusterStore, now: datetime, config: ControllerConfig) -> None:
    for node in store.all(NODES):
        name = node["metadata"]["name"]
        away = leases.silent_s(store, name, now) >= leases.grace_s(config)
        _keep_taints(store, _lost(store, node, now) if away else node, now, away=away)


def _name(obj: Obj) -> str:
    return str(obj["metadata"]["name"])


def _lost(store: ClusterStore, node: Obj, now: datetime) -> Obj:
    held, status = pods.condition(node, "Ready"), node["status"]
    if held is None or held["status"] != "Unknown":
        status = pods.with_condition(
            status,
            "Ready",
            "Unknown",
            now,
            reason="NodeStatusUnknown",
            message="Kubelet stopped posting node status.",
        )
        said = f"Node {_name(node)} status is now: NodeNotReady"
        events.record(store, node, "NodeNotReady", said, now, by=BY)
        beat = held.get("lastHeartbeatTime") if held else None
        status["conditions"][-1] |= {"lastHeartbeatTime": beat} if beat else {}
    for pod in store.pods_on(node["metadata"]["name"]):
        if pods.is_ready(pod):
            lost = pods.with_condition(pod["status"], "Ready", "False", now, reason="NodeLost")
            pods.put_status(store, pod, lost)
    return store.put(NODES, {**node, "status": status})


def _keep_taints(store: ClusterStore, node: Obj, now: datetime, *, away: bool) -> None:
    """The taints that Kubernetes itself keeps on a node, and nobody else's."""
    wanted = {(CORDON_TAINT, "NoSchedule")} if node["spec"].get("unschedulable") else set()
    if away:
        wanted |= {(UNREACHABLE_TAINT, "NoSchedule"), (UNREACHABLE_TAINT, "NoExecute")}
    held = node["spec"].get("taints") or []
    ours = (CORDON_TAINT, UNREACHABLE_TAINT)
    kept = [t for t in held if t["key"] not in ours or (t["key"], t["effect"]) in wanted]
    present = {(t["key"], t["effect"]) for t in kept}
    added = [
        {"key": key, "effect": effect, "timeAdded": rfc3339(now)}
        for key, effect in sorted(wanted - present)
    ]
    if added or len(kept) != len(held):
        spec = {k: v for k, v in node["spec"].items() if k != "taints"}
        spec |= {"taints": kept + added} if kept or added else {}
        store.put(NODES, {**node, "spec": spec})
