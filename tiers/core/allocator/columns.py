"""Column generation: whole plans of single workloads, combined by a small linear program.

The master chooses a mixture of each workload's known plans so that no pool holds more than it has
in any step (Dantzig & Wolfe 1960). Its duals price a GPU of each pool and step; at these prices
each workload replies with the plan it would like best, and that is the next column. Prices are
smoothed towards the best seen, which keeps them from swinging (Wentges 1997). Only the pools bind
workloads together, so few mixtures stay fractional and the master lies close to the best whole
plan: it is where the search starts.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csc_array

from tiers.core.allocator.arrays import Floats, Ints, Region
from tiers.core.allocator.paths import Work, reply, work_for, workload_usd

ROUNDS = 8
SMOOTHING = 0.6
SURE = 0.98  # a share that is settled at once
AT_ONCE = 4  # workloads settled in one round of the dive, at least
DEAR_USD = 1e4  # a GPU's price at which nobody takes one that no floor asks for


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """The plan that each workload is to have, the surest first, and the prices of GPUs."""

    plan: Ints  # (P, W, T)
    order: Ints  # (W,)
    prices: Floats  # (P, T)


@dataclass(slots=True)
class _Columns:
    region: Region
    plans: list[Ints] = field(default_factory=list)
    usd: list[float] = field(default_factory=list)
    owner: list[int] = field(default_factory=list)
    known: set[tuple[int, bytes]] = field(default_factory=set)

    def add(self, plan: Ints) -> Floats:
        """Keep what is new of each workload; what each costs."""
        usd = np.array(
            [workload_usd(self.region.facts, plan, w) for w in range(len(self.region.workloads))]
        )
        for w, cost in enumerate(usd):
            own = np.ascontiguousarray(plan[:, w, :])
            if (w, own.tobytes()) not in self.known:
                self.known.add((w, own.tobytes()))
                self.plans.append(own)
                self.usd.append(float(cost))
                self.owner.append(w)
        return usd

    def master(self, allowed: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Shares of the allowed columns, and prices (P, T)."""
        facts, (pools, workloads, steps) = self.region.facts, self.region.shape
        owner, count = np.array(self.owner)[allowed], int(allowed.sum())
        taken = np.array(self.plans)[allowed] * facts.gpus.T[owner][:, :, None]
        share = np.zeros(len(self.owner))
        found = linprog(
            np.array(self.usd)[allowed],
            A_ub=csc_array(taken.reshape(count, pools * steps).T.astype(np.float64)),
            b_ub=np.repeat(facts.nodes * facts.gpus_per_node, steps),
            A_eq=csc_array((np.ones(count), (owner, np.arange(count))), shape=(workloads, count)),
            b_eq=np.ones(workloads),
            method="highs-ds",
        )
        if found.status != 0:  # the floors alone do not fit: let the search sort out which
            return share, np.zeros((pools, steps))
        share[allowed] = found.x
        prices = np.maximum(0.0, -found.ineqlin.marginals).reshape(pools, steps)
        return share, prices

    def largest(self, share: Floats) -> Ints:
        """(W,) the column of each workload with the largest share; its first where all are 0."""
        best = np.full(len(self.region.workloads), -1, dtype=np.int64)
        for column, w in enumerate(self.owner):
            if best[w] < 0 or share[column] > share[best[w]] + 1e-9:
                best[w] = column
        return best


def generate(region: Region, prices: Floats) -> Wanted:
    """Columns from first prices (P, T), then a dive to a whole plan for each workload."""
    facts, (pools, _, steps) = region.facts, region.shape
    columns = _Columns(region)
    columns.add(wishes(region, np.full((pools, steps), DEAR_USD)))
    centre, best = prices, -np.inf
    supply = (facts.nodes * facts.gpus_per_node)[:, None]
    for _ in range(ROUNDS):
        plan = wishes(region, prices)
        usd = columns.add(plan)
        value = float(
            usd.sum() + (prices * ((facts.gpus[:, :, None] * plan).sum(1) - supply)).sum()
        )
        if value > best:
            best, centre = value, prices
        share, duals = columns.master(np.ones(len(columns.owner), dtype=bool))
        prices = SMOOTHING * centre + (1 - SMOOTHING) * duals
    return _dive(columns, share, duals)


def _dive(columns: _Columns, share: Floats, prices: Floats) -> Wanted:
    """Settle the surest workloads, price what is left anew, and again until none can be settled."""
    region, root = columns.region, prices
    workloads = len(region.workloads)
    settled: dict[int, int] = {}
    held = np.zeros((len(region.pools), region.facts.tiers, region.shape[2]), dtype=np.int64)
    while len(settled) < workloads:
        taken = _settle(columns, share, settled, held)
        if not taken:
            break
        columns.add(wishes(region, prices))
        owner = np.array(columns.owner)
        chosen = np.array([settled.get(w, -1) for w in owner])
        share, prices = columns.master((chosen < 0) | (chosen == np.arange(len(owner))))
    order = [*settled, *(w for w in range(workloads) if w not in settled)]
    best = columns.largest(share)
    plan = np.stack([columns.plans[settled.get(w, best[w])] for w in range(workloads)], axis=1)
    return Wanted(np.ascontiguousarray(plan), np.array(order, dtype=np.int64), root)


def _settle(columns: _Columns, share: Floats, settled: dict[int, int], held: Ints) -> int:
    """Settle those with a sure column, and a few more, as far as whole nodes are left for them."""
    facts, taken = columns.region.facts, 0
    best = columns.largest(share)
    for w in np.argsort(-share[best], kind="stable"):
        sure = share[best[w]] > SURE
        if int(w) in settled or not (sure or taken < AT_ONCE):
            continue
        tier, gpus = facts.tier[w], facts.gpus[:, w][:, None] * columns.plans[best[w]]
        held[:, tier] += gpus
        nodes = -(-held // facts.gpus_per_node[:, None, None])
        if (nodes.sum(axis=1) > facts.nodes[:, None]).any():
            held[:, tier] -= gpus
            continue
        settled[int(w)] = int(best[w])
        taken += not sure
        if not sure and taken == AT_ONCE:
            break
    return taken


def wishes(region: Region, prices: Floats) -> Ints:
    """(P, W, T): what each workload would take if it had the region for itself at these prices."""
    plan = np.zeros(region.shape, dtype=np.int64)
    work: Work = work_for(region, prices)
    for w in range(len(region.workloads)):
        reply(region.facts, work, plan, w)
    return plan
