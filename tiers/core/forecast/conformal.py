"""Bands scaled so that they would have covered the past as they claim: split conformal.

The score of an outcome is how far it lies beyond the median in units of the 95 % band's half on
its side; the scale is the finite-sample 95 % quantile of the scores (Vovk et al. 2005; scaled
scores as Lei et al. 2018). It assumes that tomorrow's errors look like those of the last days;
drifting ones need the online version.
"""

import math

import numpy as np

from tiers.core.forecast.quantiles import MEDIAN, Array, tidy

COVERAGE = 0.95
LOWEST, HIGHEST = 0.5, 4.0
MIN_SCORES = 40


def band_scale(values: Array, outcome: Array) -> float:
    """The factor on the distance from the median that makes 95 % bands cover 95 %.

    Args:
        values: (M, 15) past quantiles.
        outcome: (M,) what happened; NaN is left out.

    Returns:
        A factor in [0.5, 4]; 1 when there are fewer than 40 outcomes.
    """
    scores = _scores(values, outcome)
    if len(scores) < MIN_SCORES:
        return 1.0
    rank = min(len(scores), math.ceil((len(scores) + 1) * COVERAGE))
    return float(np.clip(np.sort(scores)[rank - 1], LOWEST, HIGHEST))


def scaled(values: Array, scale: float) -> Array:
    """Quantiles (…, 15) stretched about their median."""
    middle = values[..., MEDIAN, None]
    return tidy(middle + scale * (values - middle))


def coverage(values: Array, outcome: Array) -> float | None:
    """The share of known outcomes within the 95 % band; None when none is known."""
    known = np.isfinite(outcome) & np.isfinite(values).all(axis=-1)
    if not known.any():
        return None
    inside = (outcome >= values[..., 0]) & (outcome <= values[..., -1])
    return float(inside[known].mean())


def held_out_coverage(values: Array, outcome: Array) -> float | None:
    """Coverage of the newer half of the origins with the scale learned on the older half.

    Args:
        values: (O, H, 15), newest origin first.
        outcome: (O, H).
    """
    half = len(values) // 2
    newer, older = slice(0, half), slice(half, None)
    factor = band_scale(values[older].reshape(-1, values.shape[-1]), outcome[older].ravel())
    return coverage(scaled(values[newer], factor), outcome[newer])


def _scores(values: Array, outcome: Array) -> Array:
    known = np.isfinite(outcome) & np.isfinite(values).all(axis=-1)
    values, outcome = values[known], outcome[known]
    middle = values[:, MEDIAN]
    half = np.where(outcome >= middle, values[:, -1] - middle, middle - values[:, 0])
    distance = np.abs(outcome - middle)
    # A band without width covers only an exact hit.
    return np.where(distance == 0, 0.0, distance / np.maximum(half, 1e-12))
