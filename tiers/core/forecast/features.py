"""What the learned models see of a series at an origin, scale-free.

A window is the last 24 hours, the mean of the days before at the hours to come, the same four hours
a week ago, how much of it was missing, and the local time. Values are divided by the mean of the 24
hours and centred on the last value, so that one model serves a series of 2 GPUs and one of 2,000
requests/s.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiers.core.forecast.quantiles import STEP_S, STEPS, Array
from tiers.core.forecast.windows import DAY, WEEK, Index, fill_forward

CONTEXT = DAY
HOUR = 6  # steps; missing shares are by the hour
SEASONS = 7  # days whose mean at the hours to come is shown
# 144 values, 24 shares missing, the mean day and last week (24 values and 1 share each),
# 4 waves, 7 days, scale hints 2
FEATURES = CONTEXT + CONTEXT // HOUR + 2 * (STEPS + 1) + 4 + 7 + 2
_DAY_S = 86_400
_MONDAY_S = 4 * _DAY_S  # 1970-01-05


@dataclass(frozen=True, slots=True, eq=False)
class SeriesMatrix:
    """N series on one grid. `filled` has gaps up to a day closed from the past, for looking back;
    `fresh` only up to an hour: a forecast needs a last value that young."""

    history: Array
    filled: Array
    fresh: Array
    times_s: Array
    utc_offset_s: Array

    def until(self, column: int) -> "SeriesMatrix":
        """What was known at a column: nothing after it."""
        seen = slice(0, column + 1)
        return SeriesMatrix(
            history=self.history[:, seen],
            filled=self.filled[:, seen],
            fresh=self.fresh[:, seen],
            times_s=self.times_s[seen],
            utc_offset_s=self.utc_offset_s,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """B windows: `inputs` (B, F) float32, and `last`, `scale` (B,) that undo the scaling.

    `last` is NaN where there is no fresh last value: no forecast can be made there.
    """

    inputs: NDArray[np.float32]
    last: Array
    scale: Array


def prepare(history: Array, times_s: Array, utc_offset_h: Array) -> SeriesMatrix:
    """(N, T) series at (T,) times, with each series' UTC offset (N,) in hours."""
    return SeriesMatrix(
        history=history,
        filled=fill_forward(history, limit=DAY),
        fresh=fill_forward(history),
        times_s=times_s,
        utc_offset_s=utc_offset_h * 3600.0,
    )


def windows(matrix: SeriesMatrix, rows: Index, origins: Index) -> Windows:
    """What the models see of series `rows` (B,) at `origins` (B,); only columns ≤ origin."""
    back = origins[:, None] + np.arange(1 - CONTEXT, 1)
    context, known = _look(matrix, rows, back)
    last = matrix.fresh[rows, origins]
    scale = _scale(context)
    centre = np.where(np.isfinite(last), last, 0.0)
    ahead = origins[:, None] + np.arange(1, STEPS + 1)
    mean_day, days_known = _mean_day(matrix, rows, ahead)
    week, week_known = _look(matrix, rows, ahead - WEEK)
    missing = 1.0 - known.reshape(len(rows), -1, HOUR).mean(axis=2)
    inputs = np.concatenate(
        [
            _relative(context, centre, scale),
            missing,
            _relative(mean_day, centre, scale),
            days_known,
            _relative(week, centre, scale),
            1.0 - week_known.mean(axis=1, keepdims=True),
            _clock(matrix, rows, origins),
            np.minimum(centre / scale, 10.0)[:, None],
            _roughness(context, scale)[:, None],
        ],
        axis=1,
    )
    return Windows(inputs.astype(np.float32), last, scale)


def _look(matrix: SeriesMatrix, rows: Index, places: Index) -> tuple[Array, Array]:
    """(B, W) filled values and whether each was really known."""
    inside = places >= 0
    clipped = np.maximum(places, 0)
    found = np.where(inside, matrix.filled[rows[:, None], clipped], np.nan)
    known = inside & np.isfinite(matrix.history[rows[:, None], clipped])
    return found, known.astype(np.float64)


def _mean_day(matrix: SeriesMatrix, rows: Index, ahead: Index) -> tuple[Array, Array]:
    """(B, 24) mean of the same time on the days before, and (B, 1) the share of days known."""
    total, count = np.zeros(ahead.shape), np.zeros(ahead.shape)
    for day in range(1, SEASONS + 1):
        places = ahead - day * DAY
        found = matrix.history[rows[:, None], np.maximum(places, 0)]
        known = (places >= 0) & np.isfinite(found)
        total += np.where(known, found, 0.0)
        count += known
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean, count.mean(axis=1, keepdims=True) / SEASONS


def _scale(context: Array) -> Array:
    known = np.isfinite(context)
    total = np.where(known, np.abs(context), 0.0).sum(axis=1)
    mean: Array = total / np.maximum(known.sum(axis=1), 1)
    return np.where(mean > 1e-9, mean, 1.0)


def _relative(values: Array, centre: Array, scale: Array) -> Array:
    """Distances from the last value in units of the scale; unknown counts as no distance."""
    distance = (values - centre[:, None]) / scale[:, None]
    return np.clip(np.where(np.isfinite(distance), distance, 0.0), -10.0, 10.0)


def _roughness(context: Array, scale: Array) -> Array:
    """Mean absolute change from step to step: how noisy the series is."""
    change = np.abs(np.diff(context, axis=1)) / scale[:, None]
    known = np.isfinite(change)
    rough: Array = np.where(known, change, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.minimum(rough, 10.0)


def _clock(matrix: SeriesMatrix, rows: Index, origins: Index) -> Array:
    """Local time of day as two waves, and the day of the week two hours ahead."""
    local_s = matrix.times_s[origins] + matrix.utc_offset_s[rows]
    angle = 2 * np.pi * (local_s % _DAY_S) / _DAY_S
    middle_s = local_s + STEPS // 2 * STEP_S - _MONDAY_S
    day = np.floor(middle_s / _DAY_S).astype(np.int64) % 7
    waves = [np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)]
    return np.concatenate([np.stack(waves, axis=1), np.eye(7)[day]], axis=1)
