"""The columns of each kind's table, as `kubectl get` prints them."""

from datetime import datetime

from tiers.twin.kube import resources as kinds
from tiers.twin.kube.columns import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    NONE,
    SELECTOR,
    UNKNOWN,
    Cell,
    Column,
    Reader,
    at,
    condition,
    number,
    ratio,
    since,
    text,
)
from tiers.twin.kube.resources import Obj, Resource
from tiers.twin.kube.times import parse_time

# Pods and nodes


def _pod_status(obj: Obj, now: datetime) -> Cell:
    shown = str(at(obj, "status.reason") or at(obj, "status.phase") or UNKNOWN)
    for held in at(obj, "status.containerStatuses") or ():
        for state in ("waiting", "terminated"):
            shown = at(held, f"state.{state}.reason") or shown
    if obj["metadata"].get("deletionTimestamp"):
        return "Unknown" if at(obj, "status.reason") == "NodeLost" else "Terminating"
    gated = any(c.get("reason") == "SchedulingGated" for c in at(obj, "status.conditions") or ())
    return "SchedulingGated" if gated else shown


def _pod_ready(obj: Obj, now: datetime) -> Cell:
    ready = sum(1 for c in at(obj, "status.containerStatuses") or () if c.get("ready"))
    return f"{ready}/{len(at(obj, 'spec.containers') or ())}"


def _restarts(obj: Obj, now: datetime) -> Cell:
    return str(sum(c.get("restartCount", 0) for c in at(obj, "status.containerStatuses") or ()))


def _node_status(obj: Obj, now: datetime) -> Cell:
    found = {c["type"]: c["status"] for c in at(obj, "status.conditions") or ()}
    ready = {"True": "Ready", None: "Unknown"}.get(found.get("Ready"), "NotReady")
    return ready + (",SchedulingDisabled" if at(obj, "spec.unschedulable") else "")


def _roles(obj: Obj, now: datetime) -> Cell:
    prefix = "node-role.kubernetes.io/"
    labels = obj["metadata"].get("labels") or {}
    return ",".join(sorted(k.removeprefix(prefix) for k in labels if k.startswith(prefix))) or NONE


def _address(kind: str) -> Reader:
    def read(obj: Obj, now: datetime) -> Cell:
        found = at(obj, "status.addresses") or ()
        return next((str(a["address"]) for a in found if a["type"] == kind), NONE)

    return read


# The rest


def _job_status(obj: Obj, now: datetime) -> Cell:
    held = {c["type"] for c in at(obj, "status.conditions") or () if c["status"] == "True"}
    known = {"Complete": "Complete", "Failed": "Failed", "Suspended": "Suspended"}
    return next((word for kind, word in known.items() if kind in held), "Running")


def _job_duration(obj: Obj, now: datetime) -> Cell:
    if not (start := at(obj, "status.startTime")):
        return ""
    end = at(obj, "status.completionTime")
    return since(start, parse_time(end) if end else now)


def _about(obj: Obj, now: datetime) -> Cell:
    thing = obj.get("involvedObject") or obj.get("regarding") or {}
    return f"{str(thing.get('kind', '')).lower()}/{thing.get('name', '')}"


def _last_seen(obj: Obj, now: datetime) -> Cell:
    keys = ("lastTimestamp", "deprecatedLastTimestamp", "eventTime", "firstTimestamp")
    told = (at(obj, "series.lastObservedTime"), *(obj.get(key) for key in keys))
    return since(next((t for t in told if t), None), now)


def _amounts(prefix: str) -> Reader:
    def read(obj: Obj, now: datetime) -> Cell:
        used = at(obj, "status.used") or {}
        hard = at(obj, "status.hard") or {}
        limits = {k: v for k, v in hard.items() if k.startswith("limits.") == (prefix == "limits")}
        return ", ".join(f"{k}: {used.get(k, '0')}/{limits[k]}" for k in sorted(limits))

    return read


def _targets(obj: Obj, now: datetime) -> Cell:
    count = len(at(obj, "spec.metrics") or ())
    return f"{count} metric(s)" if count else NONE


def _reference(obj: Obj, now: datetime) -> Cell:
    aim = at(obj, "spec.scaleTargetRef") or {}
    return f"{aim.get('kind', '')}/{aim.get('name', '')}"


_QUEUE_COUNTS = (
    number("Pending Workloads", "status.pendingWorkloads"),
    number("Admitted Workloads", "status.admittedWorkloads", priority=1),
)
_MESSAGE = Column("Message", lambda obj, now: str(obj.get("message") or obj.get("note") or ""))
_EVENTS = (
    Column("Last Seen", _last_seen), text("Type", "type", ""), text("Reason", "reason", ""),
    Column("Object", _about), _MESSAGE,
    Column("Name", lambda obj, now: str(obj["metadata"]["name"]), priority=1),
)  # fmt: skip
_COLUMNS: dict[Resource, tuple[Column, ...]] = {
    kinds.PODS: (
        NAME, Column("Ready", _pod_ready), Column("Status", _pod_status),
        Column("Restarts", _restarts), AGE, text("IP", "status.podIP", priority=1),
        text("Node", "spec.nodeName", priority=1),
        text("Nominated Node", "status.nominatedNodeName", priority=1),
    ),
    kinds.NODES: (
        NAME, Column("Status", _node_status), Column("Roles", _roles), AGE,
        text("Version", "status.nodeInfo.kubeletVersion", ""),
        Column("Internal-IP", _address("InternalIP"), priority=1),
        Column("External-IP", _address("ExternalIP"), priority=1),
        text("OS-Image", "status.nodeInfo.osImage", UNKNOWN, 1),
        text("Kernel-Version", "status.nodeInfo.kernelVersion", UNKNOWN, 1),
        text("Container-Runtime", "status.nodeInfo.containerRuntimeVersion", UNKNOWN, 1),
    ),
    kinds.DEPLOYMENTS: (
        NAME, ratio("Ready", "status.readyReplicas", "spec.replicas"),
        number("Up-to-date", "status.updatedReplicas"),
        number("Available", "status.availableReplicas"), AGE, CONTAINERS, IMAGES, SELECTOR,
    ),
    kinds.REPLICA_SETS: (
        NAME, number("Desired", "spec.replicas"), number("Current", "status.replicas"),
        number("Ready", "status.readyReplicas"), AGE, CONTAINERS, IMAGES, SELECTOR,
    ),
    kinds.STATEFUL_SETS: (
        NAME, ratio("Ready", "status.readyReplicas", "spec.replicas"), AGE, CONTAINERS, IMAGES,
    ),
    kinds.JOBS: (
        NAME, Column("Status", _job_status),
        ratio("Completions", "status.succeeded", "spec.completions", 1),
        Column("Duration", _job_duration), AGE, CONTAINERS, IMAGES, SELECTOR,
    ),
    kinds.EVENTS: _EVENTS,
    kinds.EVENTS_V1: _EVENTS,
    kinds.NAMESPACES: (NAME, text("Status", "status.phase", ""), AGE),
    kinds.PDBS: (
        NAME, text("Min Available", "spec.minAvailable", "N/A"),
        text("Max Unavailable", "spec.maxUnavailable", "N/A"),
        number("Allowed Disruptions", "status.disruptionsAllowed"), AGE,
    ),
    kinds.HPAS: (
        NAME, Column("Reference", _reference), Column("Targets", _targets),
        text("MinPods", "spec.minReplicas", "<unset>"), number("MaxPods", "spec.maxReplicas"),
        number("Replicas", "status.currentReplicas"), AGE,
    ),
    kinds.LEASES: (NAME, text("Holder", "spec.holderIdentity", ""), AGE),
    kinds.QUOTAS: (
        NAME, Column("Request", _amounts("requests")), Column("Limit", _amounts("limits")), AGE,
    ),
    kinds.PRIORITY_CLASSES: (
        NAME, number("Value", "value"), text("Global-Default", "globalDefault", "False"), AGE,
        text("PreemptionPolicy", "preemptionPolicy", ""),
    ),
    kinds.RESOURCE_SLICES: (
        NAME, text("Node", "spec.nodeName", ""), text("Driver", "spec.driver", ""),
        text("Pool", "spec.pool.name", ""), AGE,
    ),
    kinds.CLUSTER_QUEUES: (
        NAME, text("Cohort", "spec.cohortName", ""),
        text("Strategy", "spec.queueingStrategy", "", 1), *_QUEUE_COUNTS,
    ),
    kinds.LOCAL_QUEUES: (NAME, text("ClusterQueue", "spec.clusterQueue", ""), *_QUEUE_COUNTS),
    kinds.WORKLOADS: (
        NAME, text("Queue", "spec.queueName", ""),
        text("Reserved in", "status.admission.clusterQueue", ""), condition("Admitted", "Admitted"),
        condition("Finished", "Finished"), AGE,
    ),
    kinds.SCALED_OBJECTS: (
        NAME, text("ScaleTargetKind", "status.scaleTargetKind", ""),
        text("ScaleTargetName", "spec.scaleTargetRef.name", ""),
        number("Min", "spec.minReplicaCount", None), number("Max", "spec.maxReplicaCount", None),
        condition("Ready", "Ready"), condition("Active", "Active"),
        condition("Fallback", "Fallback"), condition("Paused", "Paused"), AGE,
    ),
    kinds.LEADER_WORKER_SETS: (
        NAME, number("Ready", "status.readyReplicas", None), number("Desired", "spec.replicas"),
        number("Up-to-date", "status.updatedReplicas", None), AGE,
    ),
    kinds.NODE_POOLS: (
        NAME, text("NodeClass", "spec.template.spec.nodeClassRef.name", ""),
        text("Nodes", "status.resources.nodes", ""), condition("Ready", "Ready"), AGE,
    ),
    kinds.NODE_CLAIMS: (
        NAME, text("Node", "status.nodeName", ""), condition("Ready", "Ready"), AGE,
    ),
    kinds.MACHINE_DEPLOYMENTS: (
        NAME, text("Cluster", "spec.clusterName", ""), number("Desired", "spec.replicas", None),
        number("Current", "status.replicas", None), number("Ready", "status.readyReplicas", None),
        AGE,
    ),
}  # fmt: skip


def of(resource: Resource) -> tuple[Column, ...]:
    return _COLUMNS.get(resource, (NAME, AGE))
