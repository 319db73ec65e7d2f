"""Bands that follow their own misses: online conformal quantiles, by series and hour ahead.

An error is measured in units of the series' recent mean error at that hour, between that of the
last hours and that of the last week, so that a burst widens the band soon and does not keep it
wide. Its quantiles over the last week, own and siblings', are the band, taken as far out as so few
independent errors demand; every quantile is then moved by a tracked offset, up when outcomes pass
it too often and down when too seldom (quantile tracking: Gibbs & Candès 2021; Angelopoulos, Candès
& Tibshirani 2023). An error counts once its outcome is known.
"""

import numpy as np

from tiers.core.forecast.mix import GROUP, just_known
from tiers.core.forecast.quantiles import LEVELS, MEDIAN, STEPS, Array, quantiles_of, tidy
from tiers.core.forecast.windows import DAY, WEEK

_HOURS = STEPS // GROUP
_KEEP = np.array([0.5 ** (1 / (DAY // 4)), 0.5 ** (1 / WEEK)])[:, None]
_TRACK = 0.03
_REACH = 0.5  # added to a quantile's distance when it moves: the inner ones must move as well
_YOUNG = 2.0  # as much wider at the start: the steepest hours of a day may be still to come
_INWARD = 0.9  # of a quantile's distance: offsets never close the band
_REFRESH = 6  # steps between two looks at the errors of the week
_STRIDE = 3
_FIRST_WEIGHT = 8.0  # independent errors that the first guess weighs
_SIBLING_ERRORS = 30  # the siblings' quantiles weigh as much as so many own errors
_UPPER = np.arange(len(LEVELS)) > MEDIAN


def calibrated(path: Array, outcome: Array, usual_error: Array) -> Array:
    """Quantiles around a path at consecutive origins, each from errors known by then.

    Args:
        path: (N, O, 24); its values become the medians.
        outcome: (N, O, 24); entry (o, h) is looked at from origin o + h + 1 on.
        usual_error: (N, O) scale before errors of the path itself are known.

    Returns:
        (N, O, 24, 15) float32, ordered and not negative; NaN where the path is.
    """
    count, origins = path.shape[:2]
    values = np.full((*path.shape, len(LEVELS)), np.nan, dtype=np.float32)
    scores = np.full(path.shape, np.nan)  # errors in units of the spread of their own origin
    spread = _Spread(usual_error[:, 0])
    offset = np.zeros((count, _HOURS, len(LEVELS)))
    base = np.zeros((count, _HOURS, len(LEVELS)))
    used, young = np.full(path.shape, np.nan), np.zeros(path.shape)
    for origin in range(origins):
        for group in range(_HOURS):
            earlier, steps = just_known(origin, group)
            if len(earlier):
                error = outcome[:, earlier, steps] - path[:, earlier, steps]
                scores[:, earlier, steps] = error / used[:, earlier, steps]
                spread.learn(group, np.abs(error))
                missed = _missed(values[:, earlier, steps], outcome[:, earlier, steps])
                offset[:, group] = _moved(offset[:, group], base[:, group], missed)
        if origin % _REFRESH == 0:
            base = _base(scores, origin)
        now = spread.at(usual_error[:, origin])
        used[:, origin] = np.repeat(now, GROUP, axis=1)
        young[:, origin] = np.repeat(spread.unseen(), GROUP, axis=1)
        distance = np.repeat((base + offset) * now[..., None], GROUP, axis=1)
        values[:, origin] = _around(path[:, origin], distance)
    first = young.any(axis=(0, 2))  # widened last, so that what is tracked stays as it was learned
    given = values[:, first]
    middle = given[..., MEDIAN : MEDIAN + 1]
    wider = (given - middle) * (1.0 + _YOUNG * young[:, first, :, None])
    values[:, first] = np.maximum(middle + wider, 0.0)
    return values


def _moved(offset: Array, base: Array, missed: Array) -> Array:
    reach = np.abs(base)
    moved = offset + _TRACK * (reach + _REACH) * missed
    inward = _INWARD * reach
    found: Array = np.where(_UPPER, np.maximum(moved, -inward), np.minimum(moved, inward))
    return found


class _Spread:
    """Each series' mean absolute error by hour ahead: of about the last six hours, and the week."""

    def __init__(self, guess: Array) -> None:
        self._total = np.zeros((len(_KEEP), len(guess), _HOURS))
        self._count = np.zeros((len(_KEEP), len(guess), _HOURS))
        self._seen = np.zeros((len(guess), _HOURS))

    def learn(self, group: int, errors: Array) -> None:
        known = np.isfinite(errors)
        share = known.mean(axis=1)
        error = np.where(known, errors, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        keep = np.where(share > 0, _KEEP, 1.0)
        self._total[..., group] = keep * self._total[..., group] + share * error
        self._count[..., group] = keep * self._count[..., group] + share
        self._seen[:, group] += share

    def at(self, guess: Array) -> Array:
        """(N, 4) geometric mean of both; the guess counts as a quarter of a day of errors."""
        few = DAY / 4
        found = (self._total + few * guess[:, None]) / (self._count + few)
        both: Array = np.exp(np.log(np.maximum(found, 1e-9)).mean(axis=0))
        return both

    def unseen(self) -> Array:
        """(N, 4) share of the first day that is still to come."""
        found: Array = np.maximum(0.0, 1.0 - self._seen / DAY)
        return found


def _missed(values: Array, outcome: Array) -> Array:
    """(N, 15): level less the share of outcomes at or below the quantile; 0 where unknown.

    An outcome that equals a quantile is inside the band: idle series touch zero all day.
    """
    known = (np.isfinite(outcome) & np.isfinite(values[..., 0]))[..., None]
    seen = outcome[..., None]
    below = (seen < values) | ((seen == values) & (_UPPER))
    found: Array = np.where(known, LEVELS - below, 0.0).mean(axis=1)
    return found


def _base(scores: Array, origin: int) -> Array:
    """(N, 4, 15) quantiles of the week's errors; the siblings' where there are few."""
    count = len(scores)
    recent = scores[:, max(0, origin - WEEK) : origin : _STRIDE]
    hours = recent.reshape(count, recent.shape[1], _HOURS, GROUP)
    errors = np.moveaxis(hours, 2, 1).reshape(count, _HOURS, -1)
    known = np.isfinite(errors).sum(axis=-1)[..., None]
    # Errors at a lead of h steps hang together over h steps: a week holds few that are their own.
    really = known * _STRIDE / GROUP / (GROUP * np.arange(1, _HOURS + 1)[:, None])
    own = quantiles_of(errors, axis=-1, levels=_levels_for(really))
    sample = np.moveaxis(errors, 0, 1)[..., :: max(1, count // 10)].reshape(_HOURS, -1)
    siblings = quantiles_of(sample, axis=-1, levels=_levels_for(really.sum(axis=0)))
    siblings = np.where(np.isfinite(siblings), siblings, _FIRST_SCORES)
    weight = known / (known + _SIBLING_ERRORS)
    learned = weight * np.where(known > 0, own, 0.0) + (1 - weight) * siblings
    found: Array = (really * learned + _FIRST_WEIGHT * _FIRST_SCORES) / (really + _FIRST_WEIGHT)
    return found


def _levels_for(number: Array) -> Array:
    """(…, 15) levels at which so many independent errors cover the next as LEVELS say.

    The k-th of n errors lies above the next one k times in n + 1, so tails are taken further out
    (split conformal prediction: Vovk et al. 2005, ch. 2), at most to the largest error.
    """
    count = np.maximum(number, 2.0)
    found: Array = np.clip((LEVELS * (count + 1) - 1) / (count - 1), 0.0, 1.0)
    return found


# Before anything is known: the quantiles of Student's t with four degrees of freedom, whose mean
# absolute value is one.
_FIRST_SCORES = np.array(
    [-2.776, -2.132, -1.533, -0.941, -0.741, -0.569, -0.271, 0, 0.271, 0.569, 0.741, 0.941, 1.533,
     2.132, 2.776]
)  # fmt: skip


def _around(path: Array, distance: Array) -> Array:
    """The median stays the path; the others stay on their side of it."""
    distance[..., :MEDIAN] = np.minimum(distance[..., :MEDIAN], 0.0)
    distance[..., MEDIAN + 1 :] = np.maximum(distance[..., MEDIAN + 1 :], 0.0)
    distance[..., MEDIAN] = 0.0
    return tidy(path[..., None] + distance)


def coverage(values: Array, outcome: Array, *, low: int = 0) -> float | None:
    """The share of known outcomes between quantile `low` and its mirror; None when none is known.

    By default the 95 % band. values (…, 15), outcome (…).
    """
    known = np.isfinite(outcome) & np.isfinite(values).all(axis=-1)
    if not known.any():
        return None
    inside = (outcome >= values[..., low]) & (outcome <= values[..., -1 - low])
    return float(inside[known].mean())
