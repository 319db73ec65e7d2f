"""A health agent: a node whose GPU reports an XID error is tainted and says so, by its own hand.

The error is the node's annotation `twin/xid`; when it is gone the agent takes back its taint, and
nobody else's.
"""

from datetime import datetime

from tiers.twin.controllers import events, pods
from tiers.twin.kube.resources import NODES, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.times import rfc3339
from tiers.twin.kube.updates import replace
from tiers.twin.kube.verbs import Write

XID_KEY = "twin/xid"
TAINT = "nvidia.com/gpu-health"
CONDITION = "GpuUnhealthy"
MANAGER = "gpu-health-agent"


def tick(store: ClusterStore, now: datetime) -> None:
    for node in store.all(NODES):
        xid = (node["metadata"].get("annotations") or {}).get(XID_KEY, "")
        if xid != _told(node):
            _tell(store, node, xid, now)


def _told(node: Obj) -> str:
    """The error that the agent's taint names already."""
    taints = node["spec"].get("taints") or ()
    return next((t["value"].removeprefix("xid-") for t in taints if t["key"] == TAINT), "")


def _tell(store: ClusterStore, node: Obj, xid: str, now: datetime) -> None:
    name = node["metadata"]["name"]
    said = f"A GPU reported XID {xid}" if xid else "No GPU reports an error"
    kept = [t for t in node["spec"].get("taints") or () if t["key"] != TAINT]
    made = {"key": TAINT, "value": f"xid-{xid}", "effect": "NoSchedule"}
    made |= {"timeAdded": rfc3339(now)}
    spec = {**node["spec"], "taints": [*kept, made] if xid else kept}
    write = Write(store, NODES, "", name, now, manager=MANAGER)
    node = replace(write, {**node, "spec": spec})
    status = pods.with_condition(
        node["status"], CONDITION, str(bool(xid)), now,
        reason="XidError" if xid else "NoXidError", message=said,
    )  # fmt: skip
    write = Write(store, NODES, "", name, now, subresource="status", manager=MANAGER)
    node = replace(write, {**node, "status": status})
    reason = "GpuUnhealthy" if xid else "GpuHealthy"
    events.record(store, node, reason, said, now, by=MANAGER, warning=bool(xid))
