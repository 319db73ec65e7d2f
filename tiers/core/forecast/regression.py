"""A linear forecast from a series' levels and past days, learned as outcomes become known.

What comes is the last value plus weighted distances to the mean of the last hours and day, to the
same time on past days, and to past days moved to today's level. The weights minimise absolute
errors: squares, each divided by the error it has now (iteratively reweighted least squares, Holland
& Welsch 1977). They are drawn to the weights of all series together, and those to zero, which is
the last value (ridge; partial pooling as in Gelman & Hill 2007): loosely in one path, firmly in
the other. On a short noisy history the second is right, on a steady one the first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tiers.core.forecast.features import HOUR, SEASONS, SeriesMatrix
from tiers.core.forecast.levels import day_median, mean_of, smoothed, trailing_mean
from tiers.core.forecast.mix import GROUP, GROUPS_OF_STEPS, HOURS, just_known
from tiers.core.forecast.quantiles import STEPS, Array
from tiers.core.forecast.windows import DAY, WEEK, Index, columns


class Pull(NamedTuple):
    """How many outcomes' worth each series is drawn to all, and all to the last value."""

    to_all: float
    to_last: float


PULLS: Mapping[str, Pull] = {"fitted": Pull(100, 100), "pooled": Pull(1000, 300)}
FEATURES = 11
_KEEP = 0.5 ** (1 / (4 * DAY))
_REFRESH = 6  # steps between two fits
_SMALL = 0.5  # of the usual error: smaller errors weigh no more than this one
_SHARED = 10  # so many series teach what is common; more say it again
_FAR = 100.0  # usual errors; what lies further teaches nothing more
_LEAST, _MOST = 0.2, 5.0  # how much a past day's rise or fall is believed
_BLOCK = DAY  # origins whose features are held at a time


def regressed_paths(
    matrix: SeriesMatrix, origins: Index, outcome: Array, usual_error: Array
) -> dict[str, Array]:
    """(N, O, 24) by name at consecutive origins, each from outcomes known by then.

    Args:
        matrix: N series.
        origins: (O,) consecutive columns.
        outcome: (N, O, 24); entry (o, h) is looked at from origin o + h + 1 on.
        usual_error: (N, O) each series' scale as known at each origin.
    """
    paths = {name: np.full(outcome.shape, np.nan) for name in PULLS}
    levels = _Levels.of(matrix.history)
    fit = _Fit(len(outcome))
    last = matrix.fresh[:, origins]
    risen = (outcome - last[..., None]) / usual_error[..., None]
    for start in range(0, len(origins), _BLOCK):
        first = max(0, start - STEPS)
        part = slice(first, min(start + _BLOCK, len(origins)))
        seen = _features(matrix, levels, origins[part], usual_error[:, part])
        for origin in range(start, part.stop):
            for group in range(HOURS):
                earlier, steps = just_known(origin, group)
                if len(earlier):
                    fit.learn(group, seen[:, earlier - first, steps], risen[:, earlier, steps])
            if origin % _REFRESH == 0:
                fit.solve()
            now = seen[:, origin - first]
            for name, weights in fit.weights.items():
                change = np.einsum("nhk,nhk->nh", now, weights[:, GROUPS_OF_STEPS])
                path = last[:, origin, None] + usual_error[:, origin, None] * change
                paths[name][:, origin] = np.maximum(path, 0.0)
    return paths


class _Fit:
    """Weights (N, 4 hours, K) by path, and the sums that they solve."""

    def __init__(self, count: int) -> None:
        shape = (count, HOURS, FEATURES)
        self._squares, self._products = np.zeros((*shape, FEATURES)), np.zeros(shape)
        self.weights: dict[str, Array] = {name: np.zeros(shape) for name in PULLS}

    def learn(self, group: int, seen: Array, risen: Array) -> None:
        """seen (N, J, K) features and risen (N, J) what came, NaN where unknown."""
        known = np.isfinite(risen)
        risen = np.clip(np.where(known, risen, 0.0), -_FAR, _FAR)
        error = np.abs(risen - np.einsum("njk,nk->nj", seen, self.weights["fitted"][:, group]))
        share = known / np.maximum(error, _SMALL) / GROUP
        weighed = seen * share[..., None]
        self._squares[:, group] *= _KEEP
        self._squares[:, group] += np.matmul(np.moveaxis(weighed, 1, 2), seen)
        self._products[:, group] *= _KEEP
        self._products[:, group] += np.einsum("njk,nj->nk", weighed, risen)

    def solve(self) -> None:
        same = np.eye(FEATURES)
        teachers = min(len(self._squares), _SHARED)
        squares, products = self._squares.mean(axis=0), self._products.mean(axis=0)
        for name, pull in PULLS.items():
            common = np.linalg.solve(
                teachers * squares + pull.to_last * same, teachers * products[..., None]
            )[..., 0]
            own = np.linalg.solve(
                self._squares + pull.to_all * same,
                (self._products + pull.to_all * common)[..., None],
            )
            self.weights[name] = own[..., 0].astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Levels:
    """(N, T) means at every column: of the hour, three hours and day up to it, and around it."""

    hour: Array
    three_hours: Array
    day: Array
    smooth: Array

    @classmethod
    def of(cls, history: Array) -> "_Levels":
        hour, three_hours, day = (trailing_mean(history, n) for n in (HOUR, 3 * HOUR, DAY))
        return cls(hour, three_hours, day, smoothed(history))


def _features(matrix: SeriesMatrix, levels: _Levels, origins: Index, usual_error: Array) -> Array:
    """(N, O, 24, K) distances from the last value in usual errors; 0 where unknown."""
    last = matrix.fresh[:, origins, None]
    ahead = origins[:, None] + np.arange(1, STEPS + 1)
    hour, day = levels.hour[:, origins, None], levels.day[:, origins, None]
    days = [columns(levels.smooth, ahead - DAY * back) for back in range(1, SEASONS + 1)]
    thens = [
        columns(levels.hour, origins - DAY * back)[..., None] for back in range(1, SEASONS + 1)
    ]
    mean_day, mean_then = mean_of(days), mean_of(thens)
    distances = [
        hour - last,
        levels.three_hours[:, origins, None] - last,
        day - last,
        day_median(matrix.history, origins)[..., None] - last,
        days[0] - last,
        mean_day - last,
        _moved(hour, days[0], thens[0], day) - last,
        _moved(hour, mean_day, mean_then, day) - last,
        days[0] - thens[0],
        mean_day - mean_then,
        columns(levels.smooth, ahead - WEEK) - last,
    ]
    found = np.empty((len(last), *ahead.shape, FEATURES))
    for place, distance in enumerate(distances):
        scaled = np.clip(distance / usual_error[..., None], -_FAR, _FAR)
        found[..., place] = np.where(np.isfinite(scaled), scaled, 0.0)
    return found


def _moved(hour: Array, ahead: Array, then: Array, day: Array) -> Array:
    """The last hour times a past day's rise; a tenth of a day's mean keeps idle hours calm."""
    calm = 0.1 * day
    with np.errstate(divide="ignore", invalid="ignore"):
        rise = (ahead + calm) / (then + calm)
    moved: Array = np.clip(rise, _LEAST, _MOST) * hour
    return moved
