"""One region's plan: relaxation, columns, a whole plan built from them, then the search.

A region of few whole numbers is given to HiGHS as well, for so many nodes of its tree: it is exact
there or nearly so, and the better plan and the better bound of the two are taken.
"""

import numpy as np
from scipy.optimize import LinearConstraint, milp

from tiers.core.allocator.arrays import Facts, Floats, Ints, Region
from tiers.core.allocator.columns import generate
from tiers.core.allocator.paths import work_for, workload_usd
from tiers.core.allocator.relaxation import Model, model, relaxed
from tiers.core.allocator.search import FEW, build, improve, seeded

ROUNDS = 1000
SEED = 1
FEW_NUMBERS = 400
NODES = 20  # a limit in nodes, not seconds: the same snapshot gives the same plan
CLOSE_ENOUGH = 1e-4


def solve(region: Region) -> tuple[Ints, float]:
    """Groups (P, W, T) and a proven lower bound in US dollars. Deterministic.

    What runs now, held, is the plan where nothing cheaper is found.
    """
    facts, held = region.facts, region.held()
    bound, prices = relaxed(region, rounded=True)
    if not held.size:
        return held, bound
    wanted = generate(region, prices)
    work = work_for(region, wanted.prices)
    plan = np.zeros(region.shape, dtype=np.int64)
    build(facts, work, wanted.order, wanted.plan, plan)
    _search(region, plan, wanted.prices, work.held)
    plans = [held, plan]
    if np.count_nonzero(facts.gpus) * region.shape[2] <= FEW_NUMBERS:
        exact, proven = _exact(region)
        plans += exact
        bound = max(bound, proven)
    return min(plans, key=lambda made: round(_usd(facts, made), 6)), bound


def _exact(region: Region) -> tuple[list[Ints], float]:
    """HiGHS's plan, if it has one, and its bound."""
    made = model(region, rounded=False, exact=True)
    whole = np.zeros(made.usd.size)
    whole[made.whole] = 1
    found = milp(
        made.usd,
        constraints=LinearConstraint(made.matrix, -np.inf, made.limits),
        integrality=whole,
        options={"node_limit": NODES, "mip_rel_gap": CLOSE_ENOUGH},
    )
    bound = 0.0 if found.mip_dual_bound is None else found.mip_dual_bound + made.constant
    return ([] if found.x is None else [_plan(region, made, found.x)]), max(0.0, float(bound))


def _plan(region: Region, made: Model, x: Floats) -> Ints:
    p, w = made.cells
    plan = np.zeros(region.shape, dtype=np.int64)
    plan[p, w] = np.rint(x[: len(p) * region.shape[2]]).reshape(len(p), region.shape[2])
    return plan


def _search(region: Region, plan: Ints, prices: Floats, held: Ints) -> None:
    pools, workloads, steps = region.shape
    work = work_for(region, np.zeros((pools, steps)))._replace(held=held)
    usd = np.array([workload_usd(region.facts, plan, w) for w in range(workloads)])
    kept = np.zeros((FEW + 1, pools, steps), dtype=np.int64)
    chosen, order = np.zeros(FEW + 1, dtype=np.int64), np.arange(workloads)
    improve(
        region.facts, work, plan, prices, ROUNDS, seeded(SEED), usd, kept, chosen, order
    )  # fmt: skip


def _usd(facts: Facts, plan: Ints) -> float:
    return float(sum(workload_usd(facts, plan, w) for w in range(plan.shape[1])))
