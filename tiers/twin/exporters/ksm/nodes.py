"""kube-state-metrics of nodes."""

from collections.abc import Iterator

from tiers.twin.exporters.ksm.families import Family, Group, value
from tiers.twin.exporters.ksm.values import (
    condition_rows,
    created,
    deleted,
    resources,
    sanitise,
    spec,
    status,
)
from tiers.twin.exporters.text import Row, labels
from tiers.twin.kube.resources import NODES, Obj
from tiers.twin.profile import TIER_KEY

ALLOWED_LABELS = (
    TIER_KEY,
    "nvidia.com/gpu.product",
    "nvidia.com/gpu.count",
    "karpenter.sh/capacity-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "node.kubernetes.io/instance-type",
)
_ROLE = "node-role.kubernetes.io/"


def _labels(node: Obj) -> dict[str, str]:
    return node["metadata"].get("labels") or {}


def _info(node: Obj) -> Iterator[Row]:
    info = status(node).get("nodeInfo") or {}
    addresses = status(node).get("addresses") or []
    internal = next((a["address"] for a in addresses if a["type"] == "InternalIP"), "")
    yield (
        labels(
            {
                "kernel_version": info.get("kernelVersion", ""),
                "os_image": info.get("osImage", ""),
                "container_runtime_version": info.get("containerRuntimeVersion", ""),
                "kubelet_version": info.get("kubeletVersion", ""),
                "kubeproxy_version": "deprecated",
                "pod_cidr": spec(node).get("podCIDR", ""),
                "provider_id": spec(node).get("providerID", ""),
                "system_uuid": info.get("systemUUID", ""),
                "internal_ip": internal,
            }
        ),
        1.0,
    )


def _allowed_labels(node: Obj) -> Iterator[Row]:
    held = _labels(node)
    yield labels({f"label_{sanitise(k)}": held[k] for k in ALLOWED_LABELS if k in held}), 1.0


def _roles(node: Obj) -> Iterator[Row]:
    for key in _labels(node):
        if key.startswith(_ROLE):
            yield labels({"role": key.removeprefix(_ROLE)}), 1.0


def _taints(node: Obj) -> Iterator[Row]:
    for taint in spec(node).get("taints") or ():
        pairs = {"key": taint["key"], "value": taint.get("value", ""), "effect": taint["effect"]}
        yield labels(pairs), 1.0


def _addresses(node: Obj) -> Iterator[Row]:
    for one in status(node).get("addresses") or ():
        yield labels({"type": one["type"], "address": one["address"]}), 1.0


def _pod_cidrs(node: Obj) -> Iterator[Row]:
    for one in spec(node).get("podCIDRs") or ():
        yield labels({"pod_cidr": one}), 1.0


def _identify(node: Obj) -> str:
    return labels({"node": node["metadata"]["name"]})


_INFO = (
    "kernel_version", "os_image", "container_runtime_version", "kubelet_version",
    "kubeproxy_version", "pod_cidr", "provider_id", "system_uuid", "internal_ip",
)  # fmt: skip
_AMOUNT = ("resource", "unit")
_EXPERIMENTAL = "EXPERIMENTAL"

NODE_GROUP = Group(
    NODES, ("node",), _identify,
    (
        Family("kube_node_info", _info, _INFO),
        Family("kube_node_labels", _allowed_labels, ("label_*",)),
        Family("kube_node_role", _roles, ("role",), stability=_EXPERIMENTAL),
        Family("kube_node_spec_pod_cidrs", _pod_cidrs, ("pod_cidr",), stability=_EXPERIMENTAL),
        value("kube_node_spec_unschedulable", lambda n: bool(spec(n).get("unschedulable"))),
        Family("kube_node_spec_taint", _taints, ("key", "value", "effect")),
        Family("kube_node_status_condition", condition_rows, ("condition", "status")),
        Family("kube_node_status_capacity", lambda n: resources(status(n).get("capacity")),
               _AMOUNT),
        Family("kube_node_status_allocatable", lambda n: resources(status(n).get("allocatable")),
               _AMOUNT),
        Family("kube_node_status_addresses", _addresses, ("type", "address"),
               stability=_EXPERIMENTAL),
        value("kube_node_created", created),
        value("kube_node_deletion_timestamp", deleted, stability=_EXPERIMENTAL),
    ),
)  # fmt: skip
