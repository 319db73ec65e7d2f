"""How good forecasts were: errors, ratios with their uncertainty, losses of quantiles.

Errors are over the whole path to a horizon and weigh every known target alike.
"""

from collections.abc import Mapping

import numpy as np

from tiers.core.forecast.quantiles import LEVELS, MEDIAN, QUANTILES, Array, pinball
from tiers.core.forecast.windows import DAY

DECILES = tuple(i / 10 for i in range(1, 10))
_DECILE_PLACES = [QUANTILES.index(level) for level in DECILES]
BANDS: Mapping[int, int] = {95: 0, 80: QUANTILES.index(0.1), 50: QUANTILES.index(0.25)}


def mean_or_none(values: Array) -> float | None:
    """The mean of what is known."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def ratio(ours: float | None, theirs: float | None) -> float | None:
    """ours / theirs; 1 when both are zero, None when it is not a number."""
    if ours is None or theirs is None:
        return None
    if theirs == 0:
        return 1.0 if ours == 0 else None
    return ours / theirs


def daily_scale(history: Array) -> float | None:
    """MASE's scale: the mean error of "same time yesterday" in sample (Hyndman & Koehler 2006)."""
    if len(history) <= DAY:
        return None
    return mean_or_none(np.abs(history[DAY:] - history[:-DAY])) or None


def wql(values: Array, outcome: Array) -> float | None:
    """Weighted quantile loss over nine deciles: twice the pinball loss over the demand.

    values (…, 15), outcome (…). Source: Salinas et al. 2020, sec. 5.
    """
    known = np.isfinite(outcome) & np.isfinite(values[..., MEDIAN])
    total = float(np.abs(outcome[known]).sum())
    if not total:
        return None
    deciles = values[known][:, _DECILE_PLACES].astype(np.float64)
    loss = pinball(deciles, outcome[known], levels=LEVELS[_DECILE_PLACES].tolist())
    return float(loss.sum() / total)


def ratio_interval(
    ours: Array, theirs: Array, *, random: np.random.Generator, block: int, draws: int = 500
) -> dict[str, float] | None:
    """A 95 % interval of a ratio of sums, by the circular block bootstrap (Politis & Romano 1992).

    Args:
        ours, theirs: (O, H) absolute errors, or other amounts, at origins in order; NaN is left
            out of both.
        block: origins that are drawn together, since neighbours share their outcome; at most a
            third of them, or nothing would vary.
    """
    known = np.isfinite(ours) & np.isfinite(theirs)
    mine = np.where(known, ours, 0.0).sum(axis=1)
    other = np.where(known, theirs, 0.0).sum(axis=1)
    value = ratio(float(mine.sum()), float(other.sum()))
    if value is None or not known.any():
        return None
    count = len(mine)
    size = max(1, min(block, count // 3))
    starts = random.integers(0, count, size=(draws, -(-count // size)))
    drawn = (starts[..., None] + np.arange(size)).reshape(draws, -1)[:, :count] % count
    below = other[drawn].sum(axis=1)
    found = mine[drawn].sum(axis=1)[below > 0] / below[below > 0]
    if not len(found):
        return {"value": value, "low": value, "high": value}
    low, high = np.quantile(found, [0.025, 0.975])
    return {"value": value, "low": float(low), "high": float(high)}
