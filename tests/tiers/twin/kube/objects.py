"""Small objects of each kind, as an operator would write them."""

from typing import Any

Obj = dict[str, Any]


def namespace(name: str = "inference") -> Obj:
    return {"metadata": {"name": name}}


def node(name: str = "n1", *, tier: str = "inference", gpus: int = 8) -> Obj:
    resources = {"nvidia.com/gpu": str(gpus), "cpu": "96", "memory": "900Gi"}
    return {
        "metadata": {"name": name, "labels": {"infra-console.dev/tier": tier}},
        "spec": {"taints": [_taint(tier)]},
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": [_condition("Ready")],
        },
    }


def _taint(tier: str) -> Obj:
    return {"key": "infra-console.dev/tier", "value": tier, "effect": "NoSchedule"}


def _condition(kind: str) -> Obj:
    at = "2026-11-24T00:00:00Z"
    return {"type": kind, "status": "True", "lastHeartbeatTime": at, "lastTransitionTime": at}


def pod_spec(*, tier: str = "inference", gpus: int = 1) -> Obj:
    return {
        "nodeSelector": {"infra-console.dev/tier": tier},
        "tolerations": [{"key": "infra-console.dev/tier", "operator": "Equal", "value": tier}],
        "containers": [
            {
                "name": "server",
                "image": "server:1",
                "resources": {"limits": {"nvidia.com/gpu": str(gpus)}},
            }
        ],
    }


def pod(name: str = "p1", *, app: str = "chat", **spec: Any) -> Obj:
    return {"metadata": {"name": name, "labels": {"app": app}}, "spec": pod_spec(**spec)}


def deployment(name: str = "chat", *, replicas: int = 2, **spec: Any) -> Obj:
    labels = {"app": name}
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec(**spec)},
        },
    }


def budget(name: str = "chat", *, app: str = "chat", max_unavailable: int = 1) -> Obj:
    return {
        "metadata": {"name": name},
        "spec": {
            "maxUnavailable": max_unavailable,
            "selector": {"matchLabels": {"app": app}},
        },
    }


def eviction(name: str, **options: Any) -> Obj:
    return {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name},
        "deleteOptions": options,
    }
