"""kube-state-metrics of one cluster, from its API objects.

As if started with --metric-labels-allowlist for the node labels below and the pods' job name.
"""

import re
from collections.abc import Iterator

from tiers.twin.exporters.text import Row, document, family, labels
from tiers.twin.kube.resources import DEPLOYMENTS, NODES, PDBS, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.profile import GPU_RESOURCE, JOB_NAME_KEY, TIER_KEY
from tiers.twin.view import PodView

NODE_LABELS = (
    TIER_KEY,
    "nvidia.com/gpu.product",
    "nvidia.com/gpu.count",
    "karpenter.sh/capacity-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "node.kubernetes.io/instance-type",
)
PHASES = ("Pending", "Succeeded", "Failed", "Unknown", "Running")
STATES = ("true", "false", "unknown")
UNITS = {GPU_RESOURCE: "integer", "pods": "integer", "cpu": "core", "memory": "byte"}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def sanitise(name: str) -> str:
    """A Kubernetes name as kube-state-metrics makes it a label or resource name."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


def quantity(text: str) -> float:
    """A Kubernetes quantity (`8`, `500m`, `1900Gi`) as a number."""
    if text[-2:] in _BINARY:
        return float(text[:-2]) * _BINARY[text[-2:]]
    return float(text[:-1]) / 1000.0 if text.endswith("m") else float(text)


def render_ksm(store: ClusterStore, pods: list[PodView]) -> str:
    nodes = store.all(NODES)
    return document(
        [*_nodes(nodes), *_pods(pods), *_deployments(store.all(DEPLOYMENTS)), *_budgets(store)]
    )


def _node(node: Obj) -> str:
    return labels({"node": node["metadata"]["name"]})


def _nodes(nodes: list[Obj]) -> Iterator[list[str]]:
    yield family(
        "kube_node_info", "gauge", "[STABLE] Information about a cluster node.",
        [(labels(_node_info(node)), 1) for node in nodes],
    )  # fmt: skip
    yield family(
        "kube_node_labels", "gauge",
        "[STABLE] Kubernetes labels converted to Prometheus labels.",
        [(labels(_node_labels(node)), 1) for node in nodes],
    )  # fmt: skip
    yield family(
        "kube_node_spec_unschedulable", "gauge", "[STABLE] Whether a node can schedule new pods.",
        [(_node(n), int(bool((n.get("spec") or {}).get("unschedulable")))) for n in nodes],
    )  # fmt: skip
    yield family(
        "kube_node_spec_taint", "gauge", "[STABLE] The taint of a cluster node.",
        [row for node in nodes for row in _taints(node)],
    )  # fmt: skip
    yield family(
        "kube_node_status_condition", "gauge", "[STABLE] The condition of a cluster node.",
        [row for node in nodes for row in _conditions(node)],
    )  # fmt: skip
    for kind in ("capacity", "allocatable"):
        yield family(
            f"kube_node_status_{kind}", "gauge",
            f"[STABLE] The {kind} of resources of a node.",
            [row for node in nodes for row in _resources(node, kind)],
        )  # fmt: skip


def _node_info(node: Obj) -> dict[str, str]:
    info = (node.get("status") or {}).get("nodeInfo") or {}
    addresses = (node.get("status") or {}).get("addresses") or []
    internal = next((a["address"] for a in addresses if a["type"] == "InternalIP"), "")
    return {
        "node": node["metadata"]["name"],
        "kernel_version": info.get("kernelVersion", ""),
        "os_image": info.get("osImage", ""),
        "container_runtime_version": info.get("containerRuntimeVersion", ""),
        "kubelet_version": info.get("kubeletVersion", ""),
        "provider_id": (node.get("spec") or {}).get("providerID", ""),
        "system_uuid": info.get("systemUUID", ""),
        "internal_ip": internal,
    }


def _node_labels(node: Obj) -> dict[str, str]:
    held = node["metadata"].get("labels") or {}
    allowed = {f"label_{sanitise(key)}": held[key] for key in NODE_LABELS if key in held}
    return {"node": node["metadata"]["name"], **allowed}


def _taints(node: Obj) -> Iterator[Row]:
    for taint in (node.get("spec") or {}).get("taints") or ():
        pairs = {"key": taint["key"], "value": taint.get("value", ""), "effect": taint["effect"]}
        yield f"{_node(node)},{labels(pairs)}", 1


def _conditions(node: Obj) -> Iterator[Row]:
    for condition in (node.get("status") or {}).get("conditions") or ():
        for state in STATES:
            pairs = labels({"condition": condition["type"], "status": state})
            yield f"{_node(node)},{pairs}", int(condition["status"].lower() == state)


def _resources(node: Obj, kind: str) -> Iterator[Row]:
    for name, amount in ((node.get("status") or {}).get(kind) or {}).items():
        if name in UNITS:
            pairs = labels({"resource": sanitise(name), "unit": UNITS[name]})
            yield f"{_node(node)},{pairs}", quantity(str(amount))


def _pod(pod: PodView) -> str:
    return labels({"namespace": pod.namespace, "pod": pod.name, "uid": pod.uid})


def _pods(pods: list[PodView]) -> Iterator[list[str]]:
    named = [(_pod(pod), pod) for pod in pods]
    yield family(
        "kube_pod_info", "gauge", "[STABLE] Information about pod.",
        [(f"{pairs},{labels(_pod_info(pod))}", 1) for pairs, pod in named],
    )  # fmt: skip
    yield family(
        "kube_pod_labels", "gauge", "[STABLE] Kubernetes labels converted to Prometheus labels.",
        [(f"{pairs}{_job_label(pod)}", 1) for pairs, pod in named],
    )  # fmt: skip
    yield family(
        "kube_pod_status_phase", "gauge", "[STABLE] The pods current phase.",
        [
            (f'{pairs},phase="{phase}"', int(pod.phase == phase))
            for pairs, pod in named for phase in PHASES
        ],
    )  # fmt: skip
    yield family(
        "kube_pod_status_ready", "gauge",
        "[STABLE] Describes whether the pod is ready to serve requests.",
        [
            (f'{pairs},condition="{state}"', int(state == str(pod.ready).lower()))
            for pairs, pod in named for state in STATES
        ],
    )  # fmt: skip
    yield family(
        "kube_pod_container_resource_requests", "gauge",
        "[STABLE] The number of requested request resource by a container.",
        [(f"{pairs},{_gpu_request(pod)}", pod.gpus) for pairs, pod in named if pod.gpus],
    )  # fmt: skip


def _pod_info(pod: PodView) -> dict[str, str]:
    return {
        "host_ip": pod.host_ip,
        "pod_ip": pod.pod_ip,
        "node": pod.node,
        "created_by_kind": pod.owner_kind,
        "created_by_name": pod.owner_name,
        "priority_class": "",
        "host_network": "false",
    }


def _job_label(pod: PodView) -> str:
    return "," + labels({f"label_{sanitise(JOB_NAME_KEY)}": pod.job}) if pod.job else ""


def _gpu_request(pod: PodView) -> str:
    return labels(
        {
            "container": pod.container,
            "node": pod.node,
            "resource": sanitise(GPU_RESOURCE),
            "unit": UNITS[GPU_RESOURCE],
        }
    )


def _named(kind: str, obj: Obj) -> str:
    return labels({"namespace": obj["metadata"]["namespace"], kind: obj["metadata"]["name"]})


def _deployments(deployments: list[Obj]) -> Iterator[list[str]]:
    yield family(
        "kube_deployment_spec_replicas", "gauge",
        "[STABLE] Number of desired pods for a deployment.",
        [(_named("deployment", d), int(d["spec"].get("replicas", 1))) for d in deployments],
    )  # fmt: skip
    yield family(
        "kube_deployment_status_replicas_ready", "gauge",
        "[STABLE] The number of ready replicas per deployment.",
        [
            (_named("deployment", d), int((d.get("status") or {}).get("readyReplicas") or 0))
            for d in deployments
        ],
    )  # fmt: skip


def _budgets(store: ClusterStore) -> Iterator[list[str]]:
    yield family(
        "kube_poddisruptionbudget_status_pod_disruptions_allowed", "gauge",
        "[STABLE] Number of pod disruptions that are currently allowed.",
        [
            (
                _named("poddisruptionbudget", budget),
                int((budget.get("status") or {}).get("disruptionsAllowed") or 0),
            )
            for budget in store.all(PDBS)
        ],
    )  # fmt: skip
