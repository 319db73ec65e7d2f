"""Looking at series from an origin: what was known then, and what came after. No leakage here.

Matrices are (N, T): N series on one even grid of T steps. An origin is the column of the last
sample that a forecast made then may see.
"""

import numpy as np
from numpy.typing import NDArray

from tiers.core.forecast.quantiles import STEPS, Array

Index = NDArray[np.int64]

DAY = 144
WEEK = 7 * DAY
# A last value older than an hour says too little about the next one.
MAX_AGE_STEPS = 6


def fill_forward(history: Array, *, limit: int = MAX_AGE_STEPS) -> Array:
    """Gaps filled with the last known value, at most `limit` steps old. (N, T) in and out."""
    steps = np.arange(history.shape[1])
    seen = np.where(np.isfinite(history), steps, -1)
    latest = np.maximum.accumulate(seen, axis=1)
    filled = np.take_along_axis(history, np.maximum(latest, 0), axis=1)
    return np.where((latest >= 0) & (steps - latest <= limit), filled, np.nan)


def columns(history: Array, places: Index) -> Array:
    """(N, …) values at these columns; NaN where a column lies outside the matrix."""
    inside = (places >= 0) & (places < history.shape[1])
    found = history[:, np.clip(places, 0, history.shape[1] - 1)]
    return np.where(inside, found, np.nan)


def outcomes(history: Array, origins: Index) -> Array:
    """(N, O, 24): what happened after each origin; NaN where unknown or still to come."""
    return columns(history, origins[:, None] + np.arange(1, STEPS + 1))
