"""What one GPU serves: three origins, and no idle replica among the measured."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tiers.core.demand.throughput import (
    ProfilePoint,
    Saturated,
    ServingProfile,
    declared,
    from_profile,
    in_force,
    measured,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ONE = Saturated(
    tokens_per_s=12_000, requests_per_s=6, running=90, replicas=3, gpus_per_replica=4
)  # fmt: skip
TABLE = ServingProfile(
    "70B", "H100", 4, "fp8", 1024, 256,
    (ProfilePoint(1, 60, 20), ProfilePoint(32, 400, 300), ProfilePoint(64, 1500, 420)), "estimated",
)  # fmt: skip


def test_measured_throughput_by_hand():
    # 12,000 tokens/s on 3 x 4 GPUs are 1,000 a GPU; 3,600 on 1 x 2 are 1,800.
    # Together 15,600 on 14 GPUs = 1,114.29; five sixths of it, at the objective, 928.57.
    # Requests: (6 + 2) / 14 = 0.5714, five sixths: 0.4762.
    other = Saturated(3_600, 2, 20, 1, 2)
    found = measured([ONE, other], at=NOW)
    assert found.tokens_per_s == pytest.approx(928.57, abs=0.01)
    assert found.requests_per_s == pytest.approx(0.4762, abs=1e-4)
    # At 2,000 tokens a request one GPU serves 928.57 / 2,000 of them a second.
    assert found.rps(2_000) == pytest.approx(0.46429, abs=1e-5)
    assert found.rps(None) == found.requests_per_s
    assert found.origin == "measured"


def test_nothing_saturated_is_nothing_measured():
    assert measured([], at=NOW) is None
    assert measured([replace(ONE, replicas=0)], at=NOW) is None
    assert measured([replace(ONE, tokens_per_s=0.0)], at=NOW) is None


def test_a_profile_counts_up_to_its_objective():
    # 32 requests at once answer in 400 ms, within 1,000 ms; 64 do not. 300 output tokens/s are
    # 300 x 1,280 / 256 = 1,500 tokens of both kinds, five sixths of that 1,250: 0.9766 requests.
    found = from_profile([TABLE], slo_ttft_ms=1000)
    assert found.tokens_per_s == pytest.approx(1250)
    assert found.requests_per_s == pytest.approx(1250 / 1280)
    quick = replace(TABLE, precision="fp4", points=(ProfilePoint(32, 300, 900),))
    assert "fp8" in from_profile([quick, TABLE], slo_ttft_ms=1000).words
    assert from_profile([], slo_ttft_ms=1000) is None


def test_the_best_origin_that_can_be_believed_is_in_force():
    told, profile = declared(8.0, 4), from_profile([TABLE], slo_ttft_ms=1000)
    found = measured([ONE], at=NOW)
    assert told.requests_per_s == 2.0

    def force(found, profile, **changes):
        values = {"tokens_per_request": 500.0, "now": NOW} | changes
        return in_force(found, profile, told, **values)

    # 1,000 x 5/6 / 500 = 1.67 requests/s a GPU: near enough to 2.
    assert force(found, profile) is found
    assert force(None, profile) is profile
    assert force(None, None) is told
    assert force(found, None, now=NOW + timedelta(days=8)) is told
    # At 5,000 tokens a request it would be 0.167, a twelfth of what the fleet file says.
    doubted = force(found, None, tokens_per_request=5_000.0)
    assert doubted.origin == "fleet file"
    assert "more likely a fault" in doubted.words
