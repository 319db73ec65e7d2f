"""A proven lower bound on the allocation objective: the LP relaxation, region by region.

Relaxed are whole groups, whole nodes per tier and one allocation for all steps, so the bound holds
for any plan that obeys the snapshot, step-varying ones included. Solved by HiGHS through
`scipy.optimize.linprog`.
"""

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import lil_matrix

from tiers.core.region_problem import Key, RegionProblem
from tiers.core.snapshot import Snapshot


def lower_bound_usd(snapshot: Snapshot) -> float:
    """Sum of the regions' LP optima, in US dollars over the horizon. Floors are not billed."""
    return float(sum(_region_bound(snapshot, region.id) for region in snapshot.regions))


def _region_bound(snapshot: Snapshot, region: str) -> float:
    problem = RegionProblem.of(snapshot, region)
    cells = sorted(
        (p, w) for p in problem.pools for w in problem.workloads if problem.eligible(p, w)
    )
    if not problem.workloads:
        return 0.0
    objective, a_ub, b_ub = _constraints(problem, cells)
    result = linprog(objective, A_ub=a_ub.tocsr(), b_ub=b_ub, bounds=(0, None), method="highs")
    return max(0.0, float(result.fun)) if result.status == 0 else 0.0


def _constraints(
    problem: RegionProblem, cells: list[Key]
) -> tuple[np.ndarray, lil_matrix, np.ndarray]:
    """Columns: groups x[cell,t], starts u[cell,t], first-step stops v[cell], shortfalls s[w, t]."""
    steps, n = problem.steps, len(cells)
    workloads = sorted(problem.workloads)
    u0, v0 = n * steps, 2 * n * steps
    s0 = v0 + n
    rows = len(problem.pools) * steps + 2 * n * steps + len(workloads) * steps
    a = lil_matrix((rows, s0 + len(workloads) * steps))
    b, c = np.zeros(rows), np.zeros(a.shape[1])
    row = 0
    for t in range(steps):
        for pool_id, pool in problem.pools.items():
            for i, cell in enumerate(cells):
                if cell[0] == pool_id:
                    a[row, i * steps + t] = problem.group_gpus(*cell)
            b[row] = pool.gpus
            row += 1
        for j, w in enumerate(workloads):
            for i, (pool_id, other) in enumerate(cells):
                if other == w:
                    gpu_type = problem.pools[pool_id].gpu_type
                    a[row, i * steps + t] = -problem.workloads[w].units_per_group[gpu_type]
            a[row, s0 + j * steps + t] = -1
            b[row] = -problem.demand[w][t]
            price = problem.workloads[w].shortfall_usd_per_unit_hour
            c[s0 + j * steps + t] = price * problem.step_hours
            row += 1
    for i, cell in enumerate(cells):
        start, stop = problem.move_prices(cell)
        pool = problem.pools[cell[0]]
        paid = pool.usd_per_gpu_hour * problem.group_gpus(*cell) if pool.paid_when_used else 0.0
        for t in range(steps):
            c[i * steps + t] = paid * problem.step_hours
            c[u0 + i * steps + t] = start
            a[row, i * steps + t], a[row, u0 + i * steps + t] = 1, -1
            if t:
                a[row, i * steps + t - 1] = -1
            else:
                b[row] = problem.start.get(cell, 0)
            row += 1
        c[v0 + i] = stop
        a[row, i * steps], a[row, v0 + i] = -1, -1
        b[row] = -problem.start.get(cell, 0)
        row += 1
    return c, a[:row], b[:row]
