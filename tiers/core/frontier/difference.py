"""What a point of the frontier would change: GPUs by pool, region and tier, now and then."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tiers.core.frontier.cells import is_cell
from tiers.core.snapshot import Snapshot

TIERS = ("inference", "training", "operational")
Held = Counter[tuple[str, str]]  # GPUs by (pool, tier)


@dataclass(frozen=True, slots=True)
class Row:
    """GPUs of one tier in one place; `region` and `pool` are empty where it is all of them."""

    region: str
    pool: str
    tier: str
    now: int
    then: int

    @property
    def delta(self) -> int:
        return self.then - self.now


def by_pool(
    given: Snapshot, changed: Snapshot, allocation: Sequence[Mapping[str, Any]]
) -> list[Row]:
    """Rows that change, by region, pool and tier.

    The point's groups fill the pools of their GPU type, the cheapest first; other tiers keep what
    room is left, training giving way before operational work.

    Args:
        given: what runs now.
        changed: under the assumptions of the point, other tiers cut to what they surely keep.
        allocation: the point's groups by region, workload and GPU type.
    """
    held, serving = _held(given), _serving(changed, allocation)
    rows = []
    for pool in sorted(given.pools, key=lambda p: (p.region, p.id)):
        left = pool.gpus - serving[pool.id]
        then = {"inference": serving[pool.id]}
        for tier in ("operational", "training"):
            then[tier] = min(held[pool.id, tier], max(0, left))
            left -= then[tier]
        rows += [Row(pool.region, pool.id, t, held[pool.id, t], then[t]) for t in TIERS]
    return [row for row in rows if row.delta]


def summed(rows: Sequence[Row], *, by_region: bool = False) -> list[Row]:
    """The same by region and tier, or by tier alone."""
    now: Held = Counter()
    then: Held = Counter()
    for row in rows:
        place = row.region if by_region else "", row.tier
        now[place] += row.now
        then[place] += row.then
    order = sorted(now, key=lambda place: (place[0], TIERS.index(place[1])))
    return [Row(p[0], "", p[1], now[p], then[p]) for p in order]


def _held(snapshot: Snapshot, *, cells: bool = True) -> Held:
    """GPUs by (pool, tier) now; without `cells`, of what the frontier does not move."""
    workloads = {w.id: w for w in snapshot.workloads}
    types = {p.id: p.gpu_type for p in snapshot.pools}
    held: Held = Counter()
    for row in snapshot.current:
        workload = workloads[row.workload]
        if row.pool in types and (cells or not is_cell(workload)):
            gpus = row.groups * workload.group_gpus.get(types[row.pool], 0)
            held[row.pool, workload.tier] += gpus
    return held


def _serving(snapshot: Snapshot, allocation: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Inference GPUs by pool: those that may not be spot choose first."""
    workloads = {w.id: w for w in snapshot.workloads}
    kept = _held(snapshot, cells=False)
    serving = Counter({p.id: kept[p.id, "inference"] for p in snapshot.pools})
    free = {p.id: p.gpus - sum(kept[p.id, t] for t in TIERS) for p in snapshot.pools}
    for row in sorted(allocation, key=lambda r: workloads[r["workload"]].spot_ok):
        workload = workloads[row["workload"]]
        wanted = row["groups"] * workload.group_gpus[row["gpu_type"]]
        for pool in sorted(snapshot.pools, key=lambda p: (p.usd_per_gpu_hour, p.id)):
            here = (pool.region, pool.gpu_type) == (row["region"], row["gpu_type"])
            if here and (workload.spot_ok or pool.purchase != "spot"):
                taken = min(wanted, max(0, free[pool.id]))
                serving[pool.id] += taken
                free[pool.id] -= taken
                wanted -= taken
    return serving
