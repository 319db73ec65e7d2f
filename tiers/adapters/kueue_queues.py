"""Kueue's queues and admitted gangs in the core's words, for the tiers of the fleet file.

A ClusterQueue is of the tier whose namespaces lead to it; one that several tiers share is nobody's
to move quota of. Where Kueue is not served, or may not be read, there are no queues: gangs are then
drained as any pods are.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from infra_console.cluster import kueue
from infra_console.cluster.errors import ClusterForbidden
from infra_console.cluster.kueue_objects import ClusterQueueState, FlavorState, WorkloadState
from infra_console.cluster.objects import GPU, NodeState
from tiers.core.fleet_state import GangView, QuotaView
from tiers.facts import FleetFacts


def read_queues(
    facts: FleetFacts, cluster: str, nodes: Sequence[NodeState]
) -> tuple[tuple[QuotaView, ...], tuple[GangView, ...]]:
    """The quotas of GPUs and the gangs that hold them.

    Raises:
        ClusterError: the cluster did not answer.
    """
    if not kueue.serves_kueue(cluster):
        return (), ()
    try:
        tiers = _tiers(facts, kueue.list_local_queues(cluster))
        covered = {f.name: _covered(f, nodes) for f in kueue.list_flavors(cluster)}
        queues = [q for q in kueue.list_cluster_queues(cluster) if tiers.get(q.name)]
        workloads = kueue.list_workloads(cluster)
    except ClusterForbidden:
        return (), ()
    quotas = tuple(q for queue in queues for q in _quotas(queue, tiers[queue.name], covered))
    return quotas, tuple(_gangs(workloads, tiers))


def _tiers(facts: FleetFacts, leading: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The tier of each ClusterQueue; none for one that several tiers share."""
    found: dict[str, set[str]] = {}
    for namespace, queue in leading:
        found.setdefault(queue, set()).add(facts.tier_of_namespace(namespace) or "")
    return {queue: next(iter(tiers)) for queue, tiers in found.items() if len(tiers) == 1}


def _covered(flavor: FlavorState, nodes: Iterable[NodeState]) -> frozenset[str]:
    return frozenset(n.name for n in nodes if flavor.covers(n.labels))


def _quotas(
    queue: ClusterQueueState, tier: str, covered: Mapping[str, frozenset[str]]
) -> Iterator[QuotaView]:
    for quota in queue.quotas:
        if quota.resource == GPU:
            yield QuotaView(
                queue=queue.name,
                uid=queue.uid,
                flavor=quota.flavor,
                tier=tier,
                nominal=quota.amount,
                reserved=queue.reserved.get((quota.flavor, GPU), 0),
                total=queue.total(GPU),
                nodes=covered.get(quota.flavor, frozenset()),
                owners=tuple(m.name for m in queue.owners),
            )


def _gangs(workloads: Iterable[WorkloadState], tiers: Mapping[str, str]) -> Iterator[GangView]:
    for workload in workloads:
        tier = tiers.get(workload.cluster_queue)
        if tier and workload.reserved and not workload.finished:
            yield GangView(
                namespace=workload.namespace,
                name=workload.name,
                uid=workload.uid,
                job=workload.job_name,
                tier=tier,
                queue=workload.cluster_queue,
                held={f: gpus for (f, r), gpus in workload.usage.items() if r == GPU},
            )
