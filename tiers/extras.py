"""What a look at the fleet reads beside nodes and pods: GPU faults, waiting work, quotas."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from infra_console.cluster.errors import ClusterError
from infra_console.telemetry.queries import read_instant
from tiers.adapters.kubernetes_asks import (
    read_asks,
    read_quotas,
    read_workloads,
    running_gangs,
)
from tiers.core.demand.gangs import RunningGang
from tiers.core.fleet_state import FleetState
from tiers.core.health import GpuFault, remap_fault, xid_fault
from tiers.facts import FleetFacts
from tiers.ledger_keep import Asked, Extras

MAX_CLUSTERS_AT_ONCE = 6
REMAPS = ("failure", "pending", "rows")
Gpu = tuple[str, str]


def read_faults() -> list[GpuFault]:
    """GPUs whose counters call them broken; none where the source is silent, which its age says."""
    return list(_faults())


def _faults() -> Iterator[GpuFault]:
    for series in read_instant("xid_errors").series:
        if why := xid_fault(series.last):
            yield _fault(series.labels, why)
    named: dict[Gpu, Mapping[str, str]] = {}
    failed, pending, rows = (_by_gpu(f"row_remap_{what}", named) for what in REMAPS)
    for gpu, labels in named.items():
        if why := remap_fault(failed.get(gpu), pending.get(gpu), rows.get(gpu)):
            yield _fault(labels, why)


def _by_gpu(query: str, named: dict[Gpu, Mapping[str, str]]) -> dict[Gpu, float | None]:
    """Values by cluster and GPU; the GPUs' labels are added to `named`."""
    found = {}
    for series in read_instant(query).series:
        key = (series.labels.get("cluster", ""), series.labels.get("UUID", ""))
        named.setdefault(key, series.labels)
        found[key] = series.last
    return found


def _fault(labels: Mapping[str, str], why: str) -> GpuFault:
    gpu = labels.get("UUID") or labels.get("gpu", "")
    return GpuFault(labels.get("cluster", ""), labels.get("node", ""), gpu, why)


def read_extras(facts: FleetFacts, state: FleetState) -> Extras:
    """Waiting work and quotas of clusters that were read from their API; metrics tell neither."""
    clusters = [c for c, seen in state.clusters.items() if seen.source == "kubernetes"]
    if not clusters:
        return Extras()
    with ThreadPoolExecutor(MAX_CLUSTERS_AT_ONCE) as threads:
        found = dict(zip(clusters, threads.map(lambda c: _work(c, facts), clusters), strict=True))
        quotas = dict(zip(clusters, threads.map(_quotas, clusters), strict=True))
    return Extras(
        asks={c: asked for c, (asked, _) in found.items() if asked is not None},
        quotas=quotas,
        gangs={c: gangs for c, (_, gangs) in found.items()},
    )


def _work(cluster: str, facts: FleetFacts) -> tuple[Asked | None, list[RunningGang]]:
    """What waits, or None where it cannot be read, and the gangs that queues let run."""
    workloads = read_workloads(cluster)
    gangs = running_gangs(workloads, facts)
    try:
        return read_asks(cluster, facts, workloads), gangs
    except ClusterError:
        return None, gangs


def _quotas(cluster: str) -> dict[str, int] | None:
    try:
        return read_quotas(cluster)
    except ClusterError:
        return None
