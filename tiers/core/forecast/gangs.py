"""Demand of training as its known gangs and a forecast of new arrivals only.

A running gang ends when one of the ended gangs that got as old did, drawn at random; where too few
got so old it is taken to stay. A waiting gang stays too: when it begins is not known. New gangs are
those that came in the same hours of an earlier day, drawn whole, so that sizes, lengths and bursts
keep together. Nothing here waits: demand is what asks, running and pending alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tiers.core.demand.gangs import MIN_RUNS
from tiers.core.forecast.quantiles import LEVELS, STEP_S, STEPS, Array

_DAY_S = 86_400.0
_DAYS = 14  # back that new arrivals are drawn from
_DRAWS = 400


@dataclass(frozen=True, slots=True)
class KnownGang:
    """A gang that asks for GPUs now; `started_s` None while it waits."""

    gpus: float
    started_s: float | None
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True)
class PastGang:
    """A gang of the history: when it first asked and how long it ran, None while it still does."""

    gpus: float
    asked_s: float
    ran_s: float | None


def gang_quantiles(
    known: Sequence[KnownGang],
    past: Sequence[PastGang],
    now_s: float,
    *,
    random: np.random.Generator,
    draws: int = _DRAWS,
) -> Array:
    """Quantiles (24, 15) of the GPUs asked for at each step after now.

    Args:
        known: what asks now.
        past: gangs that asked before now; later ones are not looked at.
        random: draws the ends and the arrivals.
    """
    before = [gang for gang in past if gang.asked_s < now_s]
    lengths = np.sort([g.ran_s for g in before if g.ran_s is not None])
    steps_s = now_s + STEP_S * np.arange(1, STEPS + 1)
    total = np.zeros((draws, STEPS))
    for gang in known:
        ends_s = _ends(gang, lengths, now_s, random, draws)
        total += gang.gpus * (steps_s < ends_s[:, None])
    total += _arrivals(before, now_s, random, draws)
    found: Array = np.quantile(total, LEVELS, axis=0).T
    return found


def _ends(
    gang: KnownGang, lengths: Array, now_s: float, random: np.random.Generator, draws: int
) -> Array:
    """(draws,) seconds at which a known gang stops asking; infinite where nobody knows."""
    found = np.full(draws, np.inf)
    if gang.started_s is not None:
        longer = lengths[np.searchsorted(lengths, now_s - gang.started_s, side="right") :]
        if len(longer) >= MIN_RUNS:
            found = gang.started_s + random.choice(longer, size=draws)
    return found if gang.deadline_s is None else np.minimum(found, gang.deadline_s)


def _arrivals(
    past: Sequence[PastGang], now_s: float, random: np.random.Generator, draws: int
) -> Array:
    """(draws, 24) GPUs of gangs that come after now: those of the same hours of a past day."""
    first_s = min((gang.asked_s for gang in past), default=now_s)
    days = min(_DAYS, int((now_s - first_s) // _DAY_S))
    if not days:
        return np.zeros((draws, STEPS))
    by_day = np.zeros((days, STEPS))
    steps_s = STEP_S * np.arange(1, STEPS + 1)
    for gang in past:
        back = int((now_s - gang.asked_s) // _DAY_S) + 1
        since_s = gang.asked_s - (now_s - back * _DAY_S)
        if back > days or since_s >= steps_s[-1]:
            continue
        # One that still runs has run longer than the rest of the path.
        ran_s = np.inf if gang.ran_s is None else gang.ran_s
        by_day[back - 1] += gang.gpus * ((steps_s > since_s) & (steps_s < since_s + ran_s))
    return by_day[random.integers(0, days, size=draws)]
