"""The linear relaxation of one region, step by step, and what it proves.

Columns are groups x and starts u of each cell (pool, workload) and step, and shortfalls s. Stops
need no column: starts less stops is what is there at the end less what runs now. Relaxed are whole
groups, and whole nodes by tier to what the pool's nodes hold together.

A group serves all or nothing of a small demand, so its units count in the demand row only up to the
demand; `rounded` adds the mixed-integer rounding inequalities of each demand row, one per size of
group (Nemhauser & Wolsey 1990): every plan in whole groups obeys both, fractions do not, and on
workloads that need a fraction of a group the bound rises by 15 %.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult, linprog
from scipy.sparse import csr_array

from tiers.core.allocator.arrays import Floats, Ints, Region

MOST_GROUPS = 8  # demands of more groups than this gain nothing from rounding
LEAST_FRACTION = 1e-3  # rounding divides by it


@dataclass(slots=True)
class _Rows:
    """Rows of A x <= b, kept as triplets."""

    at: list[Any] = field(default_factory=list)
    columns: list[Any] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    limits: list[Any] = field(default_factory=list)
    count: int = 0

    def add(self, entries: list[tuple[Any, Any, Any]], limits: Any) -> None:
        """Entries are (row from 0, column, value), arrays of one shape or a value for all."""
        for row, column, value in entries:
            self.at.append(np.ravel(row) + self.count)
            self.columns.append(np.ravel(column))
            self.values.append(np.broadcast_to(value, np.shape(row)).ravel().astype(float))
        self.limits.append(np.ravel(limits))
        self.count += np.size(limits)

    def matrix(self, columns: int) -> csr_array:
        places = np.concatenate(self.at), np.concatenate(self.columns)
        return csr_array((np.concatenate(self.values), places), shape=(self.count, columns))


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Minimise usd @ x + constant, A x <= limits, x >= 0; the first rows are those of the pools."""

    usd: Floats
    constant: float
    matrix: csr_array
    limits: Floats
    whole: Ints  # columns that are whole numbers in the exact model
    cells: tuple[Ints, Ints]  # pool and workload of each; their groups by step come first


def model(region: Region, *, rounded: bool, floors: bool = True, exact: bool = False) -> Model:
    """The relaxation, or with `exact` the mixed-integer model that the tests compare with."""
    f, (pools, workloads, steps) = region.facts, region.shape
    p, w = np.nonzero((f.gpus > 0) & (f.gpus <= (f.nodes * f.gpus_per_node)[:, None]))
    cells = len(p)
    x = np.arange(cells * steps).reshape(cells, steps)
    u = cells * steps + x
    s = (2 * cells * steps + np.arange(workloads * steps)).reshape(workloads, steps)
    n = 2 * cells * steps + workloads * steps + np.arange(pools * f.tiers * steps if exact else 0)
    usd = np.zeros(2 * cells * steps + workloads * steps + n.size)
    usd[x] = f.capacity[p, w][:, None]
    usd[u] = (f.start + f.stop)[p, w][:, None]
    usd[x[:, -1]] -= f.stop[p, w]
    usd[s] = f.shortfall[:, None]
    rows = _Rows()
    _pool_rows(rows, region, (p, w, x), n.reshape(pools, f.tiers, steps) if exact else None)
    started = np.zeros((cells, steps))
    started[:, 0] = f.current[p, w]
    rows.add([(x, x, 1.0), (x, u, -1.0), (x[:, 1:], x[:, :-1], -1.0)], started)
    _demand_rows(rows, region, (p, w, x), s, clipped=not exact)
    if rounded:
        _rounding_rows(rows, region, (p, w, x), s)
    _count_rows(rows, region, (p, w, x), floors=floors)
    constant = float((f.stop * f.current)[p, w].sum())
    whole = np.concatenate([x.ravel(), n])
    return Model(usd, constant, rows.matrix(usd.size), np.concatenate(rows.limits), whole, (p, w))


def relaxed(region: Region, *, rounded: bool, floors: bool = True) -> tuple[float, Floats]:
    """The relaxation's value in US dollars, at least zero, and a GPU's price by pool and step."""
    pools, workloads, steps = region.shape
    if not pools or not workloads:
        return float((region.facts.demand * region.facts.shortfall[:, None]).sum()), np.zeros(
            (pools, steps)
        )
    made = model(region, rounded=rounded, floors=floors)
    found: OptimizeResult = linprog(
        made.usd, A_ub=made.matrix, b_ub=made.limits, bounds=(0, None), method="highs-ds"
    )
    if found.status != 0:
        if floors:  # they do not fit together: what is left is a bound all the same
            return relaxed(region, rounded=rounded, floors=False)
        return 0.0, np.zeros((pools, steps))
    prices = np.maximum(0.0, -found.ineqlin.marginals[: pools * steps]).reshape(pools, steps)
    return max(0.0, float(found.fun) + made.constant), prices


_Cells = tuple[Ints, Ints, Ints]  # pool and workload of each cell, and its columns (cells, T)


def _pool_rows(rows: _Rows, region: Region, cells: _Cells, nodes: Ints | None) -> None:
    """No pool holds more than it has; in the exact model, whole nodes by tier."""
    f, (pools, _, steps) = region.facts, region.shape
    p, w, x = cells
    at = np.arange(pools * steps).reshape(pools, steps)
    gpus = f.gpus[p, w][:, None]
    if nodes is None:
        rows.add([(at[p], x, gpus)], np.repeat(f.nodes * f.gpus_per_node, steps))
        return
    own = np.arange(pools * f.tiers * steps).reshape(pools, f.tiers, steps)
    per_node = -f.gpus_per_node[:, None, None]
    rows.add([(own[p, f.tier[w]], x, gpus), (own, nodes, per_node)], np.zeros(own.size))
    rows.add([(np.repeat(at[:, None], f.tiers, axis=1), nodes, 1.0)], np.repeat(f.nodes, steps))


def _demand_rows(rows: _Rows, region: Region, cells: _Cells, s: Ints, *, clipped: bool) -> None:
    f, (p, w, x) = region.facts, cells
    at = np.arange(s.size).reshape(s.shape)
    units = np.broadcast_to(f.units[p, w][:, None], x.shape)
    served = np.minimum(units, f.demand[w]) if clipped else units
    rows.add([(at[w], x, -served), (at, s, -1.0)], -f.demand)


def _rounding_rows(rows: _Rows, region: Region, cells: _Cells, s: Ints) -> None:
    """For each pool's group size d: s + d f sum(floor(u/d) + min(1, frac(u/d)/f)) x >= d f ceil."""
    f, (p, w, x) = region.facts, cells
    for pool in range(region.shape[0]):
        size = np.broadcast_to(f.units[pool][:, None], f.demand.shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(size > 0, f.demand / size, 0.0)
        fraction = ratio - np.floor(ratio)
        used = (ratio > 1) & (ratio < MOST_GROUPS) & (fraction > LEAST_FRACTION)
        at = np.full(s.shape, -1)
        at[used] = np.arange(used.sum())
        mine = used[w]
        size_of, part, right = size[w][mine], fraction[w][mine], (size * fraction)[w][mine]
        share = np.broadcast_to(f.units[p, w][:, None], x.shape)[mine] / size_of
        value = right * (np.floor(share) + np.minimum(1.0, (share - np.floor(share)) / part))
        whole = size * fraction * np.ceil(ratio)
        value = np.minimum(value, whole[w][mine])
        rows.add([(at[w][mine], x[mine], -value), (at[used], s[used], -1.0)], -whole[used])


def _count_rows(rows: _Rows, region: Region, cells: _Cells, *, floors: bool) -> None:
    """Floors, and ceilings where all that the pools hold could pass them."""
    f, (p, w, x) = region.facts, cells
    steps = region.shape[2]
    most = np.zeros(len(f.floor), dtype=np.int64)
    np.add.at(most, w, (f.nodes * f.gpus_per_node)[p] // f.gpus[p, w])
    for bound, sign in ((f.floor * floors, -1.0), (np.where(most > f.ceiling, f.ceiling, 0), 1.0)):
        ruled = np.flatnonzero(bound if sign < 0 else most > f.ceiling)
        at = np.full(len(f.floor), -1)
        at[ruled] = np.arange(len(ruled))
        mine = np.isin(w, ruled)
        places = at[w[mine]][:, None] * steps + np.arange(steps)
        rows.add([(places, x[mine], sign)], sign * np.repeat(bound[ruled], steps))
