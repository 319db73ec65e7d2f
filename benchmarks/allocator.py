"""`python -m benchmarks.allocator --json`: the plan of 28,800 whole numbers, and its rival HiGHS.

12 regions x 5 GPU types x 60 workloads x 8 steps, 10,000 GPUs, seeded (allocator_instances.py).
HiGHS gets the exact model with whole nodes by tier, region by region, `--highs` seconds in all.
`--one-step` plans one-region one-step instances too, harsh ones among them, each against HiGHS's
bound after that many seconds.
"""

import argparse
import json
import time
from typing import Any

import numpy as np
from scipy.optimize import LinearConstraint, milp

from benchmarks.allocator_instances import fleet, one_region
from tiers.core.allocate import allocate
from tiers.core.allocator.arrays import Region
from tiers.core.allocator.relaxation import model
from tiers.core.region_problem import RegionProblem
from tiers.core.snapshot import Snapshot

ONE_STEP = ((1, ""), (2, ""), (3, ""), (1, "lacking"), (1, "short"), (1, "idle"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--highs", type=float, default=120.0, help="seconds for HiGHS; 0: none")
    parser.add_argument("--one-step", type=float, default=0.0, help="seconds of HiGHS for each")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    allocate(one_region(0))  # compiled, or read from the cache
    report: dict[str, Any] = {"seed": options.seed, **_planned(fleet(options.seed))}
    if options.highs:
        report |= _highs(fleet(options.seed), options.highs)
    if options.one_step:
        report["one_step"] = [_one_step(*which, options.one_step) for which in ONE_STEP]
    print(json.dumps(report, indent=1) if options.json else report)


def _planned(snapshot: Snapshot) -> dict[str, Any]:
    began, cpu_began = time.perf_counter(), time.process_time()
    found = allocate(snapshot)
    return {
        "seconds": round(time.perf_counter() - began, 3),
        "cpu_seconds": round(time.process_time() - cpu_began, 3),
        "objective_usd": round(found.objective_usd, 2),
        "bound_usd": round(found.bound_usd, 2),
        "gap": None if found.gap is None else round(found.gap, 5),
        "unmet_floors": len(found.unmet_floors),
        "gpus": sum(pool.gpus for pool in snapshot.pools),
    }


def _highs(snapshot: Snapshot, seconds: float) -> dict[str, Any]:
    """Objective, where no plan is found that of keeping what runs, and bound, over the regions."""
    began = time.perf_counter()
    each = [_region(snapshot, r.id, seconds / len(snapshot.regions)) for r in snapshot.regions]
    objective, bound = (sum(values) for values in zip(*each, strict=True))
    return {
        "highs_seconds": round(time.perf_counter() - began, 3),
        "highs_objective_usd": round(objective, 2),
        "highs_bound_usd": round(bound, 2),
    }


def _region(snapshot: Snapshot, name: str, seconds: float) -> tuple[float, float]:
    problem = RegionProblem.of(snapshot, name)
    made = model(Region.of(problem), rounded=False, exact=True)
    whole = np.zeros(made.usd.size)
    whole[made.whole] = 1
    found = milp(
        made.usd,
        constraints=LinearConstraint(made.matrix, -np.inf, made.limits),
        integrality=whole,
        options={"time_limit": seconds},
    )
    held = problem.cost().money_usd
    objective = held if found.fun is None else float(found.fun) + made.constant
    bound = 0.0 if found.mip_dual_bound is None else float(found.mip_dual_bound) + made.constant
    return objective, bound


def _one_step(seed: int, harsh: str, seconds: float) -> dict[str, Any]:
    snapshot = one_region(seed, harsh=harsh)
    began = time.perf_counter()
    found = allocate(snapshot)
    took = time.perf_counter() - began
    _, bound = _region(snapshot, snapshot.regions[0].id, seconds)
    return {
        "seed": seed,
        "harsh": harsh,
        "seconds": round(took, 3),
        "objective_usd": round(found.objective_usd, 2),
        "highs_bound_usd": round(bound, 2),
        "over_highs_bound": round(found.objective_usd / bound - 1, 5),
    }


if __name__ == "__main__":
    main()
