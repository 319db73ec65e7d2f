"""Nodes and pods in the core's words, shared by both ways of reading a fleet."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from tiers.core.classify import (
    declared_gpus,
    first_label,
    foreign_taint,
    gang_of,
    pool_of,
    replica_of,
    workload_of,
)
from tiers.core.fleet_state import NodeView, PodView
from tiers.facts import FleetFacts

LAST_CHECKPOINT_KEY = "infra-console.dev/last-checkpoint"


def node_view(
    facts: FleetFacts,
    cluster: str,
    *,
    name: str,
    uid: str,
    labels: Mapping[str, str],
    taints: Iterable[tuple[str, str]],
    capacity: int,
    allocatable: int,
    ready: bool,
    unschedulable: bool,
    ours: bool,
) -> NodeView:
    pool = pool_of(labels, facts.pools_by_cluster[cluster])
    return NodeView(
        name=name,
        uid=uid,
        pool=pool.id if pool else "",
        gpu_type=pool.gpu_type if pool else labels.get("nvidia.com/gpu.product", "unknown"),
        tier=labels.get(facts.tier_key),
        gpus_capacity=declared_gpus(labels, capacity),
        gpus_allocatable=min(allocatable, capacity),
        ready=ready,
        unschedulable=unschedulable,
        foreign=foreign_taint(taints, facts.tier_key),
        ours=ours,
        spot=pool is not None and pool.spot,
        block=first_label(labels, facts.config.labels.block),
        consolidated="karpenter.sh/nodepool" in labels,
    )


def pod_view(
    facts: FleetFacts,
    *,
    namespace: str,
    name: str,
    node: str,
    phase: str,
    ready: bool | None,
    gpus: int,
    labels: Mapping[str, str],
    owner_kind: str,
    owner_name: str,
    checkpoint_age_s: float | None = None,
    deleting: bool = False,
    started_at: datetime | None = None,
    priority: int | None = None,
) -> PodView:
    tier = facts.tier_of_namespace(namespace)
    services = [w.name for w in facts.services().values() if w.namespace == namespace]
    service = workload_of(name, owner_kind, owner_name, services)
    workload = next(
        (w.id for w in facts.services().values() if w.name == service and w.namespace == namespace),
        "",
    )
    return PodView(
        namespace=namespace,
        name=name,
        node=node,
        phase=phase,
        ready=ready,
        gpus=gpus,
        tier=tier,
        workload=workload or facts.queue_workload(tier),
        gang=gang_of(labels, owner_kind, owner_name),
        checkpoint_age_s=checkpoint_age_s,
        deleting=deleting,
        owner=facts.team_of(namespace, labels),
        replica=replica_of(name, owner_kind, owner_name, service),
        started_at=started_at,
        priority=priority,
    )


def checkpoint_age_s(annotations: Mapping[str, str], now: datetime) -> float | None:
    """Seconds since the last checkpoint that the pod announces, None when it does not."""
    text = annotations.get(LAST_CHECKPOINT_KEY)
    if not text:
        return None
    try:
        return max(0.0, (now - datetime.fromisoformat(text)).total_seconds())
    except (ValueError, TypeError):  # not a time, or one without a zone: unknown, not fresh
        return None
