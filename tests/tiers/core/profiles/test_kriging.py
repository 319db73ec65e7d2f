"""Kriging against what it promises: interpolation, honesty, and exact leave-group-out."""

import numpy as np
import pytest

from tiers.core.profiles.kriging import Kernel, Kriging

KERNEL = Kernel(weights=(1.0,), shared=(0.1,), noise=0.01)


def _field(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    numbers = random.uniform(-2, 2, (60, 2))
    kinds = random.integers(0, 3, (60, 1))
    values = np.sin(numbers[:, 0]) + 0.5 * numbers[:, 1] + 0.3 * kinds[:, 0]
    return numbers, kinds, values + 0.05 * random.normal(size=60)


def test_leaving_a_group_out_equals_fitting_without_it() -> None:
    numbers, kinds, values = _field(1)
    groups = np.arange(60) // 7
    # The scaling of the numbers and the mean are of the whole set: hold them still.
    numbers = (numbers - numbers.mean(0)) / numbers.std(0)
    values -= values.mean()
    predicted = Kriging.fit(KERNEL, numbers, kinds, values).without_own_group(groups)
    for group in (0, 3, 8):
        rest, own = groups != group, groups == group
        matrix = KERNEL.between(numbers[rest], kinds[rest], numbers[rest], kinds[rest])
        matrix += KERNEL.noise * np.eye(rest.sum())
        across = KERNEL.between(numbers[own], kinds[own], numbers[rest], kinds[rest])
        assert predicted[own] == pytest.approx(across @ np.linalg.solve(matrix, values[rest]))


def test_uncertainty_grows_away_from_what_was_seen() -> None:
    numbers, kinds, values = _field(2)
    fitted = Kriging.fit(KERNEL, numbers, kinds, values)
    _, near = fitted.predict(numbers[:5], kinds[:5])
    _, far = fitted.predict(numbers[:5] + 10, kinds[:5])
    _, unseen = fitted.predict(numbers[:5], np.full((5, 1), -1))
    assert (far > 2 * near).all()
    assert (unseen > near).all()


def test_stated_uncertainty_is_about_right() -> None:
    numbers, kinds, values = _field(3)
    fitted = Kriging.fit(KERNEL, numbers[:45], kinds[:45], values[:45])
    mean, sd = fitted.predict(numbers[45:], kinds[45:])
    assert 0.3 < np.sqrt((((values[45:] - mean) / sd) ** 2).mean()) < 2.0
