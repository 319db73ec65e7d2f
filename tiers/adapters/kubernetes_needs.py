"""What pods with GPUs ask of nodes, and what nodes share, from one cluster's API."""

from collections.abc import Iterator, Mapping
from typing import Any

from infra_console.cluster import reads
from infra_console.cluster.objects import PodState, pod_state
from tiers.adapters.kubernetes_asks import pods_raw
from tiers.core.classify import pool_of, workload_of
from tiers.core.fits import Place, Taint, WorkNeeds, places_of
from tiers.facts import FleetFacts


def read_needs(cluster: str, facts: FleetFacts) -> list[WorkNeeds]:
    """Each kind of pod once: pods of one owner ask alike.

    Raises:
        ClusterError: pods cannot be read.
    """
    found: dict[tuple[str, str], WorkNeeds] = {}
    for item in pods_raw(cluster):
        state = pod_state(item)
        if state.gpus and not state.finished:
            need = _need(cluster, item, state, facts)
            found.setdefault((need.namespace, need.name), need)
    return list(found.values())


def read_places(cluster: str, facts: FleetFacts) -> list[Place]:
    """The cluster's places, by pool and tier.

    Raises:
        ClusterError: nodes cannot be read.
    """
    pools = {p.id: (p.gpu_type, p.gpu_memory_gib) for p in facts.config.pools}
    nodes = []
    for node in reads.list_nodes(cluster):
        pool = pool_of(node.labels, facts.pools_by_cluster[cluster])
        if pool is not None and node.gpus_capacity:
            taints = [Taint(t.key, t.value, t.effect) for t in node.taints]
            tier = node.labels.get(facts.tier_key, "")
            nodes.append((pool.id, tier, node.labels, taints, node.gpus_capacity))
    return places_of(nodes, cluster=cluster, pools=pools)


def _need(cluster: str, item: Mapping[str, Any], state: PodState, facts: FleetFacts) -> WorkNeeds:
    spec = item.get("spec") or {}
    services = {w.name: w for w in facts.services().values() if w.namespace == state.namespace}
    name = workload_of(state.name, state.owner_kind, state.owner_name, services)
    tier = facts.tier_of_namespace(state.namespace)
    stated = services.get(name) or facts.workloads.get(facts.queue_workload(tier))
    return WorkNeeds(
        cluster=cluster,
        namespace=state.namespace,
        name=name or _family(state),
        tier=tier or "",
        gpus=state.gpus,
        tolerations=tuple(spec.get("tolerations") or ()),
        selector=dict(spec.get("nodeSelector") or {}),
        terms=tuple(_terms(spec)),
        gpus_by_type=dict(stated.group_gpus) if stated else {},
        workload=stated.id if stated else "",
    )


def _family(state: PodState) -> str:
    """What pods that ask alike have in common: their queue, else their owner's name less its
    numbers, else their own name."""
    queue = state.labels.get("kueue.x-k8s.io/queue-name", "")
    if queue:
        return f"queue {queue}"
    owner = state.owner_name or state.name
    if state.owner_kind == "ReplicaSet":
        return owner.rpartition("-")[0] or owner
    return owner.rstrip("0123456789").rstrip("-") or owner


def _terms(spec: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], ...]]:
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        yield tuple(term.get("matchExpressions") or ())
