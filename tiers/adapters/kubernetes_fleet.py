"""Reading the fleet from its Kubernetes APIs, clusters at once."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from infra_console.cluster import reads
from infra_console.cluster.errors import ClusterError
from infra_console.cluster.objects import NodeState, PodState
from infra_console.cluster.takeovers import leave_in
from infra_console.plans.marks import held_by
from tiers.adapters.kueue_queues import read_queues
from tiers.adapters.services import read_services
from tiers.adapters.views import checkpoint_age_s, node_view, pod_view
from tiers.core.fleet_state import ClusterState, FleetState, NodeView, PodView
from tiers.facts import FleetFacts

MAX_CLUSTERS_AT_ONCE = 6


class KubernetesFleet:
    """A FleetReader over `infra_console.cluster`."""

    def __init__(self, facts: FleetFacts, *, now: datetime) -> None:
        self._facts = facts
        self._now = now
        self._leave = {cluster: leave_in(cluster) for cluster in facts.cluster_ids}

    def read(self, clusters: Sequence[str]) -> FleetState:
        with ThreadPoolExecutor(max_workers=MAX_CLUSTERS_AT_ONCE) as threads:
            results = list(threads.map(self._attempt, clusters))
        read = {c.cluster: c for c in results if isinstance(c, ClusterState)}
        failed = {
            cluster: result
            for cluster, result in zip(clusters, results, strict=True)
            if isinstance(result, str)
        }
        return FleetState(read, failed)

    def _attempt(self, cluster: str) -> ClusterState | str:
        try:
            return self._read_cluster(cluster)
        except ClusterError as err:
            return str(err)

    def _read_cluster(self, cluster: str) -> ClusterState:
        nodes = reads.list_nodes(cluster)
        quotas, gangs = read_queues(self._facts, cluster, nodes)
        return ClusterState(
            cluster=cluster,
            region=self._facts.region_of[cluster],
            source="kubernetes",
            nodes=tuple(self._node(cluster, n) for n in nodes),
            pods=tuple(self._pod(p) for p in reads.list_pods(cluster) if p.gpus),
            deployments=read_services(self._facts, cluster, self._leave.get(cluster, {})),
            quotas=quotas,
            gangs=gangs,
        )

    def _node(self, cluster: str, node: NodeState) -> NodeView:
        return node_view(
            self._facts,
            cluster,
            name=node.name,
            uid=node.uid,
            labels=node.labels,
            taints=[(t.key, t.effect) for t in node.taints],
            capacity=node.gpus_capacity,
            allocatable=node.gpus_allocatable,
            ready=node.ready,
            unschedulable=node.unschedulable,
            ours=bool(held_by(node)),
        )

    def _pod(self, pod: PodState) -> PodView:
        return pod_view(
            self._facts,
            namespace=pod.namespace,
            name=pod.name,
            node=pod.node,
            phase=pod.phase,
            ready=pod.ready,
            gpus=pod.gpus,
            labels=pod.labels,
            owner_kind=pod.owner_kind,
            owner_name=pod.owner_name,
            checkpoint_age_s=checkpoint_age_s(pod.annotations, self._now),
            deleting=pod.deleting,
            started_at=pod.started_at,
            priority=pod.priority,
        )
