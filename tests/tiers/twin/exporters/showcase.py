"""A small cluster that has one of everything an exporter reports of."""

from tests.tiers.twin.objects import NOW, NOW_S, add_pod, small_cluster
from tiers.twin.demand import BuiltInDemand
from tiers.twin.kube.resources import (
    CLUSTER_QUEUES,
    DEPLOYMENTS,
    HPAS,
    JOBS,
    LOCAL_QUEUES,
    NAMESPACES,
    NODES,
    PDBS,
    PODS,
    QUOTAS,
    REPLICA_SETS,
    STATEFUL_SETS,
    WORKLOADS,
)
from tiers.twin.physics import ClusterPhysics

AT = "2026-11-24T11:58:00Z"
OWNER = {"kind": "Deployment", "name": "shop", "uid": "u", "controller": True}
GONE = {"terminated": {"reason": "OOMKilled", "exitCode": 137, "startedAt": AT, "finishedAt": AT}}


def condition(kind, status="True", **more):
    return {"type": kind, "status": status, "lastTransitionTime": AT, **more}


def create(store, resource, name, namespace="inference", *, meta=None, **parts):
    metadata = {"name": name, **({"namespace": namespace} if resource.namespaced else {})}
    return store.create(resource, {"metadata": metadata | (meta or {}), **parts}, NOW)


def physics_of(store, *, seconds=60, seed=1):
    made = ClusterPhysics(store, BuiltInDemand(seed), seed=seed, now_s=NOW_S)
    for second in range(2, seconds + 2, 2):
        made.tick(NOW_S + second)
    return made


def showcase():
    """A store with nodes, pods in every state, and one object of each kind."""
    store = small_cluster()
    add_pod(store, "chat-70b-x-a", gpus=4)
    add_pod(store, "chat-7b-x-c", node="", ready=False)
    _rich_node(store)
    _rich_pods(store)
    _workloads(store)
    _bounds(store)
    _queues(store)
    return store


def _rich_node(store):
    node = store.all(NODES)[0]
    meta = node["metadata"]
    labels = meta["labels"] | {"node-role.kubernetes.io/gpu": ""}
    meta = meta | {"labels": labels, "deletionTimestamp": AT}
    addresses = [{"type": "InternalIP", "address": "10.0.0.7"}]
    status = node["status"] | {"addresses": addresses, "nodeInfo": {"kubeletVersion": "v1.36.2"}}
    spec = node["spec"] | {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24"]}
    store.put(NODES, {**node, "metadata": meta, "spec": spec, "status": status})


def _rich_pods(store):
    container = {
        "name": "main", "image": "shop:2",
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "1"}},
    }  # fmt: skip
    state = {
        "name": "main", "image": "shop:2", "imageID": "sha256:1", "containerID": "c://1",
        "ready": False, "restartCount": 3, "state": GONE, "lastState": GONE,
    }  # fmt: skip
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    spec = {
        "nodeName": "eastus-h100-reserved-01",
        "containers": [container],
        "initContainers": [container | {"name": "first", "restartPolicy": "Always"}],
        "priorityClassName": "high", "runtimeClassName": "nvidia",
        "overhead": {"cpu": "250m", "memory": "64Mi"},
        "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute",
                         "value": "", "tolerationSeconds": 300}],
        "resourceClaims": [{"name": "gpu", "resourceClaimName": "claim-1"}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "d"}}],
    }  # fmt: skip
    status = {
        "phase": "Failed", "reason": "Evicted", "qosClass": "Burstable", "startTime": AT,
        "podIP": "10.1.0.9", "podIPs": [{"ip": "10.1.0.9"}, {"ip": "fd00::9"}],
        "hostIP": "10.0.0.7",
        "containerStatuses": [state],
        "initContainerStatuses": [state | {"name": "first"},
                                  state | {"name": "second", "state": waiting}],
        "conditions": [condition("Ready"), condition("Initialized"), condition("ContainersReady"),
                       condition("PodScheduled"),
                       condition("DisruptionTarget", reason="EvictionByEvictionAPI")],
    }  # fmt: skip
    meta = {"deletionTimestamp": AT, "ownerReferences": [OWNER], "labels": {}}
    create(store, PODS, "shop-1", meta=meta, spec=spec, status=status)
    refused = condition("PodScheduled", "False", reason="Unschedulable")
    status = {"phase": "Pending", "conditions": [refused],
              "containerStatuses": [state | {"state": waiting}]}  # fmt: skip
    job = {"labels": {"batch.kubernetes.io/job-name": "train-1"}}
    create(store, PODS, "shop-2", meta=job, spec={"containers": [container]}, status=status)


def _workloads(store):
    owned = {"ownerReferences": [OWNER]}
    counts = {"replicas": 4, "readyReplicas": 3, "terminatingReplicas": 1}
    rolling = {"rollingUpdate": {"maxSurge": "30%", "maxUnavailable": "30%"}}
    spec = {"replicas": 4, "strategy": rolling}
    status = counts | {"conditions": [condition("Available", reason="Fine")]}
    create(store, DEPLOYMENTS, "shop", meta=owned | {"deletionTimestamp": AT}, spec=spec,
           status=status)  # fmt: skip
    create(store, REPLICA_SETS, "shop-a", meta=owned, spec=spec, status=counts)
    revisions = {"currentRevision": "db-1", "updateRevision": "db-2"}
    policy = {"whenDeleted": "Delete", "whenScaled": "Retain"}
    spec = {"replicas": 2, "ordinals": {"start": 1}, "persistentVolumeClaimRetentionPolicy": policy}
    create(store, STATEFUL_SETS, "db", meta={"deletionTimestamp": AT}, spec=spec,
           status=counts | revisions)  # fmt: skip
    failed = condition("Failed", reason="BackoffLimitExceeded")
    status = {"startTime": AT, "completionTime": AT, "failed": 2, "ready": 1,
              "conditions": [failed, condition("Complete", "False")]}  # fmt: skip
    spec = {"parallelism": 2, "completions": 2, "activeDeadlineSeconds": 60}
    create(store, JOBS, "train-1", "training", meta=owned, spec=spec, status=status)


def _bounds(store):
    status = {"phase": "Active", "conditions": [condition("NamespaceContentRemaining", "False")]}
    create(store, NAMESPACES, "inference", status=status)
    hard, used = {"requests.nvidia.com/gpu": "40"}, {"requests.nvidia.com/gpu": "12"}
    create(store, QUOTAS, "gpus", status={"hard": hard, "used": used})
    create(store, PDBS, "shop", status={"disruptionsAllowed": 1, "expectedPods": 4})
    resource = {"name": "cpu", "target": {"averageUtilization": 80, "type": "Utilization"}}
    pods = {"metric": {"name": "queue"}, "target": {"averageValue": "5"}}
    each = {"name": "cpu", "container": "main", "target": {"averageUtilization": 60}}
    current = {"name": "cpu", "container": "main", "current": {"averageUtilization": 41}}
    spec = {
        "minReplicas": 2, "maxReplicas": 9,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
        "behavior": {"scaleUp": {"tolerance": "0.05"}, "scaleDown": {"tolerance": "0.1"}},
        "metrics": [{"type": "Resource", "resource": resource}, {"type": "Pods", "pods": pods},
                    {"type": "ContainerResource", "containerResource": each}],
    }  # fmt: skip
    status = {
        "currentReplicas": 3, "desiredReplicas": 4, "conditions": [condition("AbleToScale")],
        "currentMetrics": [{"type": "ContainerResource", "containerResource": current}],
    }  # fmt: skip
    create(store, HPAS, "shop", meta={"deletionTimestamp": AT, "generation": 2}, spec=spec,
           status=status)  # fmt: skip


def _queues(store):
    quota = {"name": "nvidia.com/gpu", "nominalQuota": "64", "borrowingLimit": "16",
             "lendingLimit": "8"}  # fmt: skip
    spec = {"cohortName": "all", "resourceGroups": [
        {"coveredResources": ["nvidia.com/gpu"],
         "flavors": [{"name": "h100", "resources": [quota]}]}]}  # fmt: skip
    held = [{"name": "h100", "resources": [{"name": "nvidia.com/gpu", "total": "24"}]}]
    status = {"flavorsUsage": held, "flavorsReservation": held, "conditions": [condition("Active")]}
    create(store, CLUSTER_QUEUES, "research", spec=spec, status=status)
    create(store, LOCAL_QUEUES, "main", "training", spec={"clusterQueue": "research"}, status={})
    add_workload(store, "waits", [])
    add_workload(store, "refused", [condition("QuotaReserved", "False", reason="Pending")])


def add_workload(store, name, conditions):
    spec = {"queueName": "main", "active": True}
    create(store, WORKLOADS, name, "training", spec=spec, status={"conditions": conditions})


def put_workload(store, name, conditions, *, queue="research"):
    held = store.get(WORKLOADS, "training", name)
    status = {"conditions": conditions, "admission": {"clusterQueue": queue}}
    store.put(WORKLOADS, {**held, "status": status})
