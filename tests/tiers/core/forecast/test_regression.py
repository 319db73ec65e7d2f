"""The linear paths, the levels they look at, and how the mixture and the gate take them up."""

import numpy as np
import pytest

from tests.tiers.core.forecast.shapes import daily, fleet, times
from tiers.core.forecast.features import SeriesMatrix, prepare
from tiers.core.forecast.gate import CANDIDATES, run_gate
from tiers.core.forecast.levels import smoothed, trailing_mean
from tiers.core.forecast.mix import mix
from tiers.core.forecast.quantiles import Array
from tiers.core.forecast.regression import PULLS, regressed_paths
from tiers.core.forecast.rolling import usual_error
from tiers.core.forecast.windows import DAY, outcomes


def paths_of(history: Array, days: int) -> tuple[dict[str, Array], Array, SeriesMatrix]:
    matrix = prepare(history, times(history.shape[1]), np.zeros(len(history)))
    origins = np.arange(history.shape[1] - days * DAY, history.shape[1])
    outcome = outcomes(history, origins)
    found = regressed_paths(matrix, origins, outcome, usual_error(matrix, origins))
    return found, outcome, matrix


def error(path: Array, outcome: Array) -> float:
    return float(np.nanmean(np.abs(path - outcome)[:, -DAY:]))


def test_means_leave_out_what_is_unknown() -> None:
    history = np.array([[1.0, np.nan, 3.0, 5.0]])
    np.testing.assert_allclose(trailing_mean(history, 2), [[1, 1, 3, 4]])
    np.testing.assert_allclose(smoothed(history, reach=1), [[1, 2, 4, 4]])
    assert np.isnan(trailing_mean(np.full((1, 3), np.nan), 2)).all()


def test_a_day_at_another_level_is_forecast_better_than_by_any_held_or_past_value() -> None:
    level = np.repeat(np.random.default_rng(4).uniform(0.7, 1.4, size=9), DAY)
    history = (level * daily(9 * DAY))[None]
    found, outcome, _ = paths_of(history, 8)
    held = np.repeat(history[:, -8 * DAY :, None], 24, axis=2)
    yesterday = outcomes(history, np.arange(0, 8 * DAY))
    for name in PULLS:
        assert error(found[name], outcome) < 0.6 * error(held, outcome)
    assert error(found["fitted"], outcome) < 0.9 * error(yesterday, outcome)


def test_no_history_is_the_last_value_and_silence_is_no_path() -> None:
    history = fleet(2, 3)
    history[1, 2 * DAY :] = np.nan
    found, _, matrix = paths_of(history, 3)
    for path in found.values():
        np.testing.assert_allclose(path[:, 0], np.repeat(matrix.fresh[:, :1], 24, axis=1))
        assert np.isnan(path[1, 2 * DAY + 7 :]).all()
        assert (path[0] >= 0).all()


def test_a_spike_to_come_moves_no_earlier_path() -> None:
    history = fleet(2, 5)
    spiked = history.copy()
    spiked[:, 4 * DAY + 1 :] *= 50
    one, other = (paths_of(h, 4)[0] for h in (history, spiked))
    for name in PULLS:
        np.testing.assert_array_equal(one[name][:, : 3 * DAY + 1], other[name][:, : 3 * DAY + 1])


def test_a_wild_path_does_not_slow_the_choice_between_two_steady_ones() -> None:
    random = np.random.default_rng(1)
    outcome = 100 + random.normal(size=(1, 2 * DAY, 24))
    paths = {"near": outcome * 0 + 100, "far": outcome * 0 + 103}
    usual, prior = np.full((1, 2 * DAY), 3.0), {"near": 0.2, "far": 0.5, "wild": 0.3}
    wild = 100 + 300 * random.normal(size=outcome.shape)
    for given in (paths, {**paths, "wild": wild}):
        found = mix(given, outcome, usual, prior)
        assert found.weights[0, 0].min() > 0.9


@pytest.mark.parametrize(("worse_by", "chosen"), [(-0.3, "mix"), (0.0, "mix"), (0.5, "last")])
def test_chance_demotes_no_mixture_and_a_losing_one_is(worse_by: float, chosen: str) -> None:
    """The last value errs by 3 ± 3; the mixture by as much more as is said, at other times."""
    random = np.random.default_rng(2)
    outcome = np.zeros((1, 5 * DAY, 24))
    errors = np.repeat(np.abs(random.normal(3, 3, size=(2, 5 * DAY // 24, 1))), 24, axis=1)
    last, mixture = errors[0], errors[1] - errors[1].mean() + (1 + worse_by) * errors[0].mean()
    path = {
        name: np.broadcast_to(value[None], outcome.shape)
        for name, value in (("last", last), ("day", 3 * last), ("week", 3 * last), ("mix", mixture))
    }
    gate = run_gate(path, outcome)
    assert CANDIDATES[gate.chosen[0, -1, 1]] == chosen
