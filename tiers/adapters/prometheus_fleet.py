"""Reading the fleet from kube-state-metrics through Prometheus, with no cluster rights at all.

Needs kube-state-metrics started with `--metric-labels-allowlist=nodes=[*],pods=[*]`
(docs/connect.md): without node labels no node has a pool or a tier, and its GPUs are no supply.
Checkpoint ages are not in the metrics and stay unknown. A cluster is read whole or not at all: with
a sample missing, a pod would vanish or a taint go unseen.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

from infra_console.telemetry.queries import owners, read_instant
from infra_console.telemetry.series import Reading
from tiers.adapters.views import node_view, pod_view
from tiers.core.fleet_state import ClusterState, DeploymentView, FleetState, NodeView, PodView
from tiers.facts import FleetFacts

_QUERIES = (
    "node_labels", "node_capacity_gpus", "node_allocatable_gpus", "node_ready", "node_taints",
    "node_unschedulable", "pod_info", "pod_phase", "pod_ready", "pod_gpu_requests", "pod_labels",
    "deployment_replicas", "deployment_ready",
)  # fmt: skip
_PER_NODE = ("node_labels", "node_allocatable_gpus", "node_ready", "node_unschedulable")
_NODE_FACTS = (
    "nvidia.com/gpu.product", "nvidia.com/gpu.count", "nvidia.com/gpu.replicas",
    "nvidia.com/gpu.sharing-strategy", "nvidia.com/mig.strategy",
)  # fmt: skip
_NOT_LABEL = re.compile(r"[^a-zA-Z0-9_]")
Key = tuple[str, ...]


class PrometheusFleet:
    """A FleetReader over catalogue queries."""

    def __init__(self, facts: FleetFacts) -> None:
        self._facts = facts

    def read(self, clusters: Sequence[str]) -> FleetState:
        readings = {name: read_instant(name) for name in _QUERIES}
        tables = {name: _by_cluster(reading) for name, reading in readings.items()}
        sources = owners()
        read: dict[str, ClusterState] = {}
        unreadable: dict[str, str] = {}
        for cluster in clusters:
            own = {name: table.get(cluster, {}) for name, table in tables.items()}
            if why := _silent(readings, sources.get(cluster, "")) or self._gap(own):
                unreadable[cluster] = why
            else:
                read[cluster] = self._cluster(cluster, own)
        return FleetState(read, unreadable)

    def _gap(self, t: "Tables") -> str:
        """The first sample that should be there and is not, in words, or an empty string."""
        if not t["node_capacity_gpus"]:
            return "no series of kube-state-metrics carry this cluster"
        services = {(w.namespace, w.name) for w in self._facts.services().values()}
        expected: tuple[tuple[Iterable[Key], tuple[str, ...]], ...] = (
            (t["node_capacity_gpus"], _PER_NODE),
            (t["pod_gpu_requests"], ("pod_info", "pod_phase")),
            (services & t["deployment_replicas"].keys(), ("deployment_ready",)),
        )
        for keys, names in expected:
            for key, name in product(sorted(keys), names):
                if key not in t[name]:
                    return f"{'/'.join(key)} has no sample of {name}"
        return ""

    def _cluster(self, cluster: str, t: "Tables") -> ClusterState:
        services = {(w.namespace, w.name): w.id for w in self._facts.services().values()}
        return ClusterState(
            cluster=cluster,
            region=self._facts.region_of[cluster],
            source="prometheus",
            nodes=tuple(self._node(cluster, name, t) for (name,) in t["node_capacity_gpus"]),
            pods=tuple(self._pod(key, t) for key in t["pod_gpu_requests"]),
            deployments=tuple(
                DeploymentView(*key, "", int(row.value), int(t["deployment_ready"][key].value),
                               services[key])
                for key, row in t["deployment_replicas"].items()
                if key in services
            ),
        )  # fmt: skip

    def _node(self, cluster: str, name: str, t: "Tables") -> NodeView:
        key = (name,)
        taints = [(k[1], k[3]) for k in t["node_taints"] if k[0] == name]
        return node_view(
            self._facts,
            cluster,
            name=name,
            uid="",
            labels=self._known_labels(t["node_labels"][key].labels),
            taints=taints,
            capacity=int(t["node_capacity_gpus"][key].value),
            allocatable=int(t["node_allocatable_gpus"][key].value),
            ready=int(t["node_ready"][key].value) == 1,
            unschedulable=int(t["node_unschedulable"][key].value) == 1,
            ours=False,
        )

    def _known_labels(self, sanitised: Mapping[str, str]) -> dict[str, str]:
        """The node labels that the fleet file names, from their sanitised `label_…` form."""
        wanted = {self._facts.tier_key, *_NODE_FACTS, *self._facts.config.labels.block}
        for pool in self._facts.config.pools:
            wanted |= set(pool.selector)
        return _original(sanitised, wanted)

    def _pod(self, key: Key, t: "Tables") -> PodView:
        info = t["pod_info"][key].labels
        labels = t["pod_labels"].get(key)
        wanted = {"batch.kubernetes.io/job-name", *self._facts.config.labels.team}
        ready = t["pod_ready"].get(key)
        return pod_view(
            self._facts,
            namespace=key[0],
            name=key[1],
            node=info.get("node", ""),
            phase=t["pod_phase"][key].labels.get("phase", "Unknown"),
            ready=ready.value == 1 if ready else None,
            gpus=int(t["pod_gpu_requests"][key].value),
            labels=_original(labels.labels, wanted) if labels else {},
            owner_kind=info.get("created_by_kind", ""),
            owner_name=info.get("created_by_name", ""),
        )


def _original(sanitised: Mapping[str, str], wanted: Iterable[str]) -> dict[str, str]:
    """Labels under their own names, from the sanitised `label_…` form."""
    found = {key: sanitised.get("label_" + _NOT_LABEL.sub("_", key), "") for key in wanted}
    return {key: value for key, value in found.items() if value}


def _silent(readings: Mapping[str, Reading], source: str) -> str:
    """What the cluster's source said instead of an answer, or an empty string."""
    for reading in readings.values():
        if source not in reading.source_ids:
            return reading.error or "no metric source answers for this cluster"
    return ""


class _Row:
    """One sample with its labels."""

    __slots__ = ("labels", "value")

    def __init__(self, labels: Mapping[str, str], value: float) -> None:
        self.labels = labels
        self.value = value


Tables = Mapping[str, Mapping[Key, _Row]]
_KEYS: Mapping[str, tuple[str, ...]] = {
    "node_taints": ("node", "key", "value", "effect"),
    **dict.fromkeys(("pod_info", "pod_phase", "pod_ready", "pod_gpu_requests", "pod_labels"),
                    ("namespace", "pod")),
    **dict.fromkeys(("deployment_replicas", "deployment_ready"), ("namespace", "deployment")),
}  # fmt: skip


def _by_cluster(reading: Reading) -> dict[str, dict[Key, _Row]]:
    tables: dict[str, dict[Key, _Row]] = defaultdict(dict)
    names = _KEYS.get(reading.name, ("node",))
    for series in reading.series:
        if series.last is not None:
            key = tuple(series.labels.get(name, "") for name in names)
            tables[series.labels.get("cluster", "")][key] = _Row(series.labels, series.last)
    return tables
