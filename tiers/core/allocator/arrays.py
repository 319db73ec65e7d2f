"""One region of a snapshot as arrays, for the compiled search and the relaxations.

Axes: pool p, workload w, tier z, step t; plans are groups `(P, W, T)`. Pools and workloads stand in
order of their names.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from tiers.core.region_problem import Key, RegionProblem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
# A group below its floor costs more than any shortfall could: floors come before money.
FLOOR_BREACH_USD = 1e7


class Facts(NamedTuple):
    """What the search reads. Money is US dollars; `gpus` is 0 where a workload may not run."""

    gpus: Ints  # (P, W) of one group
    units: Floats  # (P, W) that one group serves
    capacity: Floats  # (P, W) of one group for one step
    start: Floats  # (P, W) to start one group
    stop: Floats  # (P, W) to stop one group
    current: Ints  # (P, W) groups that run now
    demand: Floats  # (W, T)
    shortfall: Floats  # (W,) of one unit missing for one step
    floor: Ints  # (W,)
    ceiling: Ints  # (W,)
    tier: Ints  # (W,)
    tiers: int
    nodes: Ints  # (P,)
    gpus_per_node: Ints  # (P,)


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """The names behind the axes, and the facts."""

    problem: RegionProblem
    pools: tuple[str, ...]
    workloads: tuple[str, ...]
    facts: Facts

    @classmethod
    def of(cls, problem: RegionProblem) -> Self:
        pools, workloads = tuple(sorted(problem.pools)), tuple(sorted(problem.workloads))
        return cls(problem, pools, workloads, _facts(problem, pools, workloads))

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.pools), len(self.workloads), self.problem.steps

    @property
    def paid_usd_per_hour(self) -> Floats:
        """(P, W) of one group, on pools that are paid when used."""
        return self.facts.capacity / self.problem.step_hours

    def held(self) -> Ints:
        """(P, W, T): what runs now, in every step."""
        return np.repeat(self.facts.current[:, :, None], self.problem.steps, axis=2)

    def groups(self, plan: Ints, step: int) -> dict[Key, int]:
        """Those of one step by (pool, workload), zeros left out."""
        return {
            (self.pools[p], self.workloads[w]): int(plan[p, w, step])
            for p, w in zip(*np.nonzero(plan[:, :, step]), strict=True)
        }


def _facts(problem: RegionProblem, pools: tuple[str, ...], workloads: tuple[str, ...]) -> Facts:
    def table(value: Any, dtype: Any = np.float64) -> Any:
        shape = len(pools), len(workloads)
        cells = [value(p, w) if problem.eligible(p, w) else 0 for p in pools for w in workloads]
        return np.array(cells, dtype=dtype).reshape(shape)

    rows = [problem.workloads[w] for w in workloads]
    tiers = sorted({w.tier for w in rows})
    per_node = np.array([problem.pools[p].gpus_per_node for p in pools], dtype=np.int64)
    supply = np.array([problem.pools[p].gpus for p in pools], dtype=np.int64)
    price = [w.shortfall_usd_per_unit_hour * problem.step_hours for w in rows]
    return Facts(
        gpus=table(problem.group_gpus, np.int64),
        units=table(lambda p, w: problem.workloads[w].units_per_group[problem.pools[p].gpu_type]),
        capacity=table(problem.capacity_usd_per_step),
        start=table(lambda p, w: problem.move_prices((p, w))[0]),
        stop=table(lambda p, w: problem.move_prices((p, w))[1]),
        current=table(lambda p, w: problem.start.get((p, w), 0), np.int64),
        demand=np.array([problem.demand[w] for w in workloads]).reshape(len(rows), problem.steps),
        shortfall=np.array(price, dtype=np.float64),
        floor=np.array([w.floor_groups for w in rows], dtype=np.int64),
        ceiling=np.array([w.ceiling_groups for w in rows], dtype=np.int64),
        tier=np.array([tiers.index(w.tier) for w in rows], dtype=np.int64),
        tiers=len(tiers),
        nodes=supply // per_node if len(pools) else supply,
        gpus_per_node=per_node,
    )
