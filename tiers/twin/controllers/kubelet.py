"""What the nodes do: start pods, report them ready after loading, let them go, report conditions.

A pod is Pending while its image is pulled, Running and not Ready while weights load, then Ready.
"""

import zlib
from datetime import datetime, timedelta

from tiers.twin.controllers import events, pods
from tiers.twin.controllers.config import DRAIN_KEY, LOAD_KEY, ControllerConfig
from tiers.twin.kube.resources import NODES, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.times import parse_time, rfc3339

BY = "kubelet"
_HEALTHY = {
    "MemoryPressure": ("False", "KubeletHasSufficientMemory"),
    "DiskPressure": ("False", "KubeletHasNoDiskPressure"),
    "PIDPressure": ("False", "KubeletHasSufficientPID"),
    "Ready": ("True", "KubeletReady"),
}


def tick(store: ClusterStore, now: datetime, config: ControllerConfig) -> None:
    """One round of every node's kubelet; a failed node's does nothing."""
    for node in store.all(NODES):
        name = node["metadata"]["name"]
        if name in store.failed_nodes:
            continue
        _heartbeat(store, node, now, config)
        for pod in store.pods_on(name):
            _advance(store, pod, node, now, config)


def _heartbeat(store: ClusterStore, node: Obj, now: datetime, config: ControllerConfig) -> None:
    ready = pods.condition(node, "Ready")
    last = ready.get("lastHeartbeatTime") if ready else None
    fresh = last and now - parse_time(last) < timedelta(seconds=config.shortened(config.status_s))
    if fresh and pods.is_ready(node):
        return
    if not pods.is_ready(node):
        said = f"Node {node['metadata']['name']} status is now: NodeReady"
        events.record(store, node, "NodeReady", said, now, by=BY)
    store.put(NODES, {**node, "status": healthy(node["status"], now)})


def healthy(status: Obj, now: datetime) -> Obj:
    """A node's status with every condition well and heard of now."""
    for kind, (value, reason) in _HEALTHY.items():
        status = pods.with_condition(status, kind, value, now, reason=reason)
    beats = [
        {**c, "lastHeartbeatTime": rfc3339(now)} if c["type"] in _HEALTHY else c
        for c in status["conditions"]
    ]
    return {**status, "conditions": beats}


def _advance(
    store: ClusterStore, pod: Obj, node: Obj, now: datetime, config: ControllerConfig
) -> None:
    if pods.is_over(pod):
        return
    if pods.is_leaving(pod):
        _let_go(store, pod, now, config)
        return
    if pods.is_ready(pod):
        return
    if "startTime" not in pod["status"]:
        pods.put_status(store, pod, _accepted(pod, node, now))
        return
    age_s = (now - parse_time(pod["status"]["startTime"])).total_seconds()
    image_s = config.shortened(config.image_s)
    if pod["status"]["phase"] == "Pending" and age_s >= image_s:
        pod = pods.put_status(store, pod, _running(pod, now))
    loaded = age_s >= image_s + config.shortened(_seconds(pod, LOAD_KEY, config.load_s))
    if pod["status"]["phase"] == "Running" and loaded and not pods.is_ready(pod):
        pods.put_status(store, pod, _ready(pod, now))


def _seconds(pod: Obj, key: str, default: float) -> float:
    text = (pod["metadata"].get("annotations") or {}).get(key)
    try:
        return float(text) if text is not None else default
    except ValueError:
        return default


def _let_go(store: ClusterStore, pod: Obj, now: datetime, config: ControllerConfig) -> None:
    """Remove a leaving pod when it has drained or its grace is over, whichever is first."""
    metadata = pod["metadata"]
    for container in pod["spec"]["containers"][:1]:
        said = f"Stopping container {container['name']}"
        events.record(store, pod, "Killing", said, now, by=BY, once=True)
    grace_s = float(metadata.get("deletionGracePeriodSeconds", 0))
    asked_at = parse_time(metadata["deletionTimestamp"]) - timedelta(seconds=grace_s)
    takes_s = config.shortened(min(grace_s, _seconds(pod, DRAIN_KEY, config.drain_s)))
    if now - asked_at >= timedelta(seconds=takes_s):
        pods.remove(store, pod, now, grace_s=0)  # who has a finalizer stays until it is taken off


def _accepted(pod: Obj, node: Obj, now: datetime) -> Obj:
    address = _address(pod["metadata"]["uid"], "10.128")
    host = _address(node["metadata"]["name"], "10.64")
    status: Obj = pod["status"] | {"startTime": rfc3339(now), "podIP": address, "hostIP": host}
    status["podIPs"], status["hostIPs"] = [{"ip": address}], [{"ip": host}]
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    status["containerStatuses"] = _containers(pod, waiting, ready=False)
    status = pods.with_condition(status, "Initialized", "True", now)
    return _readiness(status, "False", now)


def _address(seed: str, prefix: str) -> str:
    number = zlib.crc32(seed.encode())
    return f"{prefix}.{number >> 8 & 255}.{number & 255}"


def _containers(pod: Obj, state: Obj, *, ready: bool) -> list[Obj]:
    return [
        {
            "name": c["name"],
            "image": c.get("image", ""),
            "imageID": "",
            "ready": ready,
            "started": ready,
            "restartCount": 0,
            "state": state,
        }
        for c in pod["spec"]["containers"]
    ]


def _readiness(status: Obj, value: str, now: datetime) -> Obj:
    reason = "" if value == "True" else "ContainersNotReady"
    status = pods.with_condition(status, "ContainersReady", value, now, reason=reason)
    return pods.with_condition(status, "Ready", value, now, reason=reason)


def _running(pod: Obj, now: datetime) -> Obj:
    state = {"running": {"startedAt": rfc3339(now)}}
    statuses = _containers(pod, state, ready=False)
    return {**pod["status"], "phase": "Running", "containerStatuses": statuses}


def _ready(pod: Obj, now: datetime) -> Obj:
    held = pod["status"].get("containerStatuses") or [{}]
    state = held[0].get("state") or {"running": {"startedAt": rfc3339(now)}}
    status = {**pod["status"], "containerStatuses": _containers(pod, state, ready=True)}
    return _readiness(status, "True", now)
