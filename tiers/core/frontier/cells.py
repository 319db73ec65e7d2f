"""The separable core of a snapshot: cells that want groups, stacks that they buy GPUs from.

A cell is one inference workload in one region, on the GPU type that serves a unit of its demand
cheapest there. Its demand is the largest of the snapshot's steps at a quantile. A stack is what one
region has of one GPU type: pools by price, those already paid first, less what other workloads hold
now. Left out of the core, and priced by the allocator instead: whole nodes, moves, and the choice
between GPU types.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tiers.core.frontier.curves import Curve, curve_of
from tiers.core.snapshot import Snapshot, SnapshotPool, SnapshotWorkload


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One workload in one region; `most` groups fit its ceiling and its stack."""

    workload: str
    model: str
    region: str
    gpu_type: str
    gpus: int
    units: float
    demand: float
    slo_ms: float
    floor: int
    most: int
    spot_ok: bool
    curve: Curve


@dataclass(frozen=True, slots=True)
class Stack:
    """GPUs of one type in one region: (usd per GPU-hour, GPUs, spot), cheapest first."""

    region: str
    gpu_type: str
    pools: tuple[tuple[float, int, bool], ...] = field(default=())

    @property
    def gpus(self) -> int:
        return sum(gpus for _, gpus, _ in self.pools)

    def usable(self, *, spot_ok: bool) -> int:
        return sum(gpus for _, gpus, spot in self.pools if spot_ok or not spot)


def stacks_of(snapshot: Snapshot, *, listed: bool = False) -> dict[tuple[str, str], Stack]:
    """By (region, GPU type), without what workloads outside the core hold.

    A GPU costs what it adds to the bill: nothing where it is paid already. `listed` counts each at
    its list price instead, as what it would be worth to others.
    """
    held = _held_by_others(snapshot)
    found: dict[tuple[str, str], list[tuple[float, int, bool]]] = {}
    for pool in snapshot.pools:
        free = max(0, pool.gpus - held.get(pool.id, 0))
        price = pool.usd_per_gpu_hour if listed or pool.paid_when_used else 0.0
        entry = (price, free, pool.purchase == "spot")
        found.setdefault((pool.region, pool.gpu_type), []).append(entry)
    return {key: Stack(*key, pools=tuple(sorted(pools))) for key, pools in found.items()}


def cells_of(
    snapshot: Snapshot, stacks: dict[tuple[str, str], Stack], quantile: float
) -> list[Cell]:
    """Every inference workload with an objective and demand, region by region."""
    return [
        cell
        for workload in snapshot.workloads
        if is_cell(workload)
        for region in workload.regions
        if (demand := peak_demand(snapshot, workload.id, region, quantile)) > 0
        if (cell := _cell(snapshot, stacks, workload, region, demand)) is not None
    ]


def is_cell(workload: SnapshotWorkload) -> bool:
    return workload.tier == "inference" and bool(workload.slo_ttft_p95_ms)


def peak_demand(snapshot: Snapshot, workload: str, region: str, quantile: float) -> float:
    """The largest step's demand in the workload's units; zero where none is forecast."""
    steps = snapshot.demand.get(workload, {}).get(region, ())
    return max((step.at(quantile) for step in steps), default=0.0)


def _cell(
    snapshot: Snapshot,
    stacks: dict[tuple[str, str], Stack],
    workload: SnapshotWorkload,
    region: str,
    demand: float,
) -> Cell | None:
    """On its cheapest GPU type; None where no pool of the region can run it."""
    options = [
        (_usd_per_unit(snapshot, workload, region, gpu_type), gpu_type)
        for gpu_type in workload.group_gpus
        if (stack := stacks.get((region, gpu_type))) and stack.usable(spot_ok=workload.spot_ok)
    ]
    if not options:
        return None
    gpu_type = min(options)[1]
    gpus = workload.group_gpus[gpu_type]
    room = stacks[region, gpu_type].usable(spot_ok=workload.spot_ok) // gpus
    return Cell(
        workload=workload.id,
        model=workload.model,
        region=region,
        gpu_type=gpu_type,
        gpus=gpus,
        units=workload.units_per_group[gpu_type],
        demand=demand,
        slo_ms=workload.slo_ttft_p95_ms or 0.0,
        floor=workload.floor_groups,
        most=min(workload.ceiling_groups, room),
        spot_ok=workload.spot_ok,
        curve=curve_of(workload, gpu_type),
    )


def _usd_per_unit(
    snapshot: Snapshot, workload: SnapshotWorkload, region: str, gpu_type: str
) -> float:
    """List price of serving one unit, over the region's pools of the type."""
    prices = [p.usd_per_gpu_hour for p in _pools(snapshot, workload, region, gpu_type)]
    if not prices:
        return float("inf")
    return min(prices) * workload.group_gpus[gpu_type] / workload.units_per_group[gpu_type]


def _pools(
    snapshot: Snapshot, workload: SnapshotWorkload, region: str, gpu_type: str
) -> Iterator[SnapshotPool]:
    return (
        p
        for p in snapshot.pools
        if p.region == region and p.gpu_type == gpu_type
        if p.purchase != "spot" or workload.spot_ok
    )


def _held_by_others(snapshot: Snapshot) -> dict[str, int]:
    """GPUs of each pool that workloads outside the core hold now."""
    outside = {w.id: w for w in snapshot.workloads if not is_cell(w)}
    types = {p.id: p.gpu_type for p in snapshot.pools}
    held: dict[str, int] = {}
    for row in snapshot.current:
        if row.workload in outside:
            gpus = outside[row.workload].group_gpus.get(types[row.pool], 0) * row.groups
            held[row.pool] = held.get(row.pool, 0) + gpus
    return held
