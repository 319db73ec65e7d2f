"""One region of the allocation problem: its facts, its rules, and what held groups cost.

Groups are held over the whole horizon here; the allocator varies them by step.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Self

from tiers.core.snapshot import Snapshot, SnapshotPool, SnapshotWorkload

Key = tuple[str, str]  # (pool, workload)
Change = tuple[Key, int]  # groups started or stopped
# A group below its floor costs more than any shortfall could: floors come before money.
FLOOR_BREACH_USD = 1e7


@dataclass(frozen=True, slots=True)
class Cost:
    capacity_usd: float
    moves_usd: float
    shortfall_usd: float
    breach_usd: float

    @property
    def money_usd(self) -> float:
        return self.capacity_usd + self.moves_usd + self.shortfall_usd

    @property
    def total(self) -> float:
        """What the search minimises: money, and floors before money."""
        return self.money_usd + self.breach_usd


@dataclass(frozen=True, slots=True)
class Dwell:
    """How long ago groups changed, and how long what changed is to stay."""

    changed_s_ago: float
    dwell_s: float


@dataclass
class RegionProblem:
    """Mutable search state of one region; `x` are groups by (pool, workload)."""

    region: str
    pools: dict[str, SnapshotPool]
    workloads: dict[str, SnapshotWorkload]
    demand: dict[str, list[float]]
    start: dict[Key, int]  # what runs on healthy supply: moves are counted and priced from here
    step_hours: float
    steps: int
    x: dict[Key, int] = field(default_factory=dict)
    dwelling: Mapping[Key, Dwell] = field(default_factory=dict)  # what is not to be stopped yet

    @classmethod
    def of(cls, snapshot: Snapshot, region: str) -> Self:
        """The region's part of a snapshot, starting from its current groups that still fit."""
        pools = {p.id: p for p in snapshot.pools if p.region == region}
        workloads = {w.id: w for w in snapshot.workloads if region in w.regions}
        demand = {
            w: [s.at(snapshot.quantile) for s in snapshot.demand.get(w, {}).get(region, ())]
            for w in workloads
        }
        current = {
            (c.pool, c.workload): c.groups
            for c in snapshot.current
            if c.pool in pools and c.workload in workloads
        }
        problem = cls(
            region=region,
            pools=pools,
            workloads=workloads,
            demand={w: d or [0.0] * snapshot.steps for w, d in demand.items()},
            start={},
            step_hours=snapshot.step_s / 3600,
            steps=snapshot.steps,
            dwelling=dict(_dwelling(snapshot, workloads)),
        )
        problem.start = {k: n for k, n in current.items() if problem.eligible(*k)}
        problem.x = dict(problem.start)
        problem._shed_overload()
        problem.start = dict(problem.x)
        return problem

    @property
    def hours(self) -> float:
        return self.step_hours * self.steps

    # --- what is allowed ------------------------------------------------------------------

    def eligible(self, pool_id: str, workload_id: str) -> bool:
        pool, workload = self.pools[pool_id], self.workloads[workload_id]
        return pool.gpu_type in workload.group_gpus and (
            pool.purchase != "spot" or workload.spot_ok
        )

    def group_gpus(self, pool_id: str, workload_id: str) -> int:
        return self.workloads[workload_id].group_gpus.get(self.pools[pool_id].gpu_type, 0)

    def fits(self, pool_id: str) -> bool:
        """Whole nodes of the pool suffice, each node serving one tier."""
        pool = self.pools[pool_id]
        tiers = {w.tier for w in self.workloads.values()}
        return sum(self._nodes_of(pool_id, t) for t in tiers) <= pool.gpus // pool.gpus_per_node

    def total_groups(self, workload_id: str) -> int:
        return sum(n for (_, w), n in self.x.items() if w == workload_id)

    # --- what it costs ---------------------------------------------------------------------

    def workload_usd(self, workload_id: str) -> float:
        """Shortfall and floor breach of one workload over the horizon."""
        return self._shortfall_usd(workload_id) + self._breach_usd(workload_id)

    def units(self, workload_id: str) -> float:
        served = self.workloads[workload_id].units_per_group
        return sum(
            n * served[self.pools[p].gpu_type] for (p, w), n in self.x.items() if w == workload_id
        )

    def _shortfall_usd(self, workload_id: str) -> float:
        units = self.units(workload_id)
        missing = sum(max(0.0, d - units) for d in self.demand[workload_id])
        return missing * self.step_hours * self.workloads[workload_id].shortfall_usd_per_unit_hour

    def _breach_usd(self, workload_id: str) -> float:
        below = self.workloads[workload_id].floor_groups - self.total_groups(workload_id)
        return max(0, below) * FLOOR_BREACH_USD

    def capacity_usd_per_step(self, pool_id: str, workload_id: str) -> float:
        """Of one group, on a pool that is paid when used."""
        pool = self.pools[pool_id]
        gpu_hours = self.group_gpus(pool_id, workload_id) * self.step_hours
        return gpu_hours * pool.usd_per_gpu_hour if pool.paid_when_used else 0.0

    def key_usd(self, key: Key) -> tuple[float, float]:
        """(capacity, moves) of one (pool, workload) over the horizon."""
        n = self.x.get(key, 0)
        capacity = n * self.capacity_usd_per_step(*key) * self.steps
        start_usd, stop_usd = self.move_prices(key)
        delta = n - self.start.get(key, 0)
        return capacity, delta * start_usd if delta > 0 else -delta * stop_usd

    def move_prices(self, key: Key) -> tuple[float, float]:
        """(start, stop) of one group in US dollars; the stop also loses work."""
        pool, workload = self.pools[key[0]], self.workloads[key[1]]
        moving = self.group_gpus(*key) * workload.move_s / 3600
        lost = workload.preempt_loss_gpu_hours or 0.0
        return moving * pool.usd_per_gpu_hour, (moving + lost) * pool.usd_per_gpu_hour

    def cost(self) -> Cost:
        keys = [self.key_usd(k) for k in self.x.keys() | self.start.keys()]
        return Cost(
            capacity_usd=sum(c for c, _ in keys),
            moves_usd=sum(m for _, m in keys),
            shortfall_usd=sum(self._shortfall_usd(w) for w in self.workloads),
            breach_usd=sum(self._breach_usd(w) for w in self.workloads),
        )

    def reserved_usd(self) -> float:
        """What the reserved pools cost over the horizon whether used or not."""
        return sum(
            p.gpus * p.usd_per_gpu_hour * self.hours
            for p in self.pools.values()
            if not p.paid_when_used
        )

    # --- changes -----------------------------------------------------------------------------

    def shift(self, changes: Iterable[Change]) -> None:
        for key, delta in changes:
            self.shift_key(key, delta)

    def shift_back(self, changes: Iterable[Change]) -> None:
        for key, delta in changes:
            self.shift_key(key, -delta)

    def groups(self) -> dict[Key, int]:
        return {k: self.x.get(k, 0) for k in self.x.keys() | self.start.keys()}

    def shift_key(self, key: Key, delta: int) -> None:
        self.x[key] = self.x.get(key, 0) + delta

    def price(self, keys: set[Key]) -> float:
        """What the given (pool, workload) cells and their workloads cost now."""
        cells = sum(sum(self.key_usd(k)) for k in keys)
        return cells + sum(self.workload_usd(w) for w in {w for _, w in keys})

    def cheapest_victims(self, pool_id: str, exclude: str) -> list[tuple[Key, float]] | None:
        """The groups of one tier whose stop frees one more node for least; floors hold."""
        tiers = sorted({self.workloads[w].tier for (p, w), n in self.x.items() if p == pool_id})
        options = [v for tier in tiers if (v := self._node_victims(pool_id, tier, exclude))]
        return min(options, key=lambda victims: sum(price for _, price in victims), default=None)

    def _node_victims(
        self, pool_id: str, tier: str, exclude: str
    ) -> list[tuple[Key, float]] | None:
        """The cheapest stops within one tier that let go of one of its nodes, or None."""
        target = self._nodes_of(pool_id, tier) - 1
        victims: list[tuple[Key, float]] = []
        while self._nodes_of(pool_id, tier) > target:
            options = [
                (price / self.group_gpus(*key), key, price)
                for key in sorted(self.x)
                if key[0] == pool_id and key[1] != exclude and self.x[key] > 0
                if self.workloads[key[1]].tier == tier
                if self.total_groups(key[1]) > self.workloads[key[1]].floor_groups
                for price in [self.stop_price(key)]
            ]
            if not options:
                break
            _, key, price = min(options)
            self.shift_key(key, -1)
            victims.append((key, price))
        freed = self._nodes_of(pool_id, tier) <= target
        self.shift_back([(key, -1) for key, _ in victims])
        return victims if freed and victims else None

    def _nodes_of(self, pool_id: str, tier: str) -> int:
        """Whole nodes that one tier takes in a pool."""
        gpus = sum(
            n * self.group_gpus(p, w)
            for (p, w), n in self.x.items()
            if p == pool_id and self.workloads[w].tier == tier
        )
        return ceil(gpus / self.pools[pool_id].gpus_per_node)

    def stop_price(self, key: Key) -> float:
        before = self.price({key})
        self.shift_key(key, -1)
        after = self.price({key})
        self.shift_key(key, 1)
        return after - before

    def _shed_overload(self) -> None:
        """Supply shrank below what runs: the cheapest groups are already lost."""
        for pool_id in self.pools:
            while not self.fits(pool_id):
                victims = self.cheapest_victims(pool_id, exclude="")
                if victims is None:  # only floors are left: the pool cannot hold even those
                    victims = [(max(k for k, n in self.x.items() if k[0] == pool_id and n), 0.0)]
                self.shift((victim, -1) for victim, _ in victims)


def _dwelling(
    snapshot: Snapshot, workloads: Mapping[str, SnapshotWorkload]
) -> Iterator[tuple[Key, Dwell]]:
    for row in snapshot.current:
        dwell_s = workloads[row.workload].min_dwell_s if row.workload in workloads else None
        if dwell_s and row.changed_s_ago is not None and row.changed_s_ago < dwell_s:
            yield (row.pool, row.workload), Dwell(row.changed_s_ago, dwell_s)
