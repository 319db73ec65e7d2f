"""The exact frontier against brute force, by hand, and in its properties."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from tests.tiers.core.frontier.fleets import random_core, serving_snapshot
from tiers.core.frontier.cells import Cell, Stack, cells_of, stacks_of
from tiers.core.frontier.curves import DEFAULT, curve_of
from tiers.core.frontier.exact import frontier, frontier_of, price

Point = tuple[float, float]


def brute_force(cells: list[Cell], stacks: dict[tuple[str, str], Stack]) -> list[Point]:
    """Every allocation's (cost, ratio), and of these the ones that none beats."""
    found = sorted(set(_all(cells, stacks)))
    best: list[Point] = []
    for usd, ratio in found:
        if not best or ratio < best[-1][1] - 1e-12:
            best.append((usd, ratio))
    return best


def _all(cells: list[Cell], stacks: dict[tuple[str, str], Stack]) -> Iterator[Point]:
    for groups in itertools.product(*(range(c.floor, c.most + 1) for c in cells)):
        usd = 0.0
        for key, stack in stacks.items():
            mine = [(c, n) for c, n in zip(cells, groups, strict=True) if (c.region, "H100") == key]
            fixed = sum(n * c.gpus for c, n in mine if not c.spot_ok)
            loose = sum(n * c.gpus for c, n in mine if c.spot_ok)
            usd += cheapest_by_trying(stack, fixed, loose)
        ratios = [
            c.curve.at(np.array([n]), np.array([c.demand / (max(n, 1) * c.units)]))[0]
            for c, n in zip(cells, groups, strict=True)
        ]
        if np.isfinite(usd) and np.isfinite(max(ratios)):
            yield round(usd, 9), float(max(ratios))


def cheapest_by_trying(stack: Stack, fixed: int, loose: int) -> float:
    """Every way to split both kinds over the pools."""
    best = np.inf
    ranges = [range(gpus + 1) for _, gpus, _ in stack.pools]
    for used in itertools.product(*ranges):
        if sum(used) != fixed + loose:
            continue
        spot = sum(n for n, (_, _, is_spot) in zip(used, stack.pools, strict=True) if is_spot)
        if spot <= loose:
            usd = sum(n * usd for n, (usd, _, _) in zip(used, stack.pools, strict=True))
            best = min(best, usd)
    return float(best)


@pytest.mark.parametrize("seed", range(12))
def test_the_frontier_is_all_and_only_what_brute_force_cannot_beat(seed: int) -> None:
    cells, stacks = random_core(seed)
    best = brute_force(cells, stacks)
    found = frontier(cells, stacks)
    points = list(zip(found.usd_per_hour.tolist(), found.ratio.tolist(), strict=True))
    assert points == [pytest.approx(point) for point in best]


@pytest.mark.parametrize("seed", range(12))
def test_groups_of_a_point_cost_and_give_what_the_point_says(seed: int) -> None:
    cells, stacks = random_core(seed)
    found = frontier(cells, stacks)
    for point in range(len(found)):
        groups = found.groups(point)
        usd = 0.0
        for key, stack in stacks.items():
            mine = [(c, n) for c, n in zip(cells, groups, strict=True) if (c.region, "H100") == key]
            fixed = sum(int(n) * c.gpus for c, n in mine if not c.spot_ok)
            loose = sum(int(n) * c.gpus for c, n in mine if c.spot_ok)
            usd += float(price(stack, np.array([fixed]), np.array([loose]))[0])
        assert usd == pytest.approx(found.usd_per_hour[point])


def test_price_buys_the_cheapest_that_each_may_have() -> None:
    stack = Stack("a", "H100", ((0.0, 4, False), (1.0, 3, True), (3.0, 5, False)))
    for fixed, loose in itertools.product(range(10), range(10)):
        found = float(price(stack, np.array([fixed]), np.array([loose]))[0])
        assert found == pytest.approx(cheapest_by_trying(stack, fixed, loose))


def test_cost_rises_and_latency_falls_along_the_frontier() -> None:
    found = frontier_of(serving_snapshot())
    assert (np.diff(found.usd_per_hour) > 0).all()
    assert (np.diff(found.ratio) < 0).all()


def test_a_reserve_that_training_holds_is_not_bought_again() -> None:
    snapshot = serving_snapshot()
    stack = stacks_of(snapshot)["r", "H100"]
    # 12 reserved less 2 training groups of 4, and 8 on demand.
    assert stack.pools == ((0.0, 4, False), (4.0, 8, False))


def test_the_first_point_by_hand() -> None:
    # Demand 14 on groups of 5 units and 2 GPUs: 3 groups are a load of 0.933, two would be 1.4.
    found = frontier_of(serving_snapshot())
    assert found.groups(0).tolist() == [3]
    assert found.usd_per_hour[0] == 8.0  # 4 GPUs are there already, 2 are bought at 4 USD
    assert found.ratio[0] == pytest.approx(0.893 + (14 / 15 - 0.9) / 0.1 * (1.0 - 0.893))


def test_a_cell_without_demand_or_pool_is_no_cell() -> None:
    snapshot = serving_snapshot(group_gpus={"B200": 2}, units_per_group={"B200": 5.0})
    assert cells_of(snapshot, stacks_of(snapshot), 0.95) == []
    assert "no inference workload" in frontier_of(snapshot).stopped_by


def test_what_ends_the_frontier_is_named() -> None:
    assert frontier_of(serving_snapshot()).stopped_by == (
        "chat in r cannot be made faster with 6 groups"
    )
    few = frontier_of(serving_snapshot(ceiling_groups=4))
    assert few.stopped_by == "chat in r cannot be made faster with 4 groups"


def test_an_empty_stack_ends_the_frontier_too() -> None:
    ends = {frontier(*random_core(seed)).stopped_by.split(" left ")[0] for seed in range(12)}
    assert any(end.endswith("has no H100") for end in ends)


def test_an_uneven_table_is_read_as_its_worse_neighbour() -> None:
    table = {
        "groups": [1, 2, 3],
        "load": [0.1, 2.0],
        "ttft_p95_ms": [[300, 400], [350, 450], [200, 300]],
    }
    found = frontier_of(serving_snapshot(latency={"H100": table}, floor_groups=1))
    assert (np.diff(found.ratio) < 0).all()


def test_a_table_of_latency_replaces_the_default() -> None:
    table = {"groups": [1, 4], "load": [0.1, 1.0], "ttft_p95_ms": [[300, 600], [200, 500]]}
    workload = serving_snapshot(latency={"H100": table}).workloads[0]
    curve = curve_of(workload, "H100")
    assert not curve.assumed
    assert curve.at(np.array([4]), np.array([1.0]))[0] == pytest.approx(1.0)
    # Half way between one group and four at half load: (300 + 600)/2 and (200 + 500)/2 averaged.
    middle = curve.at(np.array([2.5]), np.array([0.55]))[0]
    assert middle == pytest.approx((450 + 350) / 2 / 500)
    assert curve.at(np.array([4]), np.array([1.01]))[0] == np.inf
    assert DEFAULT.assumed


def test_a_table_that_falls_with_load_is_refused() -> None:
    table = {"groups": [1], "load": [0.1, 1.0], "ttft_p95_ms": [[300, 200]]}
    with pytest.raises(ValueError, match="must not fall"):
        serving_snapshot(latency={"H100": table})
