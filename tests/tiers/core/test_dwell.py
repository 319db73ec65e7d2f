"""Minimum dwell and hysteresis against every plan of small fleets; fallbacks where growth fails."""

import itertools
from math import ceil

import numpy as np
import pytest

from tests.tiers.core.snapshots import demand_step, random_snapshot, small_snapshot
from tiers.core.allocate import allocate
from tiers.core.errors import SnapshotInvalid
from tiers.core.snapshot import Snapshot

POOL = "r/H100/reserved"


def falling(**changes: object) -> Snapshot:
    """Two groups of chat run, none is asked for beyond the floor, and training lacks a node."""
    demand = {"chat": {"r": [demand_step(1.0)] * 2}, "training": {"r": [demand_step(12.0)] * 2}}
    current = [
        {"pool": POOL, "workload": "chat", "groups": 3, "changed_s_ago": 600},
        {"pool": POOL, "workload": "training", "groups": 1},
    ]
    workloads = [w.model_dump() for w in small_snapshot().workloads]
    workloads[0]["min_dwell_s"] = 3600
    workloads[1]["shortfall_usd_per_unit_hour"] = 20.0
    base = {"demand": demand, "current": current, "workloads": workloads}
    return small_snapshot(**(base | changes))


def later(snapshot: Snapshot, seconds: float) -> Snapshot:
    rows = [c.model_dump() for c in snapshot.current]
    rows[0]["changed_s_ago"] = seconds
    document = snapshot.model_dump(mode="json", by_alias=True)
    return Snapshot.model_validate(document | {"current": rows})


def test_groups_that_changed_a_short_while_ago_stay_and_the_plan_says_so():
    found = allocate(falling())
    assert [held[POOL, "chat"] for held in found.steps] == [3, 3]
    assert [h.words for h in found.held] == [
        f"held: chat on {POOL} changed 10 min ago, dwell 60 min; 1 group would stop"
    ]
    found = allocate(later(falling(), 3600))
    assert found.steps[0][POOL, "chat"] == 2
    assert found.held == ()


def test_a_floor_goes_before_the_dwell():
    workloads = [w.model_dump() for w in falling().workloads]
    workloads[1]["floor_groups"] = 2
    found = allocate(falling(workloads=workloads))
    assert found.steps[0][POOL, "training"] == 2
    assert "stop within the dwell (changed 10 min ago, dwell 60 min): a floor or" in (
        found.held[0].words
    )


def test_a_budget_goes_before_the_dwell():
    pools = [p.model_dump() | {"purchase": "on_demand"} for p in falling().pools]
    limits = {"max_moves": 100, "budget_usd_per_hour": 18.0}  # six of ten GPUs
    found = allocate(falling(pools=pools, limits=limits))
    held = found.steps[0]
    assert 3.0 * (2 * held.get((POOL, "chat"), 0) + 4 * held.get((POOL, "training"), 0)) <= 18.0


def test_hysteresis_of_the_snapshot_keeps_what_gains_less():
    base = later(falling(), 3600)
    gain = allocate(base).gain_usd
    assert gain > 0
    for least, moves in ((gain / 4, True), (gain * 2, False)):
        limits = {"max_moves": 100, "min_gain_usd": least}
        found = allocate(
            Snapshot.model_validate(
                base.model_dump(mode="json", by_alias=True) | {"limits": limits}
            )
        )
        assert bool(found.moves) is moves
        assert [h.about for h in found.held] == ([] if moves else ["least gain"])


@pytest.mark.parametrize("seed", range(12))
def test_with_a_dwell_the_plan_is_the_best_of_all_that_stop_nothing(seed):
    base = random_snapshot(seed)
    rng = np.random.default_rng(seed)
    pools = [p.model_dump() for p in base.pools[:1]]
    workloads = [w.model_dump() | {"min_dwell_s": 900, "floor_groups": 0} for w in base.workloads]
    current = [
        {"pool": pools[0]["id"], "workload": w["id"], "groups": 1,
         "changed_s_ago": 60 if rng.random() < 0.6 else 1000}
        for w in workloads[:2]
    ]  # fmt: skip
    snapshot = Snapshot.model_validate(
        base.model_dump(mode="json", by_alias=True)
        | {"pools": pools, "workloads": workloads, "current": current}
    )
    assert allocate(snapshot).objective_usd == pytest.approx(_best(snapshot), rel=0.005, abs=0.01)


def _best(snapshot: Snapshot) -> float:
    pool = snapshot.pools[0]
    sizes = [w.group_gpus["H100"] for w in snapshot.workloads]
    started = {c.workload: c.groups for c in snapshot.current}
    now = [started.get(w.id, 0) for w in snapshot.workloads]
    kept = {c.workload for c in snapshot.current if (c.changed_s_ago or 0) < 900}
    least = [n if w.id in kept else 0 for n, w in zip(now, snapshot.workloads, strict=True)]
    able = [
        row
        for row in itertools.product(*(range(low, 7) for low in least))
        if sum(2 * ceil(sum(n * k for n, k, w in zip(row, sizes, snapshot.workloads, strict=True)
               if w.tier == tier) / 2) for tier in ("inference", "training")) <= pool.gpus
    ]  # fmt: skip
    return min(
        sum(_usd(snapshot, i, (now, *rows)) for i in range(len(sizes)))
        for rows in itertools.product(able, repeat=snapshot.steps)
    )


def _usd(snapshot: Snapshot, i: int, rows: tuple) -> float:
    w, usd = snapshot.workloads[i], 0.0
    gpus, hours = w.group_gpus["H100"], snapshot.step_s / 3600
    for step, (before, after) in enumerate(itertools.pairwise(rows)):
        moved = after[i] - before[i]
        lost = 0.0 if moved > 0 else w.preempt_loss_gpu_hours or 0.0
        usd += abs(moved) * (gpus * w.move_s / 3600 + lost) * 3.0
        missing = snapshot.demand[w.id]["r"][step].at(0.95) - after[i] * w.units_per_group["H100"]
        usd += max(0.0, missing) * hours * w.shortfall_usd_per_unit_hour
    return usd


def test_growth_that_may_fail_names_the_pool_that_would_take_it():
    pools = [p.model_dump() for p in small_snapshot().pools]
    sure = pools[0] | {"id": "r/sure", "purchase": "on_demand", "usd_per_gpu_hour": 4.0}
    cheap = pools[0] | {
        "id": "r/cheap", "purchase": "on_demand", "usd_per_gpu_hour": 2.0,
        "provision_probability": 0.6,
    }  # fmt: skip
    workloads = [w.model_dump() for w in small_snapshot().workloads[:1]]
    parts = {"workloads": workloads, "current": [], "demand": {"chat": {"r": [demand_step(9)] * 2}}}
    found = allocate(small_snapshot(pools=[cheap, sure], **parts))
    (named,) = found.fallbacks
    assert (named.pool, named.groups, named.fallback, named.fallback_groups) == (
        "r/cheap", 2, "r/sure", 2,
    )  # fmt: skip
    assert named.words() == (
        "2 groups of chat to start on r/cheap, which provides with a probability of 60%; else "
        "2 groups on r/sure"
    )
    alone = allocate(small_snapshot(pools=[cheap], **parts))
    assert [f.fallback for f in alone.fallbacks] == [""]
    with pytest.raises((SnapshotInvalid, ValueError), match="fallbacks"):
        small_snapshot(pools=[cheap | {"fallbacks": ["nowhere"]}], **parts)
