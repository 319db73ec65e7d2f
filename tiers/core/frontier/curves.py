"""p95 time to first token of a cell against its groups, as a multiple of the objective."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tiers.core.snapshot import LatencyTable, SnapshotWorkload

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# p95 over objective against load over `units_per_group`, where that is the load at which the
# objective is just met: 70B on four H100, four replicas, by tiers.core.latency. Used, and marked
# as such, where a snapshot brings no table.
DEFAULT_LOAD = (0.05, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.05, 1.1, 1.15, 1.2)
DEFAULT_RATIO = (
    0.513, 0.544, 0.595, 0.671, 0.710, 0.794, 0.893, 1.0, 1.127, 1.226, 1.431, 4.32,
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Ratios `(g, l)` at `groups` `(g,)` and `load` `(l,)`; `assumed` marks the default."""

    groups: Floats
    load: Floats
    ratio: Floats
    assumed: bool

    def at(self, groups: Ints, load: Floats) -> Floats:
        """Ratio of groups `(n,)` at loads `(n,)`: linear between the table's entries, held at its
        ends, infinite beyond its last load and where there is no group."""
        row = np.interp(groups, self.groups, np.arange(len(self.groups)))
        low = np.minimum(row.astype(np.int64), len(self.groups) - 1)
        high = np.minimum(low + 1, len(self.groups) - 1)
        column = np.interp(load, self.load, np.arange(len(self.load)))
        left = np.minimum(column.astype(np.int64), len(self.load) - 2)
        x, y = column - left, row - low
        ratio = (1 - y) * self._along(low, left, x) + y * self._along(high, left, x)
        return np.where((load > self.load[-1]) | (groups < 1), np.inf, ratio)

    def _along(self, row: Ints, left: Ints, x: Floats) -> Floats:
        found = self.ratio[row, left] * (1 - x) + self.ratio[row, left + 1] * x
        return np.asarray(found)


DEFAULT = Curve(
    groups=np.array([1.0]),
    load=np.array(DEFAULT_LOAD),
    ratio=np.array([DEFAULT_RATIO]),
    assumed=True,
)


def curve_of(workload: SnapshotWorkload, gpu_type: str) -> Curve:
    """The workload's table on that GPU type as ratios, or the default."""
    table = (workload.latency or {}).get(gpu_type)
    if table is None or not workload.slo_ttft_p95_ms:
        return DEFAULT
    return _ratios(table, workload.slo_ttft_p95_ms)


def _ratios(table: LatencyTable, slo_ms: float) -> Curve:
    return Curve(
        groups=np.array(table.groups, dtype=np.float64),
        load=np.array(table.load, dtype=np.float64),
        ratio=np.array(table.ttft_p95_ms, dtype=np.float64) / slo_ms,
        assumed=False,
    )
