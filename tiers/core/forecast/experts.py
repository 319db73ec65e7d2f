"""Paths that a mixture can lean on: held values, past days, and past days moved to today.

Each is a median path only; bands come from the errors of what is in force (conformal.py). All look
at columns up to the origin only: the functions are handed a matrix and gather backwards from it.
"""

from collections.abc import Mapping

import numpy as np

from tiers.core.forecast.features import HOUR, SeriesMatrix
from tiers.core.forecast.levels import day_median, mean_of
from tiers.core.forecast.quantiles import STEPS, Array
from tiers.core.forecast.windows import DAY, WEEK, Index, columns

LEARNED = "learned"
# What each path weighs before any error is known; simple ones first, as ties go to them.
PRIOR: Mapping[str, float] = {
    "last": 0.3, "day": 0.1, "week": 0.1, "hour": 0.1, "day_median": 0.1, "days": 0.1,
    "smooth_day": 0.1, "shifted_day": 0.1, "fitted": 0.3, "pooled": 0.3, LEARNED: 0.3,
    "gangs": 0.3,
}  # fmt: skip
NAIVE = ("last", "day", "week")
_DAYS = 4


def expert_paths(matrix: SeriesMatrix, origins: Index) -> dict[str, Array]:
    """(N, O, 24) by name; NaN where the history does not reach back.

    - last, day, week: the naive rivals. hour: mean of the last hour.
    - day_median: median of the last 24 hours, right for series that are mostly idle.
    - days: mean of the same time on the last four days. smooth_day: yesterday ± 20 minutes.
    - shifted_day: the same, moved by how much the last hour differs from yesterday's.
    """
    history = matrix.history
    ahead = origins[:, None] + np.arange(1, STEPS + 1)
    smooth = mean_of([columns(history, ahead - DAY + shift) for shift in range(-2, 3)])
    newest = [columns(history, origins - back) for back in range(HOUR)]
    day_before = [columns(history, origins - back - DAY) for back in range(HOUR)]
    level = mean_of([now - then for now, then in zip(newest, day_before, strict=True)])
    return {
        "last": _held(matrix.fresh[:, origins]),
        "day": columns(history, ahead - DAY),
        "week": columns(history, ahead - WEEK),
        "hour": _held(mean_of(newest)),
        "day_median": _held(day_median(history, origins)),
        "days": mean_of([columns(history, ahead - DAY * back) for back in range(1, _DAYS + 1)]),
        "smooth_day": smooth,
        "shifted_day": np.maximum(smooth + level[..., None], 0.0),
    }


def _held(values: Array) -> Array:
    return np.repeat(values[..., None], STEPS, axis=-1)
