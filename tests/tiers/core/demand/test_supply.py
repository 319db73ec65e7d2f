"""Supply of the next hours as a band, and the rates behind it."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiers.core.demand.gangs import expected_end, remaining_s
from tiers.core.demand.rates import FAILURES_PER_HOUR, Rate, Rates, Spell, rates
from tiers.core.demand.supply import Coming, SupplyNow, binomial_quantile, supply_band

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def each(failures=0.0, repairs=0.0, spot=0.0):
    return Rates(*(Rate(r, "default", 0, 0.0) for r in (failures, repairs, spot)))


def band(held, rates, calendar=(), steps=1):
    return supply_band(held, rates, calendar, now=NOW, step=HOUR, steps=steps)


def test_the_band_by_hand():
    # 10 nodes of 8, each lost in the hour with a chance of one half (rate ln 2).
    # Expected: 80 - 40 = 40. Binomial(10, 1/2): at most 8 are lost in 98.9 %, at most 7 in 94.5 %,
    # so the low end loses 8; at most 2 are lost in 5.5 % (at most 1 in 1.1 %): the high end 2.
    (step,) = band(SupplyNow(80, 0, 0), each(failures=math.log(2)))
    assert (step.low, step.expected, step.high) == (16, pytest.approx(40), 64)
    # Spot nodes go for both reasons: 1 - 1/2 x 1/2 = 3/4 of 80.
    (step,) = band(SupplyNow(80, 80, 0), each(failures=math.log(2), spot=math.log(2)))
    assert step.expected == pytest.approx(20)
    # 16 broken GPUs come back with a chance of one half: 8 expected, none or both at the ends.
    (step,) = band(SupplyNow(0, 0, 16), each(repairs=math.log(2)))
    assert (step.low, step.expected, step.high) == (0, pytest.approx(8), 16)


def test_a_reservation_counts_from_its_hour():
    ends = Coming(NOW + 2 * HOUR, -64, "reservation r1 ends")
    assert [s.expected for s in band(SupplyNow(80, 0, 0), each(), [ends], steps=3)] == [80, 16, 16]
    assert band(SupplyNow(8, 0, 0), each(), [ends], steps=2)[1].low == 0


@given(st.integers(0, 400), st.integers(0, 60), st.floats(0, 3), st.floats(0, 3), st.floats(0, 3))
def test_the_band_holds_what_is_expected(gpus, broken, failures, repairs, spot):
    steps = band(SupplyNow(gpus, gpus // 3, broken), each(failures, repairs, spot), steps=3)
    assert all(0 <= s.low <= s.expected <= s.high for s in steps)


def test_a_binomial_of_thousands_has_its_quantiles():
    assert binomial_quantile(4000, 0.9, 0.5) == pytest.approx(3600, abs=1)
    assert binomial_quantile(5, 1.0, 0.05) == 5
    assert binomial_quantile(5, 0.0, 0.95) == 0


def spell(node, state, since_h, until_h=None, **more):
    until = None if until_h is None else NOW + until_h * HOUR
    return Spell(node, state, 8, NOW + since_h * HOUR, until, **more)


def test_rates_from_history_by_hand():
    # Ten nodes serve 100 h and then break, half of them for 20 h, then serve again, until now.
    spells = [spell(f"n{i}", "serving", -200, -100) for i in range(10)]
    spells += [spell(f"n{i}", "broken", -100, -80) for i in range(5)]
    spells += [spell(f"n{i}", "serving", -80) for i in range(5)]
    spells += [spell(f"n{i}", "broken", -100) for i in range(5, 10)]
    found = rates(spells, now=NOW)
    # 80 GPUs failed in 80 x 100 + 40 x 80 = 11,200 GPU-hours of supply.
    assert found.failures.per_hour == pytest.approx(80 / 11_200)
    # 40 GPUs were repaired in 40 x 20 + 40 x 100 = 4,800 GPU-hours broken.
    assert found.repairs.per_hour == pytest.approx(40 / 4_800)
    assert found.failures.origin == found.repairs.origin == "own history"
    assert found.spot.origin == "default"


def test_a_short_history_leaves_the_prior_and_says_so():
    found = rates([spell("n1", "serving", -1), spell("n2", "broken", -1)], now=NOW)
    assert found.failures == Rate(FAILURES_PER_HOUR, "default", 0, 8.0)
    # A year of a hundred nodes without a failure is a finding: the prior expects 237.
    calm = [spell(f"n{i}", "serving", -8760) for i in range(100)]
    assert rates(calm, now=NOW).failures.per_hour == 0.0


def test_what_stays_broken_and_changes_hands_fails_once():
    held = [spell(f"n{i}", "serving", -10, -5) for i in range(5)]
    held += [spell(f"n{i}", "broken", -5, -3) for i in range(5)]
    held += [spell(f"n{i}", "broken", -3) for i in range(5)]
    found = rates(held, now=NOW)
    assert found.failures.events == 5
    assert found.repairs.events == 0


def test_spot_nodes_that_are_gone_were_taken():
    gone = [spell(f"s{i}", "serving", -50, -10, spot=True) for i in range(5)]
    found = rates([*gone, spell("s9", "serving", -50, spot=True)], now=NOW)
    # 40 GPUs were taken in 40 x 40 + 8 x 50 = 2,000 GPU-hours.
    assert found.spot.per_hour == pytest.approx(40 / 2_000)


def test_a_gang_ends_when_earlier_ones_of_its_age_did():
    runs = [3600.0 * h for h in (1, 5, 6, 7, 8, 9, 10, 11, 12)]
    # Eight ran longer than 4 h; they still took 1 to 8 h, 4.5 at the median.
    assert remaining_s(4 * 3600.0, runs) == pytest.approx(4.5 * 3600)
    assert remaining_s(5.5 * 3600.0, runs) is None
    began = NOW - 4 * HOUR
    assert expected_end(began, None, runs, NOW) == (
        NOW + 4.5 * HOUR, "median of earlier gangs",
    )  # fmt: skip
    assert expected_end(began, NOW + HOUR, runs, NOW) == (NOW + HOUR, "its deadline")
    assert expected_end(began, None, [], NOW)[0] is None
