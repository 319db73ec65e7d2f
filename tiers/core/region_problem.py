"""One region of the allocation problem: its state, its cost and its best next exchange."""

from collections import Counter
from collections.abc import Iterable, Iterator
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
class Exchange:
    """Groups started and stopped together, and what that gains over the horizon."""

    changes: tuple[Change, ...]
    gain_usd: float
    reason: str
    adds_paid_capacity: bool


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
    reasons: dict[Key, str] = field(default_factory=dict)

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

    def _units(self, workload_id: str) -> float:
        served = self.workloads[workload_id].units_per_group
        return sum(
            n * served[self.pools[p].gpu_type] for (p, w), n in self.x.items() if w == workload_id
        )

    def _shortfall_usd(self, workload_id: str) -> float:
        units = self._units(workload_id)
        missing = sum(max(0.0, d - units) for d in self.demand[workload_id])
        return missing * self.step_hours * self.workloads[workload_id].shortfall_usd_per_unit_hour

    def _breach_usd(self, workload_id: str) -> float:
        below = self.workloads[workload_id].floor_groups - self.total_groups(workload_id)
        return max(0, below) * FLOOR_BREACH_USD

    def key_usd(self, key: Key) -> tuple[float, float]:
        """(capacity, moves) of one (pool, workload) over the horizon."""
        pool, n = self.pools[key[0]], self.x.get(key, 0)
        gpu_hours = n * self.group_gpus(*key) * self.hours
        capacity = gpu_hours * pool.usd_per_gpu_hour if pool.paid_when_used else 0.0
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

    # --- the search --------------------------------------------------------------------------

    def exchanges(self, *, min_gain_usd: float) -> list[Exchange]:
        """Those that gain more than this, the best first; ties go to the first in name order."""
        found = (e for e in (*self._starts(), *self._stops()) if e.gain_usd > min_gain_usd)
        return sorted(found, key=lambda e: -e.gain_usd)

    def apply(self, exchange: Exchange) -> None:
        self.shift(exchange.changes)
        self.reasons |= {key: exchange.reason for key, _ in exchange.changes}

    def shift(self, changes: Iterable[Change]) -> None:
        for key, delta in changes:
            self._shift(key, delta)

    def shift_back(self, changes: Iterable[Change]) -> None:
        for key, delta in changes:
            self._shift(key, -delta)

    def moves_made(self) -> int:
        keys = self.x.keys() | self.start.keys()
        return sum(abs(self.x.get(k, 0) - self.start.get(k, 0)) for k in keys)

    def groups(self) -> dict[Key, int]:
        return {k: self.x.get(k, 0) for k in self.x.keys() | self.start.keys()}

    def unmet_floors(self) -> list[str]:
        return [
            f"{self.region}: {w.id} has {self.total_groups(w.id)} groups, floor {w.floor_groups}; "
            "no pool has room for it: lower the floor or add GPUs of a type it can run on"
            for w in self.workloads.values()
            if self.total_groups(w.id) < w.floor_groups
        ]

    def _shift(self, key: Key, delta: int) -> None:
        self.x[key] = self.x.get(key, 0) + delta

    def _price(self, keys: set[Key]) -> float:
        """What the given (pool, workload) cells and their workloads cost now."""
        cells = sum(sum(self.key_usd(k)) for k in keys)
        return cells + sum(self.workload_usd(w) for w in {w for _, w in keys})

    def _starts(self) -> Iterator[Exchange]:
        for w in sorted(self.workloads):
            if self.total_groups(w) >= self.workloads[w].ceiling_groups:
                continue
            if self.workload_usd(w) <= 0:
                continue  # nothing to win: its demand is served and its floor held
            for p in sorted(self.pools):
                if self.eligible(p, w):
                    for groups in self._batches(p, w):
                        if exchange := self._start(p, w, groups):
                            yield exchange

    def _batches(self, pool_id: str, workload_id: str) -> list[int]:
        """One group, or as many as fill a node: a node that changes tier pays off only whole."""
        room = self.workloads[workload_id].ceiling_groups - self.total_groups(workload_id)
        per_node = self.pools[pool_id].gpus_per_node // self.group_gpus(pool_id, workload_id)
        return sorted({1, min(max(1, per_node), room)})

    def _start(self, pool_id: str, workload_id: str, groups: int) -> Exchange | None:
        """Start groups, stopping the cheapest groups in their way."""
        key = (pool_id, workload_id)
        changes: list[Change] = [(key, groups)]
        before = self._price({key})
        self._shift(key, groups)
        gain = before - self._price({key})
        while not self.fits(pool_id):
            victims = self._cheapest_victims(pool_id, exclude=workload_id)
            if victims is None:
                self.shift_back(changes)
                return None
            for victim, price in victims:
                self._shift(victim, -1)
                changes.append((victim, -1))
                gain -= price
        for rehomed, saved in self._rehome({k[1] for k, delta in changes if delta < 0}):
            changes.append((rehomed, 1))
            gain += saved
        reason = self._start_reason(key, changes, gain)
        self.shift_back(changes)
        return Exchange(tuple(changes), gain, reason, self.pools[pool_id].paid_when_used)

    def _rehome(self, stopped: set[str]) -> Iterator[tuple[Key, float]]:
        """Start stopped workloads again where another pool has room and it pays."""
        for key in sorted((p, w) for p in self.pools for w in stopped if self.eligible(p, w)):
            while self.total_groups(key[1]) < self.workloads[key[1]].ceiling_groups:
                before = self._price({key})
                self._shift(key, 1)
                saved = before - self._price({key})
                if saved <= 0 or not self.fits(key[0]):
                    self._shift(key, -1)
                    break
                yield key, saved

    def _cheapest_victims(self, pool_id: str, exclude: str) -> list[tuple[Key, float]] | None:
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
                for price in [self._stop_price(key)]
            ]
            if not options:
                break
            _, key, price = min(options)
            self._shift(key, -1)
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

    def _stop_price(self, key: Key) -> float:
        before = self._price({key})
        self._shift(key, -1)
        after = self._price({key})
        self._shift(key, 1)
        return after - before

    def _stops(self) -> Iterator[Exchange]:
        for key in sorted(self.x):
            pool, workload = self.pools[key[0]], self.workloads[key[1]]
            if self.x[key] and self.total_groups(key[1]) > workload.floor_groups:
                reason = (
                    f"Stop 1 group of {workload.id} on {pool.id}: the demand forecast no longer "
                    f"needs its {self.group_gpus(*key)} GPUs"
                )
                yield Exchange(((key, -1),), -self._stop_price(key), reason, False)

    def _start_reason(self, key: Key, changes: list[Change], gain_usd: float) -> str:
        workload = self.workloads[key[1]]
        peak = max(self.demand[key[1]], default=0.0)
        text = (
            f"Start {_groups(changes[0][1])} of {workload.id} on {key[0]} "
            f"({changes[0][1] * self.group_gpus(*key)} GPUs): "
            f"demand reaches {peak:.1f} units and {self._units(key[1]):.1f} are served with it; "
            f"worth ${gain_usd:,.0f} over {self.hours:g} h"
        )
        net: Counter[str] = Counter()
        for (_, w), delta in changes[1:]:
            net[w] -= delta
        stopped = {w: n for w, n in net.items() if n > 0}
        if stopped:
            text += ", in the place of " + ", ".join(
                f"{_groups(n)} of {w}" for w, n in sorted(stopped.items())
            )
        return text

    def _shed_overload(self) -> None:
        """Supply shrank below what runs: the cheapest groups are already lost."""
        for pool_id in self.pools:
            while not self.fits(pool_id):
                victims = self._cheapest_victims(pool_id, exclude="")
                if victims is None:  # only floors are left: the pool cannot hold even those
                    victims = [(max(k for k, n in self.x.items() if k[0] == pool_id and n), 0.0)]
                for victim, _ in victims:
                    self._shift(victim, -1)
                    self.reasons[victim] = "the pool's healthy GPUs no longer hold it"


def _groups(count: int) -> str:
    return f"{count} group" if count == 1 else f"{count} groups"
