"""The fields that the server, an admission plugin or a CRD's schema fills in on create."""

from collections.abc import Callable
from typing import Any

from tiers.twin.kube.resources import (
    CLUSTER_QUEUES,
    DEPLOYMENTS,
    HPAS,
    HTTP_ROUTES,
    JOBS,
    LEADER_WORKER_SETS,
    LOCAL_QUEUES,
    MACHINE_DEPLOYMENTS,
    NAMESPACES,
    NODE_POOLS,
    PDBS,
    PODS,
    PRIORITY_CLASSES,
    REPLICA_SETS,
    RESOURCE_CLAIMS,
    STATEFUL_SETS,
    WORKLOADS,
    Obj,
    Resource,
)

NOT_READY_S = 300


def fill(target: Obj, **values: Any) -> None:
    """Set members that are not there."""
    for key, value in values.items():
        target.setdefault(key, value)


def pod_spec(spec: Obj) -> None:
    """What a pod and a pod template get."""
    fill(spec, restartPolicy="Always", terminationGracePeriodSeconds=30, dnsPolicy="ClusterFirst",
         schedulerName="default-scheduler", securityContext={})  # fmt: skip
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        _container(container)


def _container(container: Obj) -> None:
    image = str(container.get("image", ""))
    tag = image.rpartition("/")[2].partition(":")[2]
    pull = "IfNotPresent" if tag not in ("", "latest") or "@" in image else "Always"
    fill(container, imagePullPolicy=pull, resources={}, terminationMessagePolicy="File",
         terminationMessagePath="/dev/termination-log")  # fmt: skip
    resources = container["resources"]
    if "limits" in resources:
        resources["requests"] = {**resources["limits"], **resources.get("requests", {})}
    for port in container.get("ports") or ():
        fill(port, protocol="TCP")


def _pod(obj: Obj) -> None:
    spec = obj["spec"]
    pod_spec(spec)
    fill(spec, enableServiceLinks=True, serviceAccountName="default")
    tolerations = list(spec.get("tolerations") or ())
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(t.get("key", key) == key and _lasts(t) for t in tolerations):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute",
                                "tolerationSeconds": NOT_READY_S})  # fmt: skip
    spec["tolerations"] = tolerations
    obj["status"] = {"phase": "Pending", "qosClass": qos_class(spec)}


def _lasts(toleration: Obj) -> bool:
    return str(toleration.get("effect", "NoExecute")) == "NoExecute"


def qos_class(spec: Obj) -> str:
    """Guaranteed, Burstable or BestEffort: cpu and memory alone count."""
    pairs = []
    for container in spec.get("containers") or ():
        resources = container.get("resources", {})
        for name in ("cpu", "memory"):
            pairs.append(tuple((resources.get(k) or {}).get(name) for k in ("requests", "limits")))
    if not any(asked or limit for asked, limit in pairs):
        return "BestEffort"
    whole = all(limit and asked in (None, limit) for asked, limit in pairs)
    return "Guaranteed" if whole else "Burstable"


def _template(obj: Obj) -> None:
    template = obj["spec"].get("template")
    if isinstance(template, dict) and isinstance(template.get("spec"), dict):
        pod_spec(template["spec"])


def _deployment(obj: Obj) -> None:
    rolling = {"maxUnavailable": "25%", "maxSurge": "25%"}
    fill(obj["spec"], replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600, strategy={})
    fill(obj["spec"]["strategy"], type="RollingUpdate")
    if obj["spec"]["strategy"]["type"] == "RollingUpdate":
        fill(obj["spec"]["strategy"], rollingUpdate={})
        fill(obj["spec"]["strategy"]["rollingUpdate"], **rolling)
    _template(obj)


def _replica_set(obj: Obj) -> None:
    fill(obj["spec"], replicas=1)
    _template(obj)
    obj["status"] = {"replicas": 0}


def _stateful_set(obj: Obj) -> None:
    fill(
        obj["spec"], replicas=1, revisionHistoryLimit=10, podManagementPolicy="OrderedReady",
        updateStrategy={"type": "RollingUpdate"},
        persistentVolumeClaimRetentionPolicy={"whenDeleted": "Retain", "whenScaled": "Retain"},
    )  # fmt: skip
    if obj["spec"]["updateStrategy"].get("type") == "RollingUpdate":
        fill(obj["spec"]["updateStrategy"], rollingUpdate={"partition": 0})
    _template(obj)
    obj["status"] = {"replicas": 0, "availableReplicas": 0}


def _job(obj: Obj) -> None:
    spec = obj["spec"]
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    fill(spec, parallelism=1, backoffLimit=6, completionMode="NonIndexed", suspend=False)
    _template(obj)


def _budget(obj: Obj) -> None:
    counts = ("currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods")
    obj["status"] = dict.fromkeys(counts, 0)


def _namespace(obj: Obj) -> None:
    given = obj["spec"].get("finalizers") or []
    obj["spec"]["finalizers"] = [*given, *(() if "kubernetes" in given else ("kubernetes",))]
    labels = obj["metadata"].setdefault("labels", {})
    if name := obj["metadata"].get("name"):
        fill(labels, **{"kubernetes.io/metadata.name": name})
    obj["status"] = {"phase": "Active"}


def _autoscaler(obj: Obj) -> None:
    target = {"type": "Utilization", "averageUtilization": 80}
    usual = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    fill(obj["spec"], minReplicas=1)
    if not obj["spec"].get("metrics"):
        obj["spec"]["metrics"] = usual
    obj["status"] = {"desiredReplicas": 0}


def _claim(obj: Obj) -> None:
    for request in (obj["spec"].get("devices") or {}).get("requests") or ():
        if isinstance(exactly := request.get("exactly"), dict):
            fill(exactly, allocationMode="ExactCount")
            if exactly["allocationMode"] == "ExactCount":
                fill(exactly, count=1)


def _cluster_queue(obj: Obj) -> None:
    fill(obj["spec"], queueingStrategy="BestEffortFIFO", stopPolicy="None", preemption={},
         flavorFungibility={})  # fmt: skip
    fill(obj["spec"]["preemption"], reclaimWithinCohort="Never", withinClusterQueue="Never",
         borrowWithinCohort={"policy": "Never"})  # fmt: skip
    fill(obj["spec"]["flavorFungibility"], whenCanBorrow="MayStopSearch",
         whenCanPreempt="TryNextFlavor")  # fmt: skip


def _workload(obj: Obj) -> None:
    fill(obj["spec"], active=True)
    for pods in obj["spec"].get("podSets") or ():
        fill(pods, name="main")


def _leader_worker_set(obj: Obj) -> None:
    fill(obj["spec"], replicas=1, startupPolicy="LeaderCreated",
         rolloutStrategy={"type": "RollingUpdate"}, leaderWorkerTemplate={})  # fmt: skip
    fill(obj["spec"]["rolloutStrategy"], rollingUpdateConfiguration={})
    fill(obj["spec"]["rolloutStrategy"]["rollingUpdateConfiguration"], maxUnavailable=1,
         maxSurge=0, partition=0)  # fmt: skip
    fill(obj["spec"]["leaderWorkerTemplate"], size=1, restartPolicy="RecreateGroupOnPodRestart")


def _node_pool(obj: Obj) -> None:
    fill(obj["spec"], disruption={"consolidateAfter": "0s"})
    fill(obj["spec"]["disruption"], consolidationPolicy="WhenEmptyOrUnderutilized",
         budgets=[{"nodes": "10%"}])  # fmt: skip
    inner = (obj["spec"].get("template") or {}).get("spec")
    if isinstance(inner, dict):
        fill(inner, expireAfter="720h")


def _route(obj: Obj) -> None:
    for parent in obj["spec"].get("parentRefs") or ():
        fill(parent, group="gateway.networking.k8s.io", kind="Gateway")
    anything = [{"path": {"type": "PathPrefix", "value": "/"}}]
    fill(obj["spec"], rules=[{"matches": anything}])
    for rule in obj["spec"]["rules"]:
        fill(rule, matches=anything)
        for backend in rule.get("backendRefs") or ():
            fill(backend, group="", kind="Service", weight=1)


DEFAULTS: dict[Resource, Callable[[Obj], None]] = {
    PODS: _pod,
    NAMESPACES: _namespace,
    DEPLOYMENTS: _deployment,
    REPLICA_SETS: _replica_set,
    STATEFUL_SETS: _stateful_set,
    JOBS: _job,
    PDBS: _budget,
    HPAS: _autoscaler,
    PRIORITY_CLASSES: lambda obj: fill(obj, preemptionPolicy="PreemptLowerPriority"),
    RESOURCE_CLAIMS: _claim,
    CLUSTER_QUEUES: _cluster_queue,
    LOCAL_QUEUES: lambda obj: fill(obj["spec"], stopPolicy="None"),
    WORKLOADS: _workload,
    LEADER_WORKER_SETS: _leader_worker_set,
    NODE_POOLS: _node_pool,
    MACHINE_DEPLOYMENTS: lambda obj: fill(obj["spec"], replicas=1),
    HTTP_ROUTES: _route,
}
