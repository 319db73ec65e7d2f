"""Training demand from known gangs and from what came at the same hours of past days."""

import numpy as np

from tests.tiers.core.forecast.shapes import times
from tiers.core.forecast.features import prepare
from tiers.core.forecast.gangs import GangRuns, gang_paths, gang_quantiles, known_gpus
from tiers.core.forecast.quantiles import MEDIAN, STEPS
from tiers.core.forecast.rolling import roll
from tiers.core.forecast.run import forecast_all
from tiers.core.forecast.windows import DAY as A_DAY

HOUR, DAY, NOW = 3600.0, 86_400.0, 100 * 86_400.0
Run = tuple[float, float, float, float]  # GPUs, began, ended, deadline


def runs(*rows: Run) -> GangRuns:
    columns = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    return GangRuns(*columns)


def run(gpus: float, began_s: float, ran_s: float = np.inf, deadline_s: float = np.inf) -> Run:
    return (gpus, began_s, began_s + ran_s, deadline_s)


# A job of 8 GPUs and three hours at each past noon; now is eleven in the morning.
NOONS = [run(8, NOW + HOUR - back * DAY, 3 * HOUR) for back in range(1, 15)]


def asked(*rows: Run, beside: float = 0.0, seed: int = 1) -> np.ndarray:
    """The quantiles where so many GPUs are asked for beside the running gangs."""
    given = runs(*rows)
    now = given.at(NOW)
    held = float(now.gpus[np.isinf(now.ended_s)].sum())
    return gang_quantiles(given, NOW, held + beside, random=np.random.default_rng(seed))


def test_a_running_gang_ends_when_earlier_ones_of_its_age_did() -> None:
    past = [run(0, NOW - 50 * DAY, ran_s) for ran_s in [5 * HOUR] * 20 + [1 * HOUR] * 20]
    found = asked(run(16, NOW - 3 * HOUR), *past)
    assert found[:11, MEDIAN].tolist() == [16.0] * 11  # two of its five hours are left
    assert found[12:, -1].tolist() == [0.0] * 12


def test_gangs_of_its_own_size_say_more_than_the_others() -> None:
    short = [run(1, NOW - 50 * DAY, HOUR) for _ in range(40)]
    long = [run(16, NOW - 50 * DAY, 5 * HOUR) for _ in range(8)]
    assert asked(run(16, NOW - 600), *short, *long)[:, MEDIAN].tolist() == [16.0] * STEPS
    alone = asked(run(16, NOW - 600), *short, *long[1:])  # seven of its size are too few
    assert alone[-1, MEDIAN] == 0.0


def test_what_nobody_knows_the_end_of_stays_but_not_past_its_deadline() -> None:
    old = run(2, NOW - 30 * DAY)
    bounded = run(1, NOW - HOUR, deadline_s=NOW + HOUR)
    found = asked(old, bounded, beside=4)
    assert found[:5].tolist() == [[7.0] * 15] * 5
    assert found[6:].tolist() == [[6.0] * 15] * 18


def test_new_gangs_come_as_on_past_days() -> None:
    found = asked(*NOONS)
    assert found[:6, MEDIAN].tolist() == [0.0] * 6
    assert found[6:23, MEDIAN].tolist() == [8.0] * 17


def test_days_that_differ_make_a_band_of_ordered_quantiles() -> None:
    past = NOONS[::2]
    found = asked(*past)
    assert (np.diff(found, axis=1) >= 0).all()
    assert found[10, 0] == 0.0
    assert found[10, -1] == 8.0
    np.testing.assert_array_equal(found, asked(*past))


def test_what_comes_after_now_changes_nothing() -> None:
    later = run(500, NOW + 60, HOUR)
    np.testing.assert_array_equal(asked(*NOONS), asked(*NOONS, later))
    to_end, endless = (run(4, NOW - HOUR, ran_s) for ran_s in (2 * HOUR, np.inf))
    np.testing.assert_array_equal(asked(*NOONS, to_end), asked(*NOONS, endless))


def test_without_a_day_of_history_only_what_is_known_asks() -> None:
    found = asked(run(4, NOW - HOUR))
    assert found.shape == (STEPS, 15)
    assert (found == 4.0).all()


def test_known_gangs_ask_until_their_end() -> None:
    gpus, ends_s = np.array([8.0, 4.0, 2.0]), np.array([HOUR, np.inf, 2 * HOUR])
    assert known_gpus(gpus, ends_s, np.array([0.0, HOUR, 3 * HOUR])).tolist() == [14.0, 6.0, 4.0]
    assert known_gpus(np.zeros(0), np.zeros(0), np.array([0.0])).tolist() == [0.0]


# --- within the forecaster ----------------------------------------------------------------------


def at_noon(days: int) -> tuple[np.ndarray, np.ndarray, GangRuns]:
    """A gang of 8 each noon that runs two to ten hours: only its deadline tells when it ends."""
    grid = times(days * A_DAY)
    began_s = grid[0] + DAY * np.arange(-3, days) + 12 * HOUR
    ended_s = began_s + np.random.default_rng(4).uniform(2, 10, size=len(began_s)) * HOUR
    given = GangRuns(np.full(len(began_s), 8.0), began_s, ended_s, ended_s)
    demand = ((began_s <= grid[:, None]) & (grid[:, None] < ended_s)) @ given.gpus
    return demand, grid, given


def test_known_gangs_come_into_force_where_they_see_ends_coming_and_say_so() -> None:
    demand, grid, given = at_noon(4)
    found = forecast_all(
        np.stack([demand, demand]), grid, grid[-1], utc_offset_h=np.zeros(2), gangs={0: given},
        random=np.random.default_rng(1),
    )  # fmt: skip
    assert found[0].model_in_force["4h"] == "gangs"
    assert found[0].reasons["4h"].startswith("known gangs and arrivals up to 4h, beside the other")
    errors = found[0].errors["4h"]
    assert errors["gangs"].mae < 0.9 * min(errors["mix"].mae, errors["last"].mae)
    assert "gangs" not in found[1].errors["4h"]  # nothing is known of its gangs
    assert found[1].model_in_force["4h"] != "gangs"


def test_gangs_that_tell_nothing_stay_out_of_force_and_change_no_forecast() -> None:
    demand, grid, given = at_noon(4)
    wrong = GangRuns(10 * given.gpus, given.started_s, given.started_s + HOUR, given.deadline_s)
    plain, other = (
        forecast_all(
            demand[None], grid, grid[-1], utc_offset_h=np.zeros(1), gangs=gangs,
            random=np.random.default_rng(1),
        )[0]
        for gangs in ({}, {0: wrong})
    )  # fmt: skip
    assert plain.forecast is not None and other.forecast is not None
    assert other.model_in_force == plain.model_in_force
    assert "known gangs and arrivals not used because" in other.reasons["4h"]
    np.testing.assert_array_equal(other.forecast.values, plain.forecast.values)


def test_gangs_to_come_move_no_earlier_forecast() -> None:
    demand, grid, given = at_noon(4)
    origins, cut = np.arange(A_DAY, 4 * A_DAY), 3 * A_DAY
    spiked, later = demand.copy(), given.gpus.copy()
    spiked[cut + 1 :] *= 50
    later[given.started_s > grid[cut]] *= 50
    changed = GangRuns(later, given.started_s, given.ended_s, given.deadline_s)
    plain, other = (
        roll(
            prepare(d[None], grid, np.zeros(1)),
            origins,
            known=gang_paths(g, d, grid, origins, random=np.random.default_rng(1))[None],
        ).values
        for d, g in ((demand, given), (spiked, changed))
    )
    before = origins <= cut
    np.testing.assert_array_equal(plain[:, before], other[:, before])
    assert not np.array_equal(plain[:, ~before], other[:, ~before])
