"""The workloads with replicas of one cluster, and who owns the number of these."""

from collections.abc import Iterator

from infra_console.cluster.bounds import BoundsState, list_bounds
from infra_console.cluster.errors import ObjectMissing
from infra_console.cluster.managers import Manager
from infra_console.cluster.scaling import ScaleState, list_scaled
from infra_console.cluster.takeovers import Leave, others
from infra_console.fleet.config import SERVICES, WorkloadConfig
from tiers.core.fleet_state import AutoscalerView, DeploymentView, GitView
from tiers.facts import FleetFacts


def read_services(facts: FleetFacts, cluster: str, leave: Leave) -> tuple[DeploymentView, ...]:
    """Whoever we have leave to take a field over from does not own it.

    Raises:
        ClusterError: who owns what is read whole, or the cluster is not read at all.
    """
    bounds = {(b.at.namespace, *b.target): b for b in list_bounds(cluster)}
    named: dict[tuple[str, str], WorkloadConfig] = {
        (w.kind, key): w for key, w in facts.services().items()
    }
    return tuple(
        _view(leave, held, workload, bounds.get((held.namespace, held.kind, held.name)))
        for held in _scaled(facts, cluster)
        if (workload := named.get((held.kind, f"{held.namespace}/{held.name}")))
    )


def _scaled(facts: FleetFacts, cluster: str) -> Iterator[ScaleState]:
    """Objects of the kinds that the fleet names; a kind that is not served has none."""
    for kind in sorted({w.kind for w in facts.workloads.values()} & SERVICES):
        try:
            yield from list_scaled(cluster, kind)
        except ObjectMissing:
            continue


def _view(
    leave: Leave, held: ScaleState, workload: WorkloadConfig, bounds: BoundsState | None
) -> DeploymentView:
    return DeploymentView(
        namespace=held.namespace,
        name=held.name,
        uid=held.uid,
        replicas=held.replicas or 0,
        ready=held.ready,
        workload=workload.id,
        kind=held.kind,
        first=held.first,
        owners=_names(others(leave, held.kind, held.owners)),
        autoscaler=_autoscaler(leave, bounds) if bounds else None,
        git=GitView(**workload.git.model_dump()) if workload.git else None,
    )


def _autoscaler(leave: Leave, bounds: BoundsState) -> AutoscalerView:
    return AutoscalerView(
        kind=bounds.at.kind,
        name=bounds.at.name,
        uid=bounds.at.uid,
        low=bounds.low,
        high=bounds.high,
        most=bounds.most,
        paused=bounds.paused,
        owners=_names(others(leave, bounds.at.kind, bounds.owners)),
    )


def _names(managers: tuple[Manager, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(m.name for m in managers))
