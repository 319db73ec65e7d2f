"""What the console will ask of a metric source, before it asks: queries, series and bytes.

An estimate from the fleet's size. A series of an instant answer was measured at about 220 bytes as
Prometheus writes it (labels of a dozen words); range answers are cut into what a chart shows.
"""

from collections.abc import Iterable
from dataclasses import dataclass

BYTES_PER_SERIES = 220
GPUS_PER_NODE, PODS_PER_NODE = 8, 4


@dataclass(frozen=True, slots=True)
class FleetSize:
    clusters: int
    nodes: int
    models: int = 8

    @property
    def gpus(self) -> int:
        return self.nodes * GPUS_PER_NODE

    @property
    def pods(self) -> int:
        return self.nodes * PODS_PER_NODE


@dataclass(frozen=True, slots=True)
class Budget:
    """What one kind of reading costs. `every_s` None is once."""

    what: str
    queries: int
    series: int
    every_s: float | None

    @property
    def bytes(self) -> int:
        return self.series * BYTES_PER_SERIES

    def per_minute(self, amount: int) -> float:
        return amount * 60 / self.every_s if self.every_s else 0.0


def adoption_budget(size: FleetSize) -> Budget:
    """One first look: per node about seven series, per pod four, per GPU three."""
    series = 7 * size.nodes + 4 * size.pods + 3 * size.gpus
    return Budget("first look", 13, series, None)


def standing_budget(size: FleetSize, *, observe_s: float, by_metrics: bool) -> list[Budget]:
    """What is asked as long as the console runs.

    Args:
        by_metrics: nodes and pods are read from metrics too, for want of cluster rights.
    """
    few = size.clusters * (4 * size.models + 12)
    parts = [
        Budget("observation", 9, few + size.gpus, observe_s),
        Budget("freshness", 1, 3 * size.clusters, observe_s),
    ]
    if by_metrics:
        parts.append(Budget("nodes and pods", 13, 7 * size.nodes + 5 * size.pods, observe_s))
    return parts


def totals_per_minute(parts: Iterable[Budget]) -> dict[str, float]:
    """Queries, series and bytes a minute."""
    found = list(parts)
    return {
        "queries": sum(p.per_minute(p.queries) for p in found),
        "series": sum(p.per_minute(p.series) for p in found),
        "bytes": sum(p.per_minute(p.bytes) for p in found),
    }
