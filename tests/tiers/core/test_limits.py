"""Budget and move limit, alone and together."""

from typing import Any

import numpy as np
import pytest

from tests.tiers.core.snapshots import demand_step, random_snapshot, small_snapshot
from tiers.core.allocate import Allocation, allocate
from tiers.core.region_problem import RegionProblem
from tiers.core.snapshot import Snapshot


def paid_fleet(seed: int, **limits: Any) -> Snapshot:
    """`random_snapshot` on demand, so that every group is paid by the hour, at two prices."""
    base = random_snapshot(seed)
    pools = [
        p.model_dump() | {"purchase": "on_demand", "usd_per_gpu_hour": price}
        for p, price in zip(base.pools, (2.0, 5.0), strict=True)
    ]
    plain = base.model_dump(mode="json", by_alias=True) | {"pools": pools, "limits": limits}
    return Snapshot.model_validate(plain)


def rates(snapshot: Snapshot) -> dict[tuple[str, str], float]:
    workloads = {w.id: w for w in snapshot.workloads}
    return {
        (p.id, w): workloads[w].group_gpus[p.gpu_type] * p.usd_per_gpu_hour
        for p in snapshot.pools
        for w in workloads
    }


def dearest(snapshot: Snapshot, answer: Allocation) -> float:
    rate = rates(snapshot)
    return max(sum(n * rate[key] for key, n in step.items()) for step in answer.steps)


def cheapest_by_stops(snapshot: Snapshot, moves: int) -> float:
    """The least USD per hour that so many stops of what runs now lead to, floors kept."""
    rate, left = rates(snapshot), dict(RegionProblem.of(snapshot, "r").start)
    floors = {w.id: w.floor_groups for w in snapshot.workloads}
    for _ in range(moves):
        able = [
            key
            for key, n in left.items()
            if n and sum(m for (_, w), m in left.items() if w == key[1]) > floors[key[1]]
        ]
        if not able:
            break
        left[max(able, key=lambda key: rate[key])] -= 1
    return sum(n * rate[key] for key, n in left.items())


@pytest.mark.parametrize("seed", range(30))
def test_a_plan_keeps_the_budget_and_the_move_limit_together(seed):
    rng = np.random.default_rng(seed)
    moves, budget = int(rng.integers(0, 6)), float(rng.uniform(2, 40))
    snapshot = paid_fleet(seed, max_moves=moves, budget_usd_per_hour=budget)
    answer = allocate(snapshot)
    assert sum(abs(m.groups) for m in (*answer.moves, *answer.later)) <= moves
    held = RegionProblem.of(snapshot, "r").start
    below = sum(
        max(0, w.floor_groups - sum(n for (_, v), n in held.items() if v == w.id))
        for w in snapshot.workloads
    )
    if not below:  # else a floor may have to be bought first
        reach = max(budget, cheapest_by_stops(snapshot, moves))
        assert dearest(snapshot, answer) <= reach + 0.02


def test_what_runs_now_is_not_kept_where_it_breaks_the_budget():
    """Stopping loses money here, and the budget asks for it all the same."""
    pool = small_snapshot().pools[0].model_dump() | {"purchase": "on_demand"}
    demand = {"chat": {"r": [demand_step(10.0)] * 2}, "training": {"r": [demand_step(8.0)] * 2}}
    limits = {"max_moves": 2, "budget_usd_per_hour": 24.0}
    workloads = [
        w.model_dump() | {"shortfall_usd_per_unit_hour": 50.0} for w in small_snapshot().workloads
    ]
    snapshot = small_snapshot(pools=[pool], demand=demand, limits=limits, workloads=workloads)
    answer = allocate(snapshot)
    assert dearest(snapshot, answer) <= 24.0
    assert answer.moves
    (said,) = answer.unserved
    assert "the budget binds; the least costly relaxation is" in said
    assert "USD an hour more" in said


def test_demand_behind_the_move_limit_names_it_and_one_move_more():
    demand = {"chat": {"r": [demand_step(30.0)] * 2}, "training": {"r": [demand_step(4.0)] * 2}}
    current = [c.model_dump() for c in small_snapshot().current]
    current[1]["groups"] = 1  # room for two groups of chat
    answer = allocate(small_snapshot(demand=demand, current=current, limits={"max_moves": 1}))
    assert any(
        "the move limit binds" in text and "one move more" in text for text in answer.unserved
    )
