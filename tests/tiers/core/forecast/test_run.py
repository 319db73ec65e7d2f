"""The whole forecaster with naive models: choice, gaps, leakage, bands."""

import numpy as np
import pytest

from tests.tiers.core.forecast.shapes import START_S, daily, fleet, forecast_one, times, walk
from tiers.core.forecast.conformal import calibrated, coverage
from tiers.core.forecast.experts import expert_paths
from tiers.core.forecast.features import prepare
from tiers.core.forecast.quantiles import MEDIAN, QUANTILES
from tiers.core.forecast.rolling import roll
from tiers.core.forecast.run import forecast_all
from tiers.core.forecast.windows import DAY, fill_forward


def test_yesterday_beats_the_last_value_on_a_daily_sine_and_the_gate_picks_it() -> None:
    history, grid = daily(14 * DAY), times(14 * DAY)
    found = forecast_one(history, grid, grid[-1])
    assert found.model_in_force == {"2h": "day", "4h": "day"}
    assert "last value not used because its error was" in found.reasons["4h"]
    assert found.forecast is not None
    np.testing.assert_allclose(
        found.forecast.values[:, MEDIAN], daily(14 * DAY + 24)[-24:], atol=1e-6
    )


def test_the_last_value_wins_on_a_random_walk() -> None:
    history, grid = walk(14 * DAY, seed=5), times(14 * DAY)
    found = forecast_one(history, grid, grid[-1])
    assert found.model_in_force == {"2h": "last", "4h": "last"}
    assert found.forecast is not None
    assert found.forecast.values[0, MEDIAN] == pytest.approx(history[-1], rel=0.05)


def test_a_tie_goes_to_the_simpler_model() -> None:
    found = forecast_one(np.full(10 * DAY, 8.0), times(10 * DAY), times(10 * DAY)[-1])
    assert found.model_in_force == {"2h": "last", "4h": "last"}


def test_last_week_wins_where_weekends_differ() -> None:
    length = 27 * DAY
    weekend = (np.arange(length) // DAY + 4) % 7 >= 5  # it starts on a Friday
    history = np.where(weekend, 0.3, 1.0) * daily(length)
    # Three days back from here lie Saturday to Tuesday: yesterday misleads twice.
    cut = 25 * DAY
    found = forecast_one(history[:cut], times(cut), times(cut)[-1])
    assert found.model_in_force["4h"] == "week"


def test_what_comes_after_now_changes_nothing() -> None:
    history, grid = fleet(3, 12), times(12 * DAY)
    now_s = grid[10 * DAY]
    offsets = np.zeros(3)
    spiked = history.copy()
    spiked[:, 10 * DAY + 1 :] *= 50
    plain = forecast_all(history, grid, now_s, utc_offset_h=offsets)
    after = forecast_all(spiked, grid, now_s, utc_offset_h=offsets)
    for one, other in zip(plain, after, strict=True):
        assert one.forecast is not None and other.forecast is not None
        np.testing.assert_array_equal(one.forecast.values, other.forecast.values)
        assert one.model_in_force == other.model_in_force
        assert one.forecast.made_at_s == now_s


def test_gaps_are_neither_zeros_nor_a_reason_to_give_up() -> None:
    history, grid = fleet(2, 14), times(14 * DAY)
    history[0, 5 * DAY : 6 * DAY] = np.nan
    history[0, -30:-3] = np.nan
    history[1, ::7] = np.nan
    found = forecast_all(history, grid, grid[-1], utc_offset_h=np.zeros(2))
    for row, one in enumerate(found):
        assert one.forecast is not None
        assert np.isfinite(one.forecast.values).all()
        assert one.forecast.values[0, MEDIAN] > 0.3 * np.nanmin(history[row])


@pytest.mark.parametrize("history", [walk(10 * DAY, seed=1), daily(10 * DAY)])
def test_a_series_that_fell_silent_for_more_than_an_hour_has_no_forecast(
    history: np.ndarray,
) -> None:
    grid, silent = times(10 * DAY), history.copy()
    silent[-6:] = np.nan
    assert forecast_one(silent, grid, grid[-1]).forecast is not None
    silent[-7:] = np.nan
    assert forecast_one(silent, grid, grid[-1]).forecast is None


def test_an_unknown_series_has_no_forecast() -> None:
    grid = times(10 * DAY)
    found = forecast_one(np.full(10 * DAY, np.nan), grid, grid[-1])
    assert found.forecast is None
    assert found.coverage_95 is None


def test_a_short_history_is_forecast_with_a_wide_band() -> None:
    history, grid = walk(12, seed=2), times(12)
    found = forecast_one(history, grid, grid[-1])
    assert found.model_in_force == {"2h": "last", "4h": "last"}
    assert "past origins to compare on" in found.reasons["2h"]
    assert found.forecast is not None
    width = found.forecast.values[:, -1] - found.forecast.values[:, 0]
    assert width[0] > 4 * np.abs(np.diff(history)).mean()
    assert width[-1] >= width[0]


def test_every_forecast_is_ordered_and_not_negative() -> None:
    history = fleet(6, 10)
    history[0] = np.maximum(0, history[0] - history[0].mean())
    history[1] = 0.0
    grid = times(10 * DAY)
    for one in forecast_all(history, grid, grid[-1], utc_offset_h=np.zeros(6)):
        assert one.forecast is not None
        assert one.forecast.values.shape == (24, len(QUANTILES))
        assert (one.forecast.values >= 0).all()
        assert (np.diff(one.forecast.values, axis=1) >= 0).all()


def test_inputs_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="600 s apart"):
        forecast_one(np.ones(10), START_S + 300 * np.arange(10.0), START_S + 9000)
    with pytest.raises(ValueError, match="one UTC offset"):
        forecast_all(np.ones((2, 10)), times(10), START_S + 9000, utc_offset_h=np.zeros(3))
    with pytest.raises(ValueError, match="before now"):
        forecast_one(np.ones(10), times(10), START_S - 1)


def test_values_are_carried_for_an_hour_only() -> None:
    history = np.array([[1.0, *[np.nan] * 8, 2.0]])
    np.testing.assert_array_equal(fill_forward(history), [[1, 1, 1, 1, 1, 1, 1, np.nan, np.nan, 2]])


def test_a_spike_to_come_moves_no_earlier_forecast() -> None:
    history, grid = fleet(3, 6), times(6 * DAY)
    spiked = history.copy()
    spiked[:, 5 * DAY + 1 :] *= 50
    origins = np.arange(3 * DAY, 6 * DAY)
    plain, other = (roll(prepare(h, grid, np.zeros(3)), origins) for h in (history, spiked))
    before = origins <= 5 * DAY
    np.testing.assert_array_equal(plain.values[:, before], other.values[:, before])
    np.testing.assert_array_equal(plain.gate.chosen[:, before], other.gate.chosen[:, before])
    assert not np.array_equal(plain.values[:, ~before], other.values[:, ~before])


def test_a_season_ago_before_the_first_sample_is_unknown() -> None:
    matrix = prepare(np.arange(200.0)[None], times(200), np.zeros(1))
    paths = expert_paths(matrix, np.array([130, 199]))
    assert np.isnan(paths["day"][0, 0, :13]).all()
    assert paths["day"][0, 0, 13:].tolist() == list(range(0, 11))
    assert paths["day"][0, 1].tolist() == list(range(56, 80))
    assert np.isnan(paths["week"]).all()


def test_bands_cover_what_they_claim_also_when_errors_grow() -> None:
    random = np.random.default_rng(7)
    size = np.where(np.arange(8 * DAY) < 4 * DAY, 5.0, 10.0)[:, None]
    outcome = 200 + size * random.normal(size=(2, 8 * DAY, 24))
    values = calibrated(np.full(outcome.shape, 200.0), outcome, np.full(outcome.shape[:2], 1.0))
    late = slice(6 * DAY, None)
    assert coverage(values[:, late], outcome[:, late]) == pytest.approx(0.95, abs=0.025)
    half = coverage(values[:, late], outcome[:, late], low=QUANTILES.index(0.25))
    assert half == pytest.approx(0.5, abs=0.06)


def test_a_short_series_borrows_its_siblings_weights() -> None:
    history, grid = np.stack([daily(9 * DAY), daily(9 * DAY, level=300)]), times(9 * DAY)
    history[1, : 9 * DAY - DAY - 60] = np.nan
    found = forecast_all(history, grid, grid[-1], utc_offset_h=np.zeros(2))
    assert found[1].forecast is not None
    truth = daily(9 * DAY + 24, level=300)[-24:]
    held = np.abs(truth - history[1, -1]).mean()
    origins = np.arange(9 * DAY)
    mixture = roll(prepare(history, grid, np.zeros(2)), origins).paths["mix"][1, -1]
    assert np.abs(truth - mixture).mean() < 0.5 * held
