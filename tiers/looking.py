"""One first look: a metric source, Kubernetes APIs, or both as one inventory.

Workers and commands import this; it needs both clients.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from django.conf import settings

from infra_console.fleet.queries import list_clusters
from infra_console.telemetry.adapters.prometheus import PrometheusSource
from infra_console.telemetry.pace import Pace
from infra_console.telemetry.sources import BoundSource, current_sources
from tiers.adapters import inventory_kubernetes, inventory_prometheus
from tiers.core.inventory import Inventory
from tiers.errors import NothingToLookAt

SCRAPE_INTERVAL_S = 15.0
MAX_SERIES = 50_000
MAX_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Looked:
    """Where to look. Empty parts mean what the console already knows."""

    prometheus: Sequence[str] = ()
    kubeconfig: Path | None = None
    contexts: Sequence[str] = ()
    max_series: int = MAX_SERIES
    max_bytes: int = MAX_BYTES
    pace: Pace = field(default_factory=Pace)  # counts what is fetched of the named places


def look(where: Looked, *, now: datetime) -> Inventory:
    """Everything that the named places tell; what fails is named in it.

    Raises:
        NothingToLookAt: no place is named, nor known.
        ClusterNotConfigured: the kubeconfig cannot be read.
    """
    sources = _sources(where)
    kubeconfig, contexts = _contexts(where)
    if not sources and not contexts:
        raise NothingToLookAt
    metrics = [inventory_prometheus.read_inventory(source, now=now) for source in sources]
    if kubeconfig is None or not contexts:
        return inventory_prometheus.merged(metrics, now=now)
    cluster = inventory_kubernetes.read_inventory(kubeconfig, contexts, now=now)
    return _both(cluster, metrics, now=now)


def _both(cluster: Inventory, metrics: Sequence[Inventory], *, now: datetime) -> Inventory:
    """Nodes and pods as the API tells them, GPUs as their exporters do."""
    if not metrics:
        return cluster
    seen = inventory_prometheus.merged(metrics, now=now)
    return Inventory(
        taken_at=now,
        source="kubernetes",
        nodes=cluster.nodes,
        pods=cluster.pods,
        gpus=seen.gpus,
        problems=(*cluster.problems, *seen.problems),
        unknown=tuple(u for u in seen.unknown if "exporter" in u or "work" in u),
    )


def _sources(where: Looked) -> list[BoundSource]:
    if not where.prometheus:
        known = current_sources() if where.kubeconfig is None else ()
        return list(known)
    return [
        BoundSource(
            id=url,
            clusters=frozenset(),
            scrape_interval_s=SCRAPE_INTERVAL_S,
            source=PrometheusSource(
                url, pace=where.pace, max_series=where.max_series, max_bytes=where.max_bytes
            ),
            pace=where.pace,
        )
        for url in where.prometheus
    ]


def _contexts(where: Looked) -> tuple[Path | None, Mapping[str, str]]:
    if where.kubeconfig is not None:
        named = inventory_kubernetes.contexts_of(where.kubeconfig)
        return where.kubeconfig, inventory_kubernetes.chosen(named, where.contexts)
    if where.prometheus or not settings.KUBECONFIG:
        return None, {}
    return Path(settings.KUBECONFIG), {c.id: c.context for c in list_clusters()}
