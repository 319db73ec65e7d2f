"""The learned model: order, determinism, no leakage, and being kept out when it is worse."""

import numpy as np
import pytest
import torch

from tests.tiers.core.forecast.shapes import fleet, times, walk
from tiers.core.forecast.errors import ModelCorrupt, ModelWrongShape, TooLittleHistory
from tiers.core.forecast.features import FEATURES, SeriesMatrix, prepare, windows
from tiers.core.forecast.quantiles import Array
from tiers.core.forecast.run import forecast_all
from tiers.core.forecast.torch_model import TorchModel, expected_shapes, train
from tiers.core.forecast.weights import check_weights
from tiers.core.forecast.windows import DAY, Index

DAYS, SERIES = 16, 5
TRAIN_TO = 13 * DAY - 1


def matrix_of(history: Array) -> SeriesMatrix:
    return prepare(history, times(history.shape[1]), np.zeros(len(history)))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def trained() -> tuple[TorchModel, list[float]]:
    matrix = matrix_of(fleet(SERIES, DAYS))
    return train(matrix, seed=11, epochs=3, batches_per_epoch=25, train_to=TRAIN_TO)


def test_training_lowers_the_loss(trained: tuple[TorchModel, list[float]]) -> None:
    _, losses = trained
    assert losses[-1] < 0.8 * losses[0]


def test_quantiles_neither_cross_nor_fall_below_zero(
    trained: tuple[TorchModel, list[float]],
) -> None:
    origins = np.arange(200, DAYS * DAY, 97)
    values = trained[0].predict(matrix_of(fleet(SERIES, DAYS, seed=8)), origins)
    assert values.shape == (SERIES, len(origins), 24, 15)
    assert (values >= 0).all()
    assert (np.diff(values, axis=-1) >= 0).all()


def test_it_beats_the_last_value_on_daily_series_and_comes_into_force(
    trained: tuple[TorchModel, list[float]],
) -> None:
    history, grid = fleet(SERIES, DAYS), times(DAYS * DAY)
    found = forecast_all(history, grid, grid[-1], utc_offset_h=np.zeros(SERIES), model=trained[0])
    for one in found:
        assert one.errors["4h"]["mix"].mae < one.errors["4h"]["last"].mae
        assert one.model_in_force["4h"] == "mix"


def test_the_last_value_stays_in_force_on_a_random_walk() -> None:
    history, grid = walk(DAYS * DAY, seed=4, level=1000.0)[None], times(DAYS * DAY)
    (found,) = forecast_all(history, grid, grid[-1], utc_offset_h=np.zeros(1), model=Wrong())
    assert found.model_in_force["4h"] == "last"
    assert "mixture not used because" in found.reasons["4h"]


class Wrong:
    """Says ten times the last value, always."""

    seen_until_s = 0.0

    def predict(self, matrix: SeriesMatrix, origins: Index) -> Array:
        held = 10 * matrix.fresh[:, origins]
        return np.broadcast_to(held[..., None, None], (*held.shape, 24, 15))


def test_it_is_not_judged_on_days_it_was_trained_on() -> None:
    class Oracle:
        """Knows the future by heart: perfect on what it has seen."""

        def __init__(self, seen_until_s: float) -> None:
            self.seen_until_s = seen_until_s

        def predict(self, matrix: SeriesMatrix, origins: Index) -> Array:
            ahead = np.minimum(origins[:, None] + np.arange(1, 25), matrix.history.shape[1] - 1)
            return np.repeat(matrix.history[:, ahead][..., None], 15, axis=-1)

    history, grid = fleet(2, DAYS), times(DAYS * DAY)

    def error(model: Oracle | None) -> float:
        found = forecast_all(history, grid, grid[-1], utc_offset_h=np.zeros(2), model=model)
        return found[0].errors["4h"]["mix"].mae

    assert error(Oracle(grid[0])) < 0.8 * error(None)
    assert error(Oracle(grid[-1])) == pytest.approx(error(None), rel=0.01)


def test_the_same_seed_gives_the_same_weights_whatever_ran_before() -> None:
    matrix = matrix_of(fleet(2, 6))
    first, _ = train(matrix, seed=5, epochs=1, batches_per_epoch=8, train_to=5 * DAY)
    torch.manual_seed(999)
    second, _ = train(matrix, seed=5, epochs=1, batches_per_epoch=8, train_to=5 * DAY)
    other, _ = train(matrix, seed=6, epochs=1, batches_per_epoch=8, train_to=5 * DAY)
    for name, weight in first.weights.items():
        np.testing.assert_array_equal(weight, second.weights[name])
    assert any(not np.array_equal(w, other.weights[n]) for n, w in first.weights.items())


def test_training_sees_nothing_after_its_last_column() -> None:
    history = fleet(2, 6)
    spiked = history.copy()
    spiked[:, 5 * DAY + 1 :] *= 50
    first, _ = train(matrix_of(history), seed=5, epochs=1, batches_per_epoch=8, train_to=5 * DAY)
    second, _ = train(matrix_of(spiked), seed=5, epochs=1, batches_per_epoch=8, train_to=5 * DAY)
    for name, weight in first.weights.items():
        np.testing.assert_array_equal(weight, second.weights[name])


def test_a_window_sees_nothing_after_its_origin() -> None:
    history = fleet(2, 10)
    spiked = history.copy()
    spiked[:, 9 * DAY + 1 :] *= 50
    rows, origins = np.array([0, 1]), np.array([9 * DAY, 9 * DAY])
    one, other = (windows(matrix_of(h), rows, origins) for h in (history, spiked))
    np.testing.assert_array_equal(one.inputs, other.inputs)


def test_windows_do_not_depend_on_the_size_of_a_series() -> None:
    history = fleet(1, 9)
    rows, origins = np.array([0]), np.array([9 * DAY - 1])
    small, large = (windows(matrix_of(h), rows, origins) for h in (history, history * 1e4))
    assert small.inputs.shape == (1, FEATURES)
    np.testing.assert_allclose(small.inputs, large.inputs, rtol=1e-5)


def test_a_gap_is_marked_and_no_window_is_nan() -> None:
    history = fleet(1, 9)
    history[0, -100:-40] = np.nan
    seen = windows(matrix_of(history), np.array([0, 0]), np.array([9 * DAY - 1, 9 * DAY - 50]))
    assert np.isfinite(seen.inputs).all()
    assert seen.inputs[0, 144:168].sum() == pytest.approx(10.0)  # ten of 24 hours are missing
    assert np.isnan(seen.last[1])


def test_without_history_there_is_no_training() -> None:
    history = np.full((2, 6 * DAY), np.nan)
    with pytest.raises(TooLittleHistory):
        train(matrix_of(history), seed=1, epochs=1, batches_per_epoch=8, train_to=5 * DAY)


def test_weights_of_another_shape_or_without_numbers_are_refused(
    trained: tuple[TorchModel, list[float]],
) -> None:
    weights = dict(trained[0].weights)
    check_weights(weights, expected_shapes())
    name = next(iter(weights))
    with pytest.raises(ModelWrongShape, match=name):
        check_weights(weights | {name: np.zeros((2, 2), np.float32)}, expected_shapes())
    with pytest.raises(ModelWrongShape):
        check_weights({k: v for k, v in weights.items() if k != name}, expected_shapes())
    with pytest.raises(ModelCorrupt, match=name):
        check_weights(weights | {name: np.full_like(weights[name], np.nan)}, expected_shapes())
