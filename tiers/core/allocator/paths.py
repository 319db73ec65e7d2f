"""The best reply of one workload: its groups over all steps, given what the others leave free.

A path is the groups of one (pool, workload) by step. Two paths of a workload are chosen together by
dynamic programming over the steps: exact where both have few groups, on a lattice around what
stands where they have many. Going over the pairs of pools until nothing improves gives a plan for
the workload that no change in two pools betters. A start and a stop cost the same for every group,
so the cheapest way from any count to any other is found by one sweep up and one sweep down.
"""

from typing import NamedTuple

import numpy as np

from tiers.core.allocator.arrays import FLOOR_BREACH_USD, Facts, Floats, Ints, Region
from tiers.core.allocator.compiled import compiled, inlined

SIDE = 24  # states of one path at most
EXACT = 11  # groups up to which a path is looked at whole
ROUNDS = 8
NEVER = 1e15


class Work(NamedTuple):
    """Room that the compiled functions write in; `prices` are those of a GPU in each step."""

    prices: Floats  # (P, T)
    held: Ints  # (P, Z, T) GPUs that each tier holds
    room: Ints  # (P, T) groups that fit for the workload at hand
    most: Ints  # (P,)
    value: Floats  # (T, SIDE, SIDE)
    reach: Floats  # (SIDE, SIDE)
    lattice: Ints  # (2, 3) lowest, count, stride of both paths


def work_for(region: Region, prices: Floats) -> Work:
    """Room for one region, with prices of a GPU (P, T) beside its own cost."""
    pools, _, steps = region.shape
    return Work(
        prices=np.ascontiguousarray(prices, dtype=np.float64),
        held=np.zeros((pools, region.facts.tiers, steps), dtype=np.int64),
        room=np.zeros((pools, steps), dtype=np.int64),
        most=np.zeros(pools, dtype=np.int64),
        value=np.zeros((steps, SIDE, SIDE)),
        reach=np.zeros((SIDE, SIDE)),
        lattice=np.ones((2, 3), dtype=np.int64),
    )


@compiled
def workload_usd(f: Facts, plan: Ints, w: int) -> float:
    """What one workload costs over the horizon, breaches of its floor priced."""
    total = 0.0
    pools, _, steps = plan.shape
    for p in range(pools):
        before = f.current[p, w]
        for t in range(steps):
            now = plan[p, w, t]
            total += f.capacity[p, w] * now
            total += f.start[p, w] * max(0, now - before) + f.stop[p, w] * max(0, before - now)
            before = now
    for t in range(steps):
        missing, groups = f.demand[w, t], 0
        for p in range(pools):
            missing -= f.units[p, w] * plan[p, w, t]
            groups += plan[p, w, t]
        total += f.shortfall[w] * max(0.0, missing)
        total += FLOOR_BREACH_USD * max(0, f.floor[w] - groups)
    return total


@compiled
def hold(f: Facts, plan: Ints, w: int, held: Ints, sign: int) -> None:
    """Take the workload's GPUs (sign 1) or give them back (sign -1)."""
    for p in range(plan.shape[0]):
        for t in range(plan.shape[2]):
            held[p, f.tier[w], t] += sign * f.gpus[p, w] * plan[p, w, t]


@inlined
def _moved(f: Facts, p: int, w: int, groups: int) -> float:
    return float(f.start[p, w] * groups if groups > 0 else -f.stop[p, w] * groups)


@inlined
def _serve(f: Facts, w: int, missing: float, groups: int) -> float:
    """Shortfall and floor of one step."""
    usd = f.shortfall[w] * missing if missing > 0 else 0.0
    if groups < f.floor[w]:
        usd += FLOOR_BREACH_USD * (f.floor[w] - groups)
    return usd


@inlined
def _standing_usd(f: Facts, work: Work, plan: Ints, w: int, p: int, q: int) -> float:
    """What the two paths that stand cost, with what the workload misses."""
    total = 0.0
    pools, _, steps = plan.shape
    for t in range(steps):
        missing, groups = f.demand[w, t], 0
        for o in range(pools):
            missing -= f.units[o, w] * plan[o, w, t]
            groups += plan[o, w, t]
        total += _serve(f, w, missing, groups)
        for o in (p, q):
            before = plan[o, w, t - 1] if t else f.current[o, w]
            group = f.capacity[o, w] + work.prices[o, t] * f.gpus[o, w]
            total += group * plan[o, w, t] + _moved(f, o, w, plan[o, w, t] - before)
            if p == q:
                break
    return total


@inlined
def _reach(f: Facts, work: Work, w: int, p: int, q: int, t: int) -> None:
    """Cheapest way to each state of step t from any of the step before, into `reach`."""
    reach, value = work.reach, work.value
    (low1, n1, by1), (low2, n2, by2) = work.lattice[0], work.lattice[1]
    up1, down1, up2, down2 = (
        f.start[p, w] * by1, f.stop[p, w] * by1, f.start[q, w] * by2, f.stop[q, w] * by2
    )  # fmt: skip
    for i in range(n1):
        for j in range(n2):
            if t:
                reach[i, j] = value[t - 1, i, j]
            else:
                reach[i, j] = _moved(f, p, w, low1 + i * by1 - f.current[p, w])
                if p != q:
                    reach[i, j] += _moved(f, q, w, low2 + j * by2 - f.current[q, w])
    if t == 0:
        return
    for j in range(n2):
        for i in range(1, n1):
            reach[i, j] = min(reach[i, j], reach[i - 1, j] + up1)
        for i in range(n1 - 2, -1, -1):
            reach[i, j] = min(reach[i, j], reach[i + 1, j] + down1)
    for i in range(n1):
        for j in range(1, n2):
            reach[i, j] = min(reach[i, j], reach[i, j - 1] + up2)
        for j in range(n2 - 2, -1, -1):
            reach[i, j] = min(reach[i, j], reach[i, j + 1] + down2)


@inlined
def _stage(f: Facts, work: Work, plan: Ints, w: int, p: int, q: int, t: int) -> None:
    """Value of each state of step t: the way there, and the step itself."""
    (low1, n1, by1), (low2, n2, by2) = work.lattice[0], work.lattice[1]
    missing, groups = f.demand[w, t], 0
    for o in range(plan.shape[0]):
        if o not in (p, q):
            missing -= f.units[o, w] * plan[o, w, t]
            groups += plan[o, w, t]
    usd1 = f.capacity[p, w] + work.prices[p, t] * f.gpus[p, w]
    usd2 = f.capacity[q, w] + work.prices[q, t] * f.gpus[q, w]
    for i in range(n1):
        n = low1 + i * by1
        for j in range(n2):
            m = low2 + j * by2 if p != q else 0
            if n > work.room[p, t] or m > work.room[q, t] or groups + n + m > f.ceiling[w]:
                work.value[t, i, j] = NEVER
                continue
            usd = work.reach[i, j] + usd1 * n + usd2 * m
            left = missing - f.units[p, w] * n - f.units[q, w] * m
            work.value[t, i, j] = usd + _serve(f, w, left, groups + n + m)


@inlined
def _trace(f: Facts, work: Work, plan: Ints, w: int, p: int, q: int, at: int) -> None:
    """Write the two paths that end in state `at` into the plan, from the last step back."""
    (low1, n1, by1), (low2, n2, by2) = work.lattice[0], work.lattice[1]
    i, j = at // n2, at % n2
    for t in range(plan.shape[2] - 1, -1, -1):
        plan[p, w, t] = low1 + i * by1
        if p != q:
            plan[q, w, t] = low2 + j * by2
        if t == 0:
            return
        best, from_i, from_j = NEVER, i, j
        for a in range(n1):
            usd = _moved(f, p, w, (i - a) * by1)
            for b in range(n2):
                whole = work.value[t - 1, a, b] + usd
                if p != q:
                    whole += _moved(f, q, w, (j - b) * by2)
                if whole < best - 1e-9:
                    best, from_i, from_j = whole, a, b
        i, j = from_i, from_j


@inlined
def _improve(f: Facts, work: Work, plan: Ints, w: int, p: int, q: int) -> float:
    """Put the best two paths on the lattice into the plan; what that gains. p = q: one path."""
    standing = _standing_usd(f, work, plan, w, p, q)
    steps = plan.shape[2]
    for t in range(steps):
        _reach(f, work, w, p, q, t)
        _stage(f, work, plan, w, p, q, t)
    best, at = standing - 1e-7, -1
    n1, n2 = work.lattice[0, 1], work.lattice[1, 1]
    for i in range(n1):
        for j in range(n2):
            if work.value[steps - 1, i, j] < best:
                best, at = work.value[steps - 1, i, j], i * n2 + j
    if at < 0:
        return 0.0
    _trace(f, work, plan, w, p, q, at)
    return float(standing - best)


@inlined
def _look(work: Work, plan: Ints, w: int, p: int, side: int, attempt: int) -> None:
    """Set one side of the lattice: whole where groups are few, coarse first, then near the path."""
    most = work.most[p]
    low, high, by = 0, most, 1
    if most > EXACT and attempt == 0:
        by = (most + EXACT) // (EXACT + 1)
    elif most > EXACT:
        low = high = plan[p, w, 0]
        for t in range(plan.shape[2]):
            low, high = min(low, plan[p, w, t]), max(high, plan[p, w, t])
        reach = 2 if attempt < 3 else 1
        low, high = max(0, low - reach), min(most, high + reach)
        by = (high - low + SIDE - 1) // (SIDE - 1)
    work.lattice[side, 0] = low
    work.lattice[side, 1] = (high - low) // by + 1
    work.lattice[side, 2] = by


@inlined
def _measure_room(f: Facts, work: Work, w: int) -> int:
    """Groups that fit beside the others by pool and step, each node serving one tier."""
    usable = 0
    peak = 0.0
    for t in range(f.demand.shape[1]):
        peak = max(peak, f.demand[w, t])
    for p in range(f.nodes.shape[0]):
        work.most[p] = 0
        if f.gpus[p, w] == 0:
            continue
        largest = 0
        for t in range(f.demand.shape[1]):
            nodes = f.nodes[p]
            for z in range(f.tiers):
                if z != f.tier[w]:
                    nodes -= -(-work.held[p, z, t] // f.gpus_per_node[p])
            free = nodes * f.gpus_per_node[p] - work.held[p, f.tier[w], t]
            work.room[p, t] = max(0, free // f.gpus[p, w])
            largest = max(largest, work.room[p, t])
        useful = max(int(np.ceil(peak / f.units[p, w] - 1e-9)), f.current[p, w], f.floor[w])
        work.most[p] = min(largest, useful, f.ceiling[w])
        usable += work.most[p] > 0
    return usable


@compiled
def reply(f: Facts, work: Work, plan: Ints, w: int) -> None:
    """The workload's best plan in the room that the others leave.

    On entry its groups are zero and `held` is without them; the caller holds what comes out.
    """
    usable = _measure_room(f, work, w)
    pools = plan.shape[0]
    for attempt in range(ROUNDS):
        gain = 0.0
        for p in range(pools):
            if work.most[p] == 0:
                continue
            if usable == 1 or attempt == 0:
                _look(work, plan, w, p, 0, attempt)
                work.lattice[1, 0], work.lattice[1, 1], work.lattice[1, 2] = 0, 1, 1
                gain += _improve(f, work, plan, w, p, p)
            for q in range(p + 1, pools):
                if work.most[q] > 0:
                    _look(work, plan, w, p, 0, attempt)
                    _look(work, plan, w, q, 1, attempt)
                    gain += _improve(f, work, plan, w, p, q)
        if gain < 1e-6:
            return
