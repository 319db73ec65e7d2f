"""A forecast as quantiles by horizon, and the loss that judges it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

QUANTILES = (.025, .05, .1, .2, .25, .3, .4, .5, .6, .7, .75, .8, .9, .95, .975)  # fmt: skip
LEVELS: Array = np.array(QUANTILES)
MEDIAN = QUANTILES.index(0.5)
STEP_S = 600
STEPS = 24


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """Quantiles of one series: `values` (24, 15), row k at `made_at_s` + (k + 1) × 600 s.

    Values are non-negative and do not cross; unit of the series. `model` names what is in force,
    both when the horizons differ ("torch, last").
    """

    values: Array
    model: str
    made_at_s: float


def tidy(values: Array) -> Array:
    """Quantiles (…, 15) made non-negative and non-crossing (by sorting, as Chernozhukov et al.
    2010 show never hurts the pinball loss)."""
    return np.sort(np.maximum(values, 0.0), axis=-1)


def pinball(values: Array, outcome: Array, *, levels: Sequence[float] = QUANTILES) -> Array:
    """Mean quantile loss, twice (so that the median's is its absolute error).

    Args:
        values: (…, Q) quantiles.
        outcome: (…) what happened; NaN gives NaN.

    Returns:
        (…) in the unit of the series; lower is better. Source: Koenker & Bassett 1978.
    """
    level = np.asarray(levels)
    over = outcome[..., None] - values
    loss: Array = 2.0 * np.maximum(level * over, (level - 1.0) * over).mean(axis=-1)
    return loss


def quantiles_of(samples: Array, *, axis: int, levels: Array = LEVELS) -> Array:
    """Quantiles of the known samples along an axis, linearly interpolated.

    Args:
        levels: (15,), or (…, 15) of their own for each place.

    Returns:
        (…, 15) without the axis; NaN where nothing is known. Many times faster than
        `np.nanquantile`, which loops in Python where there are NaNs.
    """
    if samples.shape[axis] == 0:
        rest = np.moveaxis(samples, axis, -1).shape[:-1]
        return np.full((*rest, levels.shape[-1]), np.nan)
    ordered = np.sort(np.moveaxis(samples, axis, -1), axis=-1)  # NaN last
    last = np.maximum(np.isfinite(ordered).sum(axis=-1) - 1, 0)[..., None]
    place = last * levels
    low = np.floor(place).astype(np.int64)
    first = np.take_along_axis(ordered, low, axis=-1)
    second = np.take_along_axis(ordered, np.minimum(low + 1, last), axis=-1)
    found: Array = first + (place - low) * (second - first)
    return found
