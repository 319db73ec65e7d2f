"""A mixture of paths whose weights follow each path's errors: online aggregation of experts.

Exponential weights on linearised absolute errors: a path gains where moving towards it would have
lowered the mixture's error, so the mixture can beat every single path (Cesa-Bianchi & Lugosi 2006,
ch. 2; a rate of its own for each path as in Bernstein online aggregation, Wintenberger 2017;
forgetting, half-life a week). Paths that
cannot forecast sleep: they neither gain nor lose. Errors of sibling series count half as much as
a series' own, so a short history begins with what served its siblings.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tiers.core.forecast.quantiles import STEPS, Array
from tiers.core.forecast.windows import WEEK, Index

GROUP = 6  # steps that share weights: an hour
GROUPS_OF_STEPS = np.arange(STEPS) // GROUP
HOURS = STEPS // GROUP
_RATE = 1.0
_CAUTION = 0.5  # of the second-order term
_SIBLINGS = 1.0
_KEEP = 0.5 ** (1 / WEEK)
_LARGEST = 5.0  # one error counts at most five times the usual one


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """`path` (N, O, 24) and the newest `weights` (N, K, 4 hours) by expert."""

    path: Array
    names: tuple[str, ...]
    weights: Array


def mix(
    paths: Mapping[str, Array], outcome: Array, usual_error: Array, prior: Mapping[str, float]
) -> Mixture:
    """Mix paths at consecutive origins, each with the weights that its past alone gives.

    Args:
        paths: (N, O, 24) by name, NaN where a path sleeps; origin o + 1 is one step after o.
        outcome: (N, O, 24) what happened; entry (o, h) is looked at from origin o + h + 1 on.
        usual_error: (N, O) each series' scale as known at each origin.
        prior: weights before any error is known.
    """
    names = tuple(paths)
    values = np.stack([paths[name] for name in names])
    start = np.array([prior[name] for name in names])[:, None, None]
    shape = (len(names), len(outcome), HOURS)
    regret, energy = np.zeros(shape), np.zeros(shape)
    mixed = np.full(outcome.shape, np.nan)
    weights = np.broadcast_to(start / start.sum(), shape)
    for origin in range(outcome.shape[1]):
        gain = _gain(values, mixed, outcome, usual_error[:, origin], origin)
        regret = _KEEP * regret + gain
        energy = _KEEP * energy + gain * gain
        weights = _weights(start, regret, energy)
        awake = np.isfinite(values[:, :, origin])
        share = weights[:, :, GROUPS_OF_STEPS] * awake
        total = share.sum(axis=0)
        found = (share * np.where(awake, values[:, :, origin], 0.0)).sum(axis=0)
        mixed[:, origin] = np.where(total > 0, found / np.where(total > 0, total, 1), np.nan)
    return Mixture(mixed, names, np.moveaxis(weights, 0, 1))


def just_known(origin: int, group: int) -> tuple[Index, Index]:
    """Earlier origins and steps of one hour whose target is the column of this origin."""
    steps = np.arange(group * GROUP, (group + 1) * GROUP)
    earlier = origin - 1 - steps
    inside = earlier >= 0
    return earlier[inside], steps[inside]


def _gain(values: Array, mixed: Array, outcome: Array, usual: Array, origin: int) -> Array:
    """(K, N, 4): how much each path would have lowered the mixture's error at this column."""
    gain = np.zeros((len(values), len(outcome), HOURS))
    for group in range(HOURS):
        earlier, steps = just_known(origin, group)
        if not len(earlier):
            continue
        ours = mixed[:, earlier, steps]
        slope = np.sign(ours - outcome[:, earlier, steps]) / usual[:, None]
        lower = slope * (ours - values[:, :, earlier, steps])
        lower = np.where(np.isfinite(lower), np.clip(lower, -_LARGEST, _LARGEST), 0.0)
        gain[:, :, group] = lower.mean(axis=2)
    return gain


def _weights(start: Array, regret: Array, energy: Array) -> Array:
    """(K, N, 4): each path learns at the rate its own gains allow.

    A path that is wildly wrong now and then does not slow the choice between two steady ones.
    """
    shared = _with_siblings(regret) / np.sqrt(1 + _SIBLINGS)
    spread = _with_siblings(energy) / (1 + _SIBLINGS)
    rate = np.minimum(1.0, _RATE * np.sqrt(np.log(len(regret) + 1) / np.maximum(spread, 1.0)))
    power = np.log(start * rate) + rate * shared - _CAUTION * rate**2 * spread
    weights = np.exp(power - power.max(axis=0))
    found: Array = weights / weights.sum(axis=0)
    return found


def _with_siblings(sums: Array) -> Array:
    found: Array = sums + _SIBLINGS * sums.mean(axis=1, keepdims=True)
    return found
