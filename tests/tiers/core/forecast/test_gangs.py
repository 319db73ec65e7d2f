"""Training demand from known gangs and from what came at the same hours of past days."""

import numpy as np

from tiers.core.forecast.gangs import KnownGang, PastGang, gang_quantiles
from tiers.core.forecast.quantiles import MEDIAN, STEPS

HOUR, DAY, NOW = 3600.0, 86_400.0, 100 * 86_400.0
# A job of 8 GPUs and three hours at each past noon; now is eleven in the morning.
NOONS = [PastGang(8, NOW + HOUR - back * DAY, 3 * HOUR) for back in range(1, 15)]


def asked(known: list[KnownGang], past: list[PastGang], *, seed: int = 1) -> np.ndarray:
    return gang_quantiles(known, past, NOW, random=np.random.default_rng(seed))


def test_a_running_gang_ends_when_earlier_ones_of_its_age_did() -> None:
    past = [PastGang(0, NOW - 50 * DAY, ran_s) for ran_s in [5 * HOUR] * 20 + [1 * HOUR] * 20]
    found = asked([KnownGang(16, started_s=NOW - 3 * HOUR)], past)
    assert found[:11, MEDIAN].tolist() == [16.0] * 11  # two of its five hours are left
    assert found[12:, -1].tolist() == [0.0] * 12


def test_what_nobody_knows_the_end_of_stays_but_not_past_its_deadline() -> None:
    waiting, old = KnownGang(4, None), KnownGang(2, started_s=NOW - 30 * DAY)
    bounded = KnownGang(1, started_s=NOW - HOUR, deadline_s=NOW + HOUR)
    found = asked([waiting, old, bounded], [])
    assert found[:5].tolist() == [[7.0] * 15] * 5
    assert found[6:].tolist() == [[6.0] * 15] * 18


def test_new_gangs_come_as_on_past_days() -> None:
    found = asked([], NOONS)
    assert found[:6, MEDIAN].tolist() == [0.0] * 6
    assert found[6:23, MEDIAN].tolist() == [8.0] * 17


def test_days_that_differ_make_a_band_of_ordered_quantiles() -> None:
    past = NOONS[::2]
    found = asked([], past)
    assert (np.diff(found, axis=1) >= 0).all()
    assert found[10, 0] == 0.0
    assert found[10, -1] == 8.0
    np.testing.assert_array_equal(found, asked([], past))


def test_what_comes_after_now_changes_nothing() -> None:
    later = PastGang(500, NOW + 60, HOUR)
    np.testing.assert_array_equal(asked([], NOONS), asked([], [*NOONS, later]))


def test_without_a_day_of_history_only_what_is_known_asks() -> None:
    found = asked([KnownGang(4, None)], [PastGang(8, NOW - HOUR, None)])
    assert found.shape == (STEPS, 15)
    assert (found == 4.0).all()
