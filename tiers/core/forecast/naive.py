"""The naive models: last value, and the same time a day or a week ago, with bands.

A band is made of the errors that the same model made at the same horizon on past origins, whose
outcomes were known. Few errors tell little about tails: bands widen by 1 + 5/n for n of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tiers.core.forecast.quantiles import LEVELS, STEPS, Array, quantiles_of, tidy
from tiers.core.forecast.windows import (
    DAY,
    WEEK,
    Index,
    last_value_paths,
    outcomes,
    seasonal_paths,
)

# Errors of two weeks, one origin in half an hour: more only costs time.
RESIDUAL_STEPS = 14 * DAY
RESIDUAL_STRIDE = 3
# Below this many errors a band is a guess from the level alone.
FEW_ERRORS = 8
GUESSED_SPREAD_PER_HOUR = 0.5
_HOURS: Array = (np.arange(STEPS) + 1) / 6
# Standard normal quantiles; scipy.stats would take seconds to import for these fifteen numbers.
NORMAL: Array = np.array([NormalDist().inv_cdf(level) for level in LEVELS])


@dataclass(frozen=True, slots=True)
class NaiveModel:
    """A path rule; bands are learned from its own errors."""

    name: str
    title: str
    paths: Callable[[Array, Index], Array]


LAST = NaiveModel("last", "last value", last_value_paths)
SEASONAL_DAY = NaiveModel(
    "day", "same time yesterday", lambda h, o: seasonal_paths(h, o, season=DAY)
)
SEASONAL_WEEK = NaiveModel(
    "week", "same time last week", lambda h, o: seasonal_paths(h, o, season=WEEK)
)


def residual_bands(model: NaiveModel, history: Array, *, known_to: int) -> Array:
    """The model's error quantiles by horizon.

    Args:
        history: (N, T) series.
        known_to: only outcomes up to this column count.

    Returns:
        (N, 24, 15) errors to add to a path; NaN where the model never made an error to learn from.
    """
    past = history[:, : known_to + 1]
    newest = known_to - 1
    oldest = max(0, newest - RESIDUAL_STEPS)
    origins = np.arange(newest, oldest - 1, -RESIDUAL_STRIDE, dtype=np.int64)
    errors = outcomes(past, origins) - model.paths(past, origins)
    counted = np.isfinite(errors).sum(axis=1)[..., None]
    bands = quantiles_of(errors, axis=1) * (1 + 5 / np.maximum(counted, 1))
    return np.where(counted >= FEW_ERRORS, bands, np.nan)


def with_bands(paths: Array, bands: Array) -> Array:
    """(N, O, 24) paths and (N, 24, 15) errors make (N, O, 24, 15) quantiles.

    Where no errors are known the band is a guess: a normal whose spread grows with the square root
    of the horizon from half the level at one hour.
    """
    spread = GUESSED_SPREAD_PER_HOUR * np.abs(paths) * np.sqrt(_HOURS)
    guess = paths[..., None] + spread[..., None] * NORMAL
    learned = paths[..., None] + bands[:, None]
    return tidy(np.where(np.isfinite(bands[:, None]), learned, guess))
