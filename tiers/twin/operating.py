"""Operating points of each served model: the event simulation run once over a grid of loads.

History is read off these points (linear between them), not simulated request by request: it knows
steady states at a constant load and no transients. Pooling is that of `GRID_REPLICAS` replicas.
"""

from dataclasses import dataclass

import numpy as np

from tiers.core.simulate.buckets import TTFT_EDGES_S
from tiers.core.simulate.capacity import measure
from tiers.core.simulate.profiles import SERVED_MODELS
from tiers.twin.lengths import LENGTHS
from tiers.twin.load_test import UNITS_PER_GROUP
from tiers.twin.noise import Floats

GRID_REPLICAS = 3
# Load per replica over the measured units per group.
GRID_LOADS = np.array([0.05, 0.2, 0.4, 0.6, 0.75, 0.85, 0.95, 1.05, 1.15, 1.3, 1.6])
SEED = 3


@dataclass(frozen=True)
class OperatingCurve:
    """One model over the grid: rows are loads `(k,)`, `within` is `(k, edges)` of TTFT."""

    within: Floats
    engine_active: Floats
    kv_usage: Floats
    running_per_replica: Floats
    waiting_per_replica: Floats

    def read(self, column: Floats, load: Floats) -> Floats:
        """A column at loads `(n,)`, held at the grid's ends."""
        return np.interp(load, GRID_LOADS, column)

    def within_at(self, load: Floats) -> Floats:
        """Share of requests under each TTFT edge, `(n, edges)`."""
        return np.stack([self.read(column, load) for column in self.within.T], axis=1)


def operating_curve(model: str, *, measure_s: float = 180.0) -> OperatingCurve:
    """Run the grid of one model."""
    served, per_group = SERVED_MODELS[model], UNITS_PER_GROUP[model]
    costs = served.costs()
    points = [
        measure(
            costs, LENGTHS[model], rate_rps=load * per_group * GRID_REPLICAS,
            replicas=GRID_REPLICAS, seed=SEED, warm_s=60.0, measure_s=measure_s,
        )
        for load in GRID_LOADS
    ]  # fmt: skip
    busy = np.array([point.busy for point in points])
    prompts = GRID_LOADS * per_group * LENGTHS[model].prompt_mean * costs.per_prompt_token_s
    return OperatingCurve(
        within=np.array([[point.within(edge) for edge in TTFT_EDGES_S] for point in points]),
        engine_active=busy - served.host_share * np.maximum(0.0, busy - prompts),
        kv_usage=np.array([point.kv_usage for point in points]),
        running_per_replica=np.array([p.running for p in points]) / GRID_REPLICAS,
        waiting_per_replica=np.array([p.waiting for p in points]) / GRID_REPLICAS,
    )


def quantile_of(within: Floats, quantile: float) -> Floats:
    """Seconds `(n,)` as `histogram_quantile` reads them from cumulative shares `(n, edges)`."""
    edges = np.asarray(TTFT_EDGES_S)
    bucket = np.minimum((within < quantile).sum(axis=1), len(edges) - 1)
    rows = np.arange(len(within))
    below = np.where(bucket > 0, within[rows, bucket - 1], 0.0)
    low = np.where(bucket > 0, edges[bucket - 1], 0.0)
    width = np.maximum(within[rows, bucket] - below, 1e-12)
    share = np.clip((quantile - below) / width, 0.0, 1.0)
    seconds: Floats = low + (edges[bucket] - low) * share
    return seconds
