"""Heartbeats: a Lease per node in `kube-node-lease`, renewed all at once each period.

The node's conditions are heard of more rarely, as on a real kubelet. Everything of one cluster is
written in one pass, so that a thousand nodes cost a few milliseconds every ten seconds.
"""

from datetime import UTC, datetime

from tiers.twin.controllers.config import ControllerConfig
from tiers.twin.kube.resources import LEASES, NAMESPACES, NODES, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.times import parse_time

NAMESPACE = "kube-node-lease"
DURATION_S = 40
_RENEWED = "leases-renewed-ms"


def tick(store: ClusterStore, now: datetime, config: ControllerConfig) -> None:
    """Renew every live node's Lease when the period is over; forget those of nodes that went."""
    now_ms = round(now.timestamp() * 1000)
    if 0 <= now_ms - store.counters.get(_RENEWED, 0) < config.heartbeat_s * 1000:
        return
    store.counters[_RENEWED] = now_ms
    if store.find(NAMESPACES, "", NAMESPACE) is None:
        body = {"metadata": {"name": NAMESPACE}, "status": {"phase": "Active"}}
        store.create(NAMESPACES, body, now)
    nodes = {node["metadata"]["name"]: node for node in store.all(NODES)}
    for lease in store.all(LEASES, NAMESPACE):
        if lease["metadata"]["name"] not in nodes:
            store.remove(LEASES, NAMESPACE, lease["metadata"]["name"])
    for name, node in nodes.items():
        if name not in store.failed_nodes:
            _renew(store, node, now)


def renew_soon(store: ClusterStore) -> None:
    """Let the next round renew, whatever the period says."""
    store.counters.pop(_RENEWED, None)


def silent_s(store: ClusterStore, name: str, now: datetime) -> float:
    """Seconds since a node was last heard of; before its first Lease since it fell silent."""
    lease = store.find(LEASES, NAMESPACE, name)
    heard = ((lease or {}).get("spec") or {}).get("renewTime") or store.failed_nodes.get(name)
    return (now - parse_time(heard)).total_seconds() if heard else 0.0


def _renew(store: ClusterStore, node: Obj, now: datetime) -> None:
    name, at = node["metadata"]["name"], _micro(now)
    held = store.find(LEASES, NAMESPACE, name)
    if held is not None:
        store.put(LEASES, {**held, "spec": held["spec"] | {"renewTime": at}})
        return
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"]}
    metadata = {"name": name, "namespace": NAMESPACE, "ownerReferences": [owner]}
    spec = {"holderIdentity": name, "leaseDurationSeconds": DURATION_S, "renewTime": at}
    store.create(LEASES, {"metadata": metadata, "spec": spec}, now)


def _micro(moment: datetime) -> str:
    """`MicroTime`, in which Leases are written."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def grace_s(config: ControllerConfig) -> float:
    """How old a Lease may grow: a whole period and, shortened, what a real grace has beyond it."""
    beyond = config.node_grace_s - config.heartbeat_s
    return config.heartbeat_s + config.shortened(beyond)
