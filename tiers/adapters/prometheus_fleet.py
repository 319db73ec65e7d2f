"""Reading the fleet from kube-state-metrics through Prometheus, with no cluster rights at all.

Needs kube-state-metrics started with `--metric-labels-allowlist=nodes=[*],pods=[*]`
(docs/connect.md): without node labels no node has a pool or a tier, and its GPUs are no supply.
Checkpoint ages are not in the metrics and stay unknown.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from infra_console.telemetry.queries import read_instant
from infra_console.telemetry.series import Freshness, Reading
from tiers.adapters.views import node_view, pod_view
from tiers.core.fleet_state import ClusterState, DeploymentView, FleetState, NodeView, PodView
from tiers.facts import FleetFacts

_QUERIES = (
    "node_labels", "node_capacity_gpus", "node_allocatable_gpus", "node_ready", "node_taints",
    "node_unschedulable", "pod_info", "pod_phase", "pod_ready", "pod_gpu_requests", "pod_labels",
    "deployment_replicas", "deployment_ready",
)  # fmt: skip
_NOT_LABEL = re.compile(r"[^a-zA-Z0-9_]")
Key = tuple[str, ...]


class PrometheusFleet:
    """A FleetReader over catalogue queries."""

    def __init__(self, facts: FleetFacts) -> None:
        self._facts = facts

    def read(self, clusters: Sequence[str]) -> FleetState:
        readings = {name: read_instant(name) for name in _QUERIES}
        # One silent query would make pods vanish or taints invisible: all answer, or none counts.
        silent = [r.error for r in readings.values() if r.error]
        if silent or readings["node_capacity_gpus"].state is Freshness.DOWN:
            why = silent[0] if silent else "no metric source answers"
            return FleetState({}, dict.fromkeys(clusters, why))
        tables = {name: _by_cluster(reading) for name, reading in readings.items()}
        seen = set(tables["node_capacity_gpus"])
        return FleetState(
            {c: self._cluster(c, {n: t.get(c, {}) for n, t in tables.items()}) for c in clusters
             if c in seen},
            {c: "no series of kube-state-metrics carry this cluster" for c in clusters
             if c not in seen},
        )  # fmt: skip

    def _cluster(self, cluster: str, t: Mapping[str, Mapping[Key, "_Row"]]) -> ClusterState:
        services = {(w.namespace, w.name): w.id for w in self._facts.services().values()}
        return ClusterState(
            cluster=cluster,
            region=self._facts.region_of[cluster],
            source="prometheus",
            nodes=tuple(self._node(cluster, name, t) for (name,) in t["node_capacity_gpus"]),
            pods=tuple(self._pod(key, t) for key in t["pod_gpu_requests"] if key in t["pod_info"]),
            deployments=tuple(
                DeploymentView(*key, "", int(row.value), _count(t["deployment_ready"], key),
                               services[key])
                for key, row in t["deployment_replicas"].items()
                if key in services
            ),
        )  # fmt: skip

    def _node(self, cluster: str, name: str, t: Mapping[str, Mapping[Key, "_Row"]]) -> NodeView:
        key = (name,)
        labels = t["node_labels"].get(key)
        taints = [(k[1], k[3]) for k in t["node_taints"] if k[0] == name]
        return node_view(
            self._facts,
            cluster,
            name=name,
            uid="",
            labels=self._known_labels(labels.labels if labels else {}),
            taints=taints,
            capacity=_count(t["node_capacity_gpus"], key),
            allocatable=_count(t["node_allocatable_gpus"], key),
            ready=_count(t["node_ready"], key) == 1,
            unschedulable=_count(t["node_unschedulable"], key) == 1,
            ours=False,
        )

    def _known_labels(self, sanitised: Mapping[str, str]) -> dict[str, str]:
        """The node labels that the fleet file names, from their sanitised `label_…` form."""
        wanted = {self._facts.tier_key, "nvidia.com/gpu.product"}
        for pool in self._facts.config.pools:
            wanted |= set(pool.selector)
        found = {key: sanitised.get("label_" + _NOT_LABEL.sub("_", key), "") for key in wanted}
        return {key: value for key, value in found.items() if value}

    def _pod(self, key: Key, t: Mapping[str, Mapping[Key, "_Row"]]) -> PodView:
        info = t["pod_info"][key].labels
        phase = t["pod_phase"].get(key)
        labels = t["pod_labels"].get(key)
        job = labels.labels.get("label_batch_kubernetes_io_job_name", "") if labels else ""
        ready = t["pod_ready"].get(key)
        return pod_view(
            self._facts,
            namespace=key[0],
            name=key[1],
            node=info.get("node", ""),
            phase=phase.labels.get("phase", "Unknown") if phase else "Unknown",
            ready=ready.value == 1 if ready else None,
            gpus=_count(t["pod_gpu_requests"], key),
            labels={"batch.kubernetes.io/job-name": job} if job else {},
            owner_kind=info.get("created_by_kind", ""),
            owner_name=info.get("created_by_name", ""),
        )


class _Row:
    """One sample with its labels."""

    __slots__ = ("labels", "value")

    def __init__(self, labels: Mapping[str, str], value: float) -> None:
        self.labels = labels
        self.value = value


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


def _count(table: Mapping[Key, _Row], key: Key) -> int:
    row = table.get(key)
    return int(row.value) if row else 0
