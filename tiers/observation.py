"""One look at the whole fleet: ledger, tiers and models by cluster, as the document pages read.

`observation/1`: clusters that did not answer keep what was last seen of them, with its time, and
their GPUs stand in the ledger as unknown. Numbers without a sample are null, never zero.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from infra_console.fleet.config import WorkloadConfig
from infra_console.telemetry.queries import read_instant
from infra_console.telemetry.series import Reading
from tiers.core.actuators import actuator_of
from tiers.core.fleet_state import TIERS, ClusterState, FleetState, usable
from tiers.core.ledger import LEDGER_STATES, cluster_ledger
from tiers.facts import FleetFacts

METRICS = (
    "arrivals_rps",
    "ttft_p95_seconds",
    "requests_waiting",
    "gpus_busy",
)


@dataclass(frozen=True, slots=True)
class Metrics:
    """The readings behind one observation, by catalogue name."""

    readings: Mapping[str, Reading]

    def value(self, query: str, **labels: str) -> float | None:
        return self.readings[query].value(**labels)


def read_metrics() -> Metrics:
    return Metrics({name: read_instant(name) for name in METRICS})


def build_observation(
    facts: FleetFacts,
    state: FleetState,
    metrics: Metrics,
    *,
    now: datetime,
    previous: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The document of one observation; `previous` fills in clusters that did not answer."""
    known = (previous or {}).get("clusters", {})
    clusters = {}
    for cluster in facts.cluster_ids:
        if cluster in state.clusters:
            clusters[cluster] = _cluster(facts, state.clusters[cluster], metrics, now)
        else:
            clusters[cluster] = _unknown_cluster(facts, cluster, known.get(cluster))
    return {
        "schema": "observation/1",
        "taken_at": now.isoformat(),
        "source": next(iter({c.source for c in state.clusters.values()}), "none"),
        "unreadable": dict(state.unreadable),
        "clusters": clusters,
    }


def _cluster(
    facts: FleetFacts, state: ClusterState, metrics: Metrics, now: datetime
) -> dict[str, Any]:
    ledger = cluster_ledger(state, facts.smallest_group())
    return {
        "region": state.region,
        "seen_at": now.isoformat(),
        "reachable": True,
        "gpus": sum(n.gpus_capacity for n in state.nodes),
        "ledger": {name: ledger[name] for name in LEDGER_STATES if ledger[name]},
        "tiers": {tier: _tier(facts, state, metrics, tier) for tier in TIERS},
        "workloads": {
            w.id: _service(state, metrics, w)
            for w in facts.services().values()
            if state.region in w.regions
        },
    }


def _unknown_cluster(
    facts: FleetFacts, cluster: str, last: Mapping[str, Any] | None
) -> dict[str, Any]:
    if last is None:
        return {
            "region": facts.region_of[cluster], "seen_at": None, "reachable": False, "gpus": None,
            "ledger": {}, "tiers": {}, "workloads": {},
        }  # fmt: skip
    return {**last, "reachable": False, "ledger": {"unknown": last["gpus"]} if last["gpus"] else {}}


def _tier(facts: FleetFacts, state: ClusterState, metrics: Metrics, tier: str) -> dict[str, Any]:
    nodes = [n for n in state.nodes if n.tier == tier]
    held: Counter[str] = Counter()
    for pod in state.pods:
        if pod.tier == tier and pod.phase in {"Running", "Pending"}:
            held["held" if pod.node else "pending"] += pod.gpus
    return {
        "nodes": len(nodes),
        "nodes_moving": sum(n.ours for n in nodes),
        "gpus": sum(n.gpus_capacity for n in nodes),
        "gpus_ready": sum(n.gpus_allocatable for n in nodes if usable(n)),
        "held_gpus": held["held"],
        "pending_gpus": held["pending"],
        "busy_gpus": _busy_gpus(metrics, state.cluster, facts.namespaces_of_tier(tier)),
        "floor_gpus": facts.floor_gpus(tier),
    }


def _busy_gpus(metrics: Metrics, cluster: str, namespaces: Iterable[str]) -> float | None:
    """Activity in all these namespaces. One without GPUs has no series: it is idle where the
    exporter answers for its cluster, and unknown elsewhere."""
    seen = metrics.readings["gpus_busy"].select(cluster=cluster)
    values = {s.labels.get("namespace", ""): s.last for s in seen}
    busy = [values.get(name, 0.0) for name in namespaces]
    answers = any(value is not None for value in values.values())
    return sum(b for b in busy if b is not None) if answers and None not in busy else None


def _service(state: ClusterState, metrics: Metrics, workload: WorkloadConfig) -> dict[str, Any]:
    where = {"cluster": state.cluster, "model_name": workload.model}
    slo_s = workload.slo_ttft_p95_ms / 1000 if workload.slo_ttft_p95_ms else None
    p95_s = metrics.value("ttft_p95_seconds", **where)
    deployment = next((d for d in state.deployments if d.workload == workload.id), None)
    return {
        "model": workload.model,
        "replicas": deployment.replicas if deployment else None,
        "ready": deployment.ready if deployment else None,
        "rps": metrics.value("arrivals_rps", **where),
        "waiting": metrics.value("requests_waiting", **where),
        "ttft_p95_ms": p95_s * 1000 if p95_s is not None else None,
        "slo_ms": workload.slo_ttft_p95_ms,
        "tier": workload.tier,
        "owned_by": actuator_of(deployment).owner if deployment else "",
        "slo_ratio": p95_s / slo_s if p95_s is not None and slo_s else None,
    }
