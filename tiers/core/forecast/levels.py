"""How high series were: means and medians of what is known, at every column or origin."""

import numpy as np

from tiers.core.forecast.quantiles import Array
from tiers.core.forecast.windows import DAY, Index, columns


def mean_of(parts: list[Array]) -> Array:
    """The mean of what is known."""
    total, count = np.zeros(parts[0].shape), np.zeros(parts[0].shape)
    for part in parts:
        known = np.isfinite(part)
        total += np.where(known, part, 0.0)
        count += known
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def trailing_mean(history: Array, steps: int) -> Array:
    """(N, T) at every column the mean of the last so many, itself included."""
    total, count = (_trailing_sum(part, steps) for part in _known(history))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def smoothed(history: Array, *, reach: int = 2) -> Array:
    """(N, T) at every column the mean of it and so many on either side. It looks ahead."""
    gap = np.full((len(history), reach), np.nan)
    return trailing_mean(np.hstack([history, gap]), 2 * reach + 1)[:, reach:]


def day_median(history: Array, origins: Index) -> Array:
    """(N, O) median of the day before each origin, from every second sample."""
    found = np.full((len(history), len(origins)), np.nan)
    back = np.arange(0, DAY, 2)
    for row in range(len(history)):
        day = np.sort(columns(history[row : row + 1], origins[:, None] - back)[0], axis=-1)
        known = np.isfinite(day).sum(axis=-1)
        middle = np.maximum(known - 1, 0)
        low = np.take_along_axis(day, (middle // 2)[:, None], axis=-1)[:, 0]
        high = np.take_along_axis(day, ((middle + 1) // 2)[:, None], axis=-1)[:, 0]
        found[row] = (low + high) / 2
    return found


def _known(history: Array) -> tuple[Array, Array]:
    known = np.isfinite(history)
    return np.where(known, history, 0.0), known.astype(np.float64)


def _trailing_sum(values: Array, steps: int) -> Array:
    total = np.cumsum(values, axis=1)
    found = total.copy()
    found[:, steps:] -= total[:, :-steps]
    return np.maximum(found, 0.0)  # what rounding leaves of zeros is not below them
