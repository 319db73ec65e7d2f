"""What the console will ask of a metric source, before it asks: queries, series and bytes.

An estimate from the fleet's size. A series of an instant answer was measured at about 220 bytes as
Prometheus writes it (labels of a dozen words), a sample of a range at about 30. A stored number is
asked for twice, its value and its time; the questions are held against what is really asked by a
test. What people open asks on top.
"""

from dataclasses import dataclass

BYTES_PER_SERIES, BYTES_PER_SAMPLE = 220, 30
GPUS_PER_NODE, PODS_PER_NODE = 8, 4
AGES = 3  # scrapes and witnesses, these by rule or from raw series
FAST_S = 60.0
HISTORY_POINTS = 28 * 24 * 6  # four weeks of ten minutes


MODELS = 8  # where nobody says


@dataclass(frozen=True, slots=True)
class FleetSize:
    clusters: int
    nodes: int
    models: int = MODELS

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
    samples: int = 0  # of ranges

    @property
    def bytes(self) -> int:
        return self.series * BYTES_PER_SERIES + self.samples * BYTES_PER_SAMPLE

    def per_minute(self, amount: int) -> float:
        return amount * 60 / self.every_s if self.every_s else 0.0


def adoption_budget(size: FleetSize) -> Budget:
    """One first look: per node about seven series, per pod four, per GPU three; and the ages."""
    series = 7 * size.nodes + 4 * size.pods + 3 * size.gpus
    return Budget("first look", 13 + AGES, series + _targets(size), None)


def standing_budget(
    size: FleetSize, *, observe_s: float, cycle_s: float, by_metrics: bool
) -> list[Budget]:
    """What is asked as long as the console runs.

    Args:
        by_metrics: nodes and pods are read from metrics too, for want of cluster rights.
    """
    models = size.clusters * size.models
    few, targets = 2 * 4 * models + 12 * size.clusters, _targets(size)
    inventory = Budget("nodes and pods", 13, 7 * size.nodes + 5 * size.pods, observe_s)
    observation = Budget("observation and faults", 8 + 4, few + size.gpus, observe_s)
    histories = models + 8 * size.clusters  # models, namespaces and phases, nodes
    # As the observation, then demand, throughput, what is seen at least, and the histories.
    cycle = observation.queries + AGES + 9 + 1 + 4 + 8
    return [
        observation,
        Budget("ages", AGES, targets, observe_s),
        Budget("fast pass", 6 + AGES, 6 * models + targets, FAST_S),
        Budget("sources and their rules", 2, 1, FAST_S),
        Budget(
            "cycle", cycle + (inventory.queries if by_metrics else 0),
            few + size.gpus + 9 * models + targets + histories
            + (inventory.series if by_metrics else 0),
            cycle_s, samples=histories * HISTORY_POINTS,
        ),
        *([inventory] if by_metrics else []),
    ]  # fmt: skip


def _targets(size: FleetSize) -> int:
    """Exporters' scrapes, and the witnesses."""
    return size.nodes + size.clusters * (size.models + 12)
