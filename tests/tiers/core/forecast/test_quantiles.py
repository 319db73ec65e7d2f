"""Quantiles as values: order, interpolation, loss."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tiers.core.forecast.quantiles import (
    LEVELS,
    QUANTILES,
    pinball,
    quantiles_of,
    tidy,
)


@given(arrays.arrays(np.float64, (3, 15), elements=st.floats(-1e9, 1e9)))
def test_tidy_quantiles_neither_cross_nor_fall_below_zero(values: np.ndarray) -> None:
    tidied = tidy(values)
    assert (tidied >= 0).all()
    assert (np.diff(tidied, axis=-1) >= 0).all()


@given(arrays.arrays(np.float64, (15,), elements=st.floats(0, 1e6)), st.floats(0, 1e6))
def test_sorting_never_hurts_the_loss(values: np.ndarray, outcome: float) -> None:
    happened = np.array(outcome)
    assert pinball(np.sort(values), happened) <= pinball(values, happened) * (1 + 1e-9) + 1e-9


def test_the_medians_loss_is_its_absolute_error() -> None:
    loss = pinball(np.array([[7.0]]), np.array([4.0]), levels=[0.5])
    assert loss.tolist() == [3.0]


def test_a_high_quantile_pays_more_for_being_passed() -> None:
    high = [QUANTILES[-1]]
    passed = pinball(np.array([[10.0]]), np.array([11.0]), levels=high)
    spare = pinball(np.array([[10.0]]), np.array([9.0]), levels=high)
    assert passed[0] == pytest.approx(1.95)
    assert spare[0] == pytest.approx(0.05)


def test_quantiles_of_known_samples_agree_with_numpy() -> None:
    samples = np.random.default_rng(1).normal(size=(4, 50))
    samples[1, 10:40] = np.nan
    samples[2, 1:] = np.nan
    samples[3] = np.nan
    found = quantiles_of(samples, axis=1)
    np.testing.assert_allclose(found[:3], np.nanquantile(samples[:3], LEVELS, axis=1).T)
    assert np.isnan(found[3]).all()
