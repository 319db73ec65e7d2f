"""Assumptions change a snapshot as they say, and nothing else."""

import pytest

from tests.tiers.core.frontier.fleets import serving_snapshot
from tests.tiers.core.snapshots import demand_step
from tiers.core.frontier.cells import stacks_of
from tiers.core.frontier.exact import frontier_of
from tiers.core.frontier.what_if import WhatIf
from tiers.core.snapshot import Snapshot


def _two_regions() -> Snapshot:
    plain = serving_snapshot().model_dump(mode="json", by_alias=True)
    plain["regions"].append({"id": "s", "jurisdiction": "EU"})
    plain["pools"].append(plain["pools"][1] | {"id": "s/H100", "region": "s", "cluster": "s"})
    plain["workloads"][0]["regions"] = ["r", "s"]
    plain["demand"]["chat"]["s"] = [demand_step(4.0), demand_step(7.0)]
    return Snapshot.model_validate(plain)


def test_no_assumption_changes_nothing() -> None:
    assert WhatIf().apply(_two_regions()) == _two_regions()


def test_demand_is_multiplied_at_every_quantile() -> None:
    changed = WhatIf(demand=1.3).apply(_two_regions())
    before, after = (s.demand["chat"]["r"][1] for s in (_two_regions(), changed))
    assert after.p50 == pytest.approx(1.3 * before.p50)
    assert after.p975 == pytest.approx(1.3 * before.p975)


def test_a_lost_region_takes_its_pools_and_hands_over_its_demand() -> None:
    changed = WhatIf(lost="s").apply(_two_regions())
    assert {p.region for p in changed.pools} == {"r"}
    assert set(changed.demand["chat"]) == {"r"}
    # In proportion to medians: 9.8 and 4.9 there, so r carries one and a half times its own.
    assert changed.demand["chat"]["r"][1].p95 == pytest.approx(14.0 * 1.5)


def test_a_stricter_objective_leaves_the_same_latency_at_a_larger_ratio() -> None:
    # The default curve is a share of the objective, so only a table notices it.
    table = {"groups": [1], "load": [0.1, 1.0], "ttft_p95_ms": [[100, 500]]}
    given = serving_snapshot(latency={"H100": table})
    plain, strict = frontier_of(given), frontier_of(WhatIf(slo=0.8).apply(given))
    assert strict.ratio == pytest.approx(plain.ratio / 0.8)
    assert strict.usd_per_hour == pytest.approx(plain.usd_per_hour)


def test_without_spot_its_pools_are_gone() -> None:
    plain = _two_regions().model_dump(mode="json", by_alias=True)
    plain["pools"].append(plain["pools"][0] | {"id": "r/spot", "purchase": "spot"})
    given = Snapshot.model_validate(plain)
    assert "r/spot" not in {p.id for p in WhatIf(spot=0).apply(given).pools}


def test_others_give_way_down_to_their_floor() -> None:
    plain = _two_regions().model_dump(mode="json", by_alias=True)
    plain["workloads"][1]["floor_groups"] = 1
    given = Snapshot.model_validate(plain)
    changed = WhatIf(give_way=True).apply(given)
    assert {(c.workload, c.groups) for c in changed.current} == {("chat", 2), ("training", 1)}
    # Training holds one group of four of the twelve reserved GPUs, so eight are left to buy.
    assert stacks_of(changed)["r", "H100"].pools[0] == (0.0, 8, False)
