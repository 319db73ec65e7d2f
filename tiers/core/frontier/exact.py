"""The latency-cost frontier of the separable core, exactly.

Latency is the largest p95/objective over all cells. For a bound t on it each cell needs the least
groups whose ratio is at most t, whatever the others do; so lowering t adds groups one at a time,
always to the cell with the largest ratio. The greedy choice is exact: it is Fox's marginal
allocation (Fox 1966) with a maximum in place of a sum, and cost only counts GPUs of a stack, of
which the cheapest are bought first. One sort of all (cell, groups) pairs gives every point.

The frontier ends where no cell can be made faster, or a stack is empty.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tiers.core.frontier.cells import Cell, Stack, cells_of, stacks_of
from tiers.core.frontier.curves import Floats, Ints
from tiers.core.snapshot import Snapshot

StackKey = tuple[str, str]
_SAME_USD = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Frontier:
    """Points by rising cost and falling ratio, `(p,)`; none dominates another.

    Point i has made the first `made[i]` of `additions`, each one group more for a cell, on top of
    the `floors` `(c,)`. `stopped_by` says what ends it.
    """

    cells: tuple[Cell, ...]
    usd_per_hour: Floats
    ratio: Floats
    made: Ints
    additions: Ints
    floors: Ints
    stopped_by: str

    def __len__(self) -> int:
        return len(self.ratio)

    def groups(self, point: int) -> Ints:
        """Groups of each cell `(c,)` at a point."""
        added = np.bincount(self.additions[: self.made[point]], minlength=len(self.cells))
        return np.asarray(self.floors + added)


def frontier_of(
    snapshot: Snapshot, *, quantile: float | None = None, listed: bool = False
) -> Frontier:
    """The exact frontier of a snapshot's separable core, at its own quantile by default.

    `listed` prices every GPU at its list price, also where it is paid already.
    """
    stacks = stacks_of(snapshot, listed=listed)
    cells = cells_of(snapshot, stacks, snapshot.quantile if quantile is None else quantile)
    return frontier(cells, stacks)


def frontier(cells: Sequence[Cell], stacks: dict[StackKey, Stack]) -> Frontier:
    """The exact frontier of cells that buy from stacks."""
    floors = np.array([min(c.floor, c.most) for c in cells], dtype=np.int64)
    owner, ratio, last = _steps(cells, floors)
    order = np.argsort(-ratio, kind="stable")
    owner, ratio = owner[order], ratio[order]
    usable = int((ratio > last.max(initial=0.0)).sum())
    base, costs = _costs(cells, stacks, floors, owner[:usable])
    affordable = int(np.isfinite(costs).cumprod().sum())
    made = np.arange(affordable + 1)
    reached = np.append(ratio[:usable], last.max(initial=0.0))[: affordable + 1]
    usd = np.concatenate([[base], costs[:affordable]])
    keep = _undominated(usd, reached)[: None if cells else 0]
    return Frontier(
        cells=tuple(cells),
        usd_per_hour=usd[keep],
        ratio=reached[keep],
        made=made[keep],
        additions=owner,
        floors=floors,
        stopped_by=_stop(cells, last, owner, affordable, usable),
    )


def _steps(cells: Sequence[Cell], floors: Ints) -> tuple[Ints, Floats, Floats]:
    """For each group that may be added its cell and the cell's ratio before it, `(k,)` each, and
    the ratio `(c,)` of every cell with all its groups."""
    most = [max(f, c.most) for c, f in zip(cells, floors, strict=True)]
    sizes = np.array(most, dtype=np.int64) - floors + 1
    ends = np.cumsum(sizes)
    owner = np.repeat(np.arange(len(cells)), sizes)
    groups = np.arange(len(owner)) - np.repeat(ends - sizes, sizes) + floors[owner]
    per_group = np.array([c.demand / c.units for c in cells], dtype=np.float64)[owner]
    load = np.where(groups > 0, per_group / np.maximum(groups, 1), np.inf)
    ratio = _ratios(cells, owner, groups, load)
    final = np.zeros(len(owner), dtype=bool)
    final[ends - 1] = True
    return owner[~final], ratio[~final], ratio[final]


def _ratios(cells: Sequence[Cell], owner: Ints, groups: Ints, load: Floats) -> Floats:
    """Ratio of each (cell, groups), never rising with groups: where a table is uneven the worse
    holds."""
    ratio = np.empty(len(owner))
    curves = {id(c.curve): c.curve for c in cells}
    kinds = np.array([id(c.curve) for c in cells], dtype=np.int64)[owner]
    for kind, curve in curves.items():
        mine = kinds == kind
        ratio[mine] = curve.at(groups[mine], load[mine])
    rising = np.flatnonzero((ratio[1:] > ratio[:-1]) & (owner[1:] == owner[:-1]))
    for place in np.unique(owner[rising]):
        mine = owner == place
        ratio[mine] = np.maximum.accumulate(ratio[mine][::-1])[::-1]
    return ratio


def _costs(
    cells: Sequence[Cell], stacks: dict[StackKey, Stack], floors: Ints, owner: Ints
) -> tuple[float, Floats]:
    """USD per hour at the floors, and after each addition; infinite once a stack is empty."""
    keys = sorted(stacks)
    place = {key: i for i, key in enumerate(keys)}
    stack = np.array([place[c.region, c.gpu_type] for c in cells], dtype=np.int64)
    gpus = np.array([c.gpus for c in cells], dtype=np.int64)
    spot_ok = np.array([c.spot_ok for c in cells], dtype=bool)
    base, added = 0.0, np.zeros(len(owner))
    order = np.argsort(stack[owner], kind="stable")
    bounds = np.searchsorted(stack[owner][order], np.arange(len(keys) + 1))
    for i, key in enumerate(keys):
        own = order[bounds[i] : bounds[i + 1]]
        mine = stack == i
        bought, may_be_spot = gpus[owner[own]], spot_ok[owner[own]]
        start = gpus[mine] * floors[mine]
        fixed = start[~spot_ok[mine]].sum() + np.concatenate(
            [[0], np.cumsum(bought * ~may_be_spot)]
        )
        loose = start[spot_ok[mine]].sum() + np.concatenate([[0], np.cumsum(bought * may_be_spot)])
        usd = price(stacks[key], fixed, loose)
        base += float(usd[0])
        with np.errstate(invalid="ignore"):
            added[own] = np.where(np.isfinite(usd[1:]), np.diff(usd), np.inf)
    return base, base + np.cumsum(added)


def price(stack: Stack, fixed: Ints, loose: Ints) -> Floats:
    """Least USD per hour of `fixed` GPUs that must not be spot and `loose` that may, `(n,)`.

    Infinite where the stack has too few.
    """
    usd, left = np.zeros(len(fixed)), fixed.astype(np.float64)
    free = []
    for usd_per_gpu, gpus, spot in stack.pools:
        taken = np.zeros(len(fixed)) if spot else np.minimum(left, gpus)
        usd, left = usd + taken * usd_per_gpu, left - taken
        free.append(gpus - taken)
    wanted = loose.astype(np.float64)
    for (usd_per_gpu, _, _), room in zip(stack.pools, free, strict=True):
        taken = np.minimum(wanted, room)
        usd, wanted = usd + taken * usd_per_gpu, wanted - taken
    return np.where((left > 0) | (wanted > 0), np.inf, usd)


def _undominated(usd: Floats, ratio: Floats) -> Ints:
    """Places of the points that none beats, where cost never falls and ratio never rises.

    Of equal ratios the first is the cheapest, of equal costs the last is the fastest.
    """
    first = np.append(True, ratio[1:] < ratio[:-1])
    kept = np.flatnonzero(first & np.isfinite(ratio) & np.isfinite(usd))
    dearer = usd[kept][1:] > usd[kept][:-1] + _SAME_USD
    return np.asarray(kept[np.append(dearer, True)] if len(kept) else kept)


def _stop(cells: Sequence[Cell], last: Floats, owner: Ints, affordable: int, usable: int) -> str:
    if not cells:
        return "no inference workload has demand"
    if affordable < usable:
        cell = cells[owner[affordable]]
        return f"{cell.region} has no {cell.gpu_type} left for {cell.workload}"
    cell = cells[int(np.argmax(last))]
    return f"{cell.workload} in {cell.region} cannot be made faster with {cell.most} groups"
