"""What an allocation costs by the contract's own words, and the best there is, by HiGHS."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import LinearConstraint, milp

from tiers.core.allocator.arrays import Region
from tiers.core.allocator.relaxation import Model, model
from tiers.core.region_problem import RegionProblem
from tiers.core.snapshot import Snapshot

Groups = Mapping[tuple[str, str], int]


def recomputed_usd(
    snapshot: Snapshot, steps: Sequence[Groups], current: Groups
) -> tuple[float, float, float]:
    """(capacity, moves, shortfall) of groups by step, from the document alone."""
    pools = {p.id: p for p in snapshot.pools}
    workloads = {w.id: w for w in snapshot.workloads}
    hours = snapshot.step_s / 3600
    capacity = moves = shortfall = 0.0
    before: Groups = current
    for t, groups in enumerate(steps):
        for pool_id, workload_id in before.keys() | groups.keys():
            pool, workload = pools[pool_id], workloads[workload_id]
            gpus = workload.group_gpus[pool.gpu_type]
            now, was = (g.get((pool_id, workload_id), 0) for g in (groups, before))
            if pool.purchase != "reserved" and pool.released_when_empty:
                capacity += now * gpus * pool.usd_per_gpu_hour * hours
            moved_hours = abs(now - was) * gpus * workload.move_s / 3600
            lost_hours = max(0, was - now) * (workload.preempt_loss_gpu_hours or 0.0)
            moves += (moved_hours + lost_hours) * pool.usd_per_gpu_hour
        for workload in snapshot.workloads:
            for region, demand in snapshot.demand.get(workload.id, {}).items():
                served = sum(
                    n * workload.units_per_group[pools[p].gpu_type]
                    for (p, w), n in groups.items()
                    if w == workload.id and pools[p].region == region
                )
                missing = max(0.0, demand[t].at(snapshot.quantile) - served)
                shortfall += missing * workload.shortfall_usd_per_unit_hour * hours
        before = groups
    return capacity, moves, shortfall


def exact_usd(snapshot: Snapshot) -> float:
    """The least objective of any plan in whole groups and nodes that keeps the floors."""
    total = 0.0
    for region in snapshot.regions:
        made = model(Region.of(RegionProblem.of(snapshot, region.id)), rounded=False, exact=True)
        total += float(solved(made, {"mip_rel_gap": 0.0}).fun) + made.constant
    return total


def solved(made: Model, options: Mapping[str, Any]) -> Any:
    whole = np.zeros(made.usd.size)
    whole[made.whole] = 1
    rows = LinearConstraint(made.matrix, -np.inf, made.limits)
    return milp(made.usd, constraints=rows, integrality=whole, options=dict(options))
