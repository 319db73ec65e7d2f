"""What a chosen point asks of the allocator: the groups that the frontier needs, step by step."""

import pytest

from tests.tiers.core.frontier.fleets import serving_snapshot
from tests.tiers.core.frontier.test_what_if import _two_regions
from tiers.core.frontier.exact import frontier_of
from tiers.core.frontier.follow import Choice, follow
from tiers.core.frontier.what_if import WhatIf


def test_each_step_asks_for_the_groups_of_the_chosen_latency():
    given = serving_snapshot()
    found = frontier_of(given, listed=True)
    last = len(found) - 1
    asked = follow(given, Choice(float(found.ratio[last]))).snapshot.demand["chat"]["r"]
    groups = [step.at(given.quantile) / 5.0 for step in asked]
    assert groups[1] == pytest.approx(float(found.groups(last)[0]))  # the peak step
    assert groups[0] < groups[1]


def test_a_budget_bounds_what_is_followed_and_says_so():
    given = serving_snapshot()
    found = frontier_of(given, listed=True)
    budget = float(found.usd_per_hour[0])
    followed = follow(given, Choice(float(found.ratio[-1]), budget_usd_per_hour=budget))
    assert followed.ratio == pytest.approx(float(found.ratio[0]))
    assert "the budget allows" in followed.words


def test_a_region_that_may_be_lost_stays_planned_and_the_others_carry_its_demand():
    given = _two_regions()
    planned = WhatIf(lost="s").planned(given)
    assert {p.region for p in planned.pools} == {"r", "s"}
    assert planned.demand["chat"]["s"] == given.demand["chat"]["s"]
    assert planned.demand["chat"]["r"][1].p95 == pytest.approx(14.0 * 1.5)


def test_spot_is_relied_on_in_whole_nodes_and_floors_are_replaced():
    plain = _two_regions()
    spot = plain.pools[0].model_copy(update={"id": "r/spot", "purchase": "spot"})
    given = plain.model_copy(update={"pools": (*plain.pools, spot)})
    changed = WhatIf(spot=0.5, floors={"chat": 3}).apply(given)
    assert next(p.gpus for p in changed.pools if p.id == "r/spot") == 4  # one of three nodes
    assert changed.workloads[0].floor_groups == 3
