"""The allocator against brute force, its own bound, and the rules it may never break."""

import itertools
from math import ceil

import pytest

from benchmarks.allocator_instances import one_region
from tests.tiers.core.exact import exact_usd, recomputed_usd
from tests.tiers.core.snapshots import demand_step, random_snapshot, small_snapshot
from tiers.core.allocate import allocate
from tiers.core.errors import SnapshotInvalid
from tiers.core.region_problem import RegionProblem


@pytest.mark.parametrize("seed", range(12))
def test_allocation_never_exceeds_pools_nor_breaks_floors(seed):
    snapshot = random_snapshot(seed)
    for groups in allocate(snapshot).steps:
        for pool in snapshot.pools:
            nodes = sum(
                ceil(
                    sum(
                        groups.get((pool.id, w.id), 0) * w.group_gpus[pool.gpu_type]
                        for w in snapshot.workloads
                        if w.tier == tier
                    )
                    / pool.gpus_per_node
                )
                for tier in ("inference", "training", "operational")
            )
            assert nodes * pool.gpus_per_node <= pool.gpus
        for workload in snapshot.workloads:
            held = sum(n for (_, w), n in groups.items() if w == workload.id)
            assert held >= workload.floor_groups


@pytest.mark.parametrize("seed", range(6))
def test_the_objective_is_what_the_contract_makes_of_the_allocation(seed):
    snapshot = random_snapshot(seed)
    current = dict(RegionProblem.of(snapshot, "r").start)
    answer = allocate(snapshot)
    assert recomputed_usd(snapshot, answer.steps, current) == pytest.approx(
        (answer.capacity_usd, answer.moves_usd, answer.shortfall_usd)
    )


@pytest.mark.parametrize("seed", range(24))
def test_small_fleets_are_planned_as_well_as_by_exact_search(seed):
    snapshot = random_snapshot(seed)
    answer = allocate(snapshot)
    exact = exact_usd(snapshot)
    assert answer.bound_usd <= exact + 1e-6
    assert answer.objective_usd >= exact - 1e-6
    assert answer.objective_usd <= exact * 1.005 + 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_one_workload_is_planned_as_well_as_by_trying_every_plan(seed):
    whole = random_snapshot(seed)
    snapshot = whole.model_copy(update={"workloads": whole.workloads[:1],
                                        "current": whole.current[:1],
                                        "demand": {"chat": whole.demand["chat"]}})  # fmt: skip
    current = dict(RegionProblem.of(snapshot, "r").start)
    pools = [p for p in snapshot.pools if p.purchase != "spot"]
    counts = range(pools[0].gpus + 1)
    best = min(
        sum(recomputed_usd(snapshot, [{(pools[0].id, "chat"): n} for n in path], current))
        for path in itertools.product(counts, repeat=snapshot.steps)
        if min(path) >= snapshot.workloads[0].floor_groups
    )
    assert allocate(snapshot).objective_usd == pytest.approx(best)


def test_one_region_is_planned_within_one_percent_of_its_bound():
    gap = allocate(one_region(3)).gap
    assert gap is not None
    assert gap < 0.01


@pytest.mark.parametrize("harsh", ["lacking", "short", "idle"])
def test_harsh_regions_are_planned_and_what_stays_unserved_is_named(harsh):
    snapshot = one_region(1, harsh=harsh)
    answer = allocate(snapshot)
    assert answer.gap is not None
    assert answer.gap < 0.08
    assert bool(answer.unserved) == (answer.shortfall_usd > 1e-6)


def test_a_plan_follows_demand_from_step_to_step():
    pool = small_snapshot().pools[0].model_dump() | {"purchase": "on_demand"}
    demand = {
        "chat": {"r": [demand_step(v) for v in (5.0, 5.0, 20.0, 20.0, 5.0, 5.0)]},
        "training": {"r": [demand_step(0.0)] * 6},
    }
    current = [{"pool": "r/H100/reserved", "workload": "chat", "groups": 1}]
    answer = allocate(small_snapshot(pools=[pool], demand=demand, current=current, steps=6))
    chat = [groups[("r/H100/reserved", "chat")] for groups in answer.steps]
    assert chat == [1, 1, 4, 4, 1, 1]
    assert answer.moves == ()
    assert [(m.step, m.groups) for m in answer.later] == [(2, 3), (4, -3)]
    assert "without it: chat is 1 group below its floor" in answer.later[0].reason


def test_a_move_worth_less_than_a_dollar_says_so_in_words():
    cheap = {"purchase": "on_demand", "usd_per_gpu_hour": 0.01}
    pool = small_snapshot().pools[0].model_dump() | cheap
    demand = {"chat": {"r": [demand_step(5.0)] * 2}, "training": {"r": [demand_step(0.0)] * 2}}
    current = [{"pool": "r/H100/reserved", "workload": "chat", "groups": 4}]
    (move,) = allocate(small_snapshot(pools=[pool], demand=demand, current=current)).moves
    assert move.reason.endswith("without it: within a dollar of the same over 1 h")


def test_rising_inference_demand_takes_a_node_from_training_and_says_why():
    demand = {"chat": {"r": [demand_step(14.0)] * 2}, "training": {"r": [demand_step(12.0)] * 2}}
    answer = allocate(small_snapshot(demand=demand))
    moves = {m.workload: m for m in answer.moves}
    assert moves["chat"].groups == 1
    assert "in the place of 1 group of training" in moves["chat"].reason
    assert answer.gain_usd > 0


def test_a_full_pool_makes_the_cheaper_tier_give_way():
    answer = allocate(
        small_snapshot(
            current=[
                {"pool": "r/H100/reserved", "workload": "chat", "groups": 2},
                {"pool": "r/H100/reserved", "workload": "training", "groups": 2},
            ],
            demand={
                "chat": {"r": [demand_step(20.0)] * 2},
                "training": {"r": [demand_step(12.0)] * 2},
            },
        )
    )
    by_workload = {m.workload: m.groups for m in answer.moves}
    assert by_workload["chat"] == 2
    assert by_workload.get("training", 0) <= 0


def test_no_change_when_no_exchange_is_worth_its_price():
    demand = {"chat": {"r": [demand_step(10.0)] * 2}, "training": {"r": [demand_step(8.0)] * 2}}
    answer = allocate(small_snapshot(demand=demand))
    assert answer.moves == ()
    assert answer.objective_usd == 0.0


def test_move_limit_is_respected_and_said():
    demand = {"chat": {"r": [demand_step(30.0)] * 2}, "training": {"r": [demand_step(8.0)] * 2}}
    answer = allocate(small_snapshot(demand=demand, limits={"max_moves": 1}))
    assert sum(abs(m.groups) for m in answer.moves) <= 1
    assert any("move limit" in reason for reason in answer.refused)


def test_a_floor_without_room_is_named_not_dropped():
    base = small_snapshot()
    workloads = [w.model_dump() for w in base.workloads]
    workloads[0]["floor_groups"] = 9
    answer = allocate(small_snapshot(workloads=workloads, current=[]))
    assert "floor 9" in answer.unmet_floors[0]


def test_supply_that_shrank_below_what_runs_still_plans():
    base = small_snapshot()
    pools = [base.pools[0].model_dump() | {"gpus": 8}]
    answer = allocate(small_snapshot(pools=pools))
    assert sum(answer.groups.get(("r/H100/reserved", w), 0) for w in ("chat", "training")) <= 4


def test_emptying_a_node_that_nobody_releases_saves_nothing():
    on_demand = small_snapshot().pools[0].model_dump() | {"purchase": "on_demand"}
    idle = {"chat": {"r": [demand_step(5.0)] * 2}, "training": {"r": [demand_step(0.0)] * 2}}
    released = allocate(small_snapshot(pools=[on_demand], demand=idle))
    assert released.capacity_usd > 0
    assert released.moves
    kept = allocate(small_snapshot(pools=[on_demand | {"released_when_empty": False}], demand=idle))
    assert kept.moves == ()
    assert kept.capacity_usd == 0.0
    assert kept.reserved_usd > 0


def test_groups_lost_with_their_supply_are_no_moves_of_ours():
    base = small_snapshot()
    pools = [base.pools[0].model_dump() | {"gpus": 8}]  # one of three nodes is gone
    demand = {"chat": {"r": [demand_step(10.0)] * 2}, "training": {"r": [demand_step(4.0)] * 2}}
    kept = allocate(small_snapshot(pools=pools, demand=demand))
    assert kept.moves == ()
    assert kept.moves_usd == 0.0
    growing = demand | {"chat": {"r": [demand_step(20.0)] * 2}}
    limited = allocate(small_snapshot(pools=pools, demand=growing, limits={"max_moves": 3}))
    assert {m.workload: m.groups for m in limited.moves} == {"chat": 2, "training": -1}


def test_a_smaller_exchange_is_made_where_the_best_is_beyond_the_limit():
    base = small_snapshot()
    current = [c.model_dump() for c in base.current]
    current[1]["groups"] = 1  # one node of two chat groups is free
    demand = {"chat": {"r": [demand_step(30.0)] * 2}, "training": {"r": [demand_step(4.0)] * 2}}
    answer = allocate(small_snapshot(current=current, demand=demand, limits={"max_moves": 1}))
    assert [(m.workload, m.groups) for m in answer.moves] == [("chat", 1)]
    assert answer.refused


def test_a_refused_exchange_leaves_no_reason_behind():
    answer = allocate(small_snapshot(limits={"max_moves": 0}))
    assert answer.moves == ()
    assert "not made, the move limit is reached" in answer.refused[0]


def test_two_runs_give_the_same_answer():
    assert allocate(random_snapshot(3)) == allocate(random_snapshot(3))


def test_unknown_region_is_refused_with_its_path():
    pools = [small_snapshot().pools[0].model_dump() | {"region": "nowhere"}]
    with pytest.raises((SnapshotInvalid, ValueError), match=r"pools\[r/H100/reserved\].region"):
        small_snapshot(pools=pools)
