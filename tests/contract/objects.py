"""Small objects of each kind, valid on a real server: what it would refuse is not built here.

Pods name an image that no registry has and mount no token, and they select the nodes of their own
test (`space`), so nothing here ever runs on a node that the suite did not make.
"""

from typing import Any

Obj = dict[str, Any]
RUN_KEY = "infra-console.dev/contract-run"
SPACE_KEY = "infra-console.dev/contract-space"
TIER_KEY = "infra-console.dev/tier"
GPU = "nvidia.com/gpu"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
QUEUE_KEY = "kueue.x-k8s.io/queue-name"
IMAGE = "registry.invalid/server:1"


def meta(name: str, *, labels: dict[str, str] | None = None, **more: Any) -> Obj:
    return {"name": name, **({"labels": labels} if labels else {}), **more}


def taint(value: str, *, key: str = TIER_KEY, effect: str = "NoSchedule") -> Obj:
    return {"key": key, "value": value, "effect": effect}


def node(name: str, *, run: str, space: str, labels: dict[str, str], taints: list[Obj]) -> Obj:
    marks = {RUN_KEY: run, SPACE_KEY: space, "kubernetes.io/hostname": name, **labels}
    return {"metadata": meta(name, labels=marks), "spec": {"taints": taints} if taints else {}}


def node_resources(gpus: int) -> Obj:
    amounts = {"cpu": "64", "memory": "512Gi", "pods": "110", GPU: str(gpus)}
    return {"capacity": amounts, "allocatable": amounts}


def pod_spec(space: str, *, gpus: int = 0, on: str = "", **more: Any) -> Obj:
    """A pod of one container; `on` binds it to a node without a scheduler."""
    container: Obj = {"name": "server", "image": IMAGE}
    if gpus:
        amounts = {GPU: str(gpus)}
        container["resources"] = {"limits": amounts, "requests": amounts}
    spec: Obj = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 2,
        "nodeSelector": {SPACE_KEY: space},
        "containers": [container],
    }
    return spec | ({"nodeName": on} if on else {}) | more


def pod(
    name: str,
    space: str,
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> Obj:
    notes = {"annotations": annotations} if annotations else {}
    return {"metadata": meta(name, labels=labels, **notes), "spec": pod_spec(space, **spec)}


def template(name: str, space: str, **spec: Any) -> Obj:
    return {"metadata": {"labels": {"app": name}}, "spec": pod_spec(space, **spec)}


def deployment(name: str, space: str, *, replicas: int = 2, **spec: Any) -> Obj:
    return {
        "metadata": meta(name, labels={"app": name}),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": template(name, space, **spec),
        },
    }


def stateful_set(name: str, space: str, *, replicas: int = 2, **spec: Any) -> Obj:
    made = deployment(name, space, replicas=replicas, **spec)
    return {**made, "spec": {**made["spec"], "serviceName": name}}


def job(
    name: str, space: str, *, pods: int = 1, queue: str = "", suspend: bool = False, **spec: Any
) -> Obj:
    labels = {"app": name} | ({QUEUE_KEY: queue} if queue else {})
    return {
        "metadata": meta(name, labels=labels),
        "spec": {
            "parallelism": pods,
            "completions": pods,
            "suspend": suspend,
            "template": template(name, space, restartPolicy="Never", **spec),
        },
    }


def budget(name: str, *, app: str, keep: int) -> Obj:
    """A PodDisruptionBudget by count, the one form that also covers pods of no controller."""
    selector = {"matchLabels": {"app": app}}
    return {"metadata": meta(name), "spec": {"minAvailable": keep, "selector": selector}}


def quota(name: str, *, gpus: int) -> Obj:
    return {"metadata": meta(name), "spec": {"hard": {f"requests.{GPU}": str(gpus)}}}


def lease(name: str, *, holder: str = "console-a", labels: dict[str, str] | None = None) -> Obj:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 30}
    return {"metadata": meta(name, labels=labels), "spec": spec}


def hpa(name: str, *, target: str, low: int, high: int) -> Obj:
    aim = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    return {
        "metadata": meta(name),
        "spec": {"scaleTargetRef": aim, "minReplicas": low, "maxReplicas": high},
    }


def event(name: str, namespace: str, *, about: str, reason: str) -> Obj:
    thing = {"apiVersion": "v1", "kind": "Pod", "name": about, "namespace": namespace}
    return {
        "metadata": meta(name, namespace=namespace),
        "involvedObject": thing,
        "reason": reason,
        "message": "moved by a plan",
        "type": "Normal",
        "source": {"component": "infra-console"},
    }


def scale(name: str, namespace: str, replicas: int, **metadata: Any) -> Obj:
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": meta(name, namespace=namespace, **metadata),
        "spec": {"replicas": replicas},
    }


def flavor(name: str, *, labels: dict[str, str] | None = None) -> Obj:
    return {"metadata": meta(name), "spec": {"nodeLabels": labels} if labels else {}}


def resource_group(flavor_gpus: dict[str, int]) -> Obj:
    flavors = [
        {"name": name, "resources": [{"name": GPU, "nominalQuota": str(gpus)}]}
        for name, gpus in flavor_gpus.items()
    ]
    return {"coveredResources": [GPU], "flavors": flavors}


def cluster_queue(name: str, flavor_gpus: dict[str, int], **spec: Any) -> Obj:
    groups = [resource_group(flavor_gpus)]
    return {
        "metadata": meta(name),
        "spec": {"namespaceSelector": {}, "resourceGroups": groups, **spec},
    }


def local_queue(name: str, cluster_queue: str) -> Obj:
    return {"metadata": meta(name), "spec": {"clusterQueue": cluster_queue}}


def leader_worker_set(name: str, space: str, *, groups: int = 1, size: int = 2) -> Obj:
    worker = {"metadata": {"labels": {"app": name}}, "spec": pod_spec(space)}
    return {
        "metadata": meta(name),
        "spec": {
            "replicas": groups,
            "leaderWorkerTemplate": {
                "size": size,
                "restartPolicy": "RecreateGroupOnPodRestart",
                "workerTemplate": worker,
            },
        },
    }


def scaled_object(name: str, *, target: str, low: int, high: int) -> Obj:
    """Scaled by the clock: a trigger that needs no server to ask."""
    hours = {"timezone": "Etc/UTC", "start": "0 0 1 1 *", "end": "1 0 1 1 *"}
    trigger = {"type": "cron", "metadata": {**hours, "desiredReplicas": str(low)}}
    return {
        "metadata": meta(name),
        "spec": {
            "scaleTargetRef": {"name": target},
            "minReplicaCount": low,
            "maxReplicaCount": high,
            "triggers": [trigger],
        },
    }
