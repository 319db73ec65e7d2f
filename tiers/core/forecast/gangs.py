"""Demand of training as its known gangs and a forecast of new arrivals only.

A running gang ends when one of the ended gangs that got as old did, drawn at random: one of its own
size, where too few of those got so old of any size, and where still too few it is taken to stay.
What asks beyond the running gangs stays too: when a waiting one begins is not known. New gangs are
those that began in the same hours of an earlier day, drawn whole, so that sizes, lengths and bursts
keep together.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tiers.core.demand.gangs import MIN_RUNS, GangLine
from tiers.core.forecast.quantiles import LEVELS, MEDIAN, STEP_S, STEPS, Array
from tiers.core.forecast.windows import Index

_DAY_S = 86_400.0
_DAYS = 14  # back that new arrivals are drawn from
_DRAWS = 64  # more changes a median by less than a GPU in a hundred


@dataclass(frozen=True, slots=True, eq=False)
class GangRuns:
    """Runs of gangs (G,): GPUs, when each began, ended and must end; infinite where it did not."""

    gpus: Array
    started_s: Array
    ended_s: Array
    deadline_s: Array

    def at(self, now_s: float) -> "GangRuns":
        """What was known then: runs that had begun, and the ends that had come."""
        seen = self.started_s <= now_s
        ended_s = self.ended_s[seen]
        return GangRuns(
            self.gpus[seen],
            self.started_s[seen],
            np.where(ended_s <= now_s, ended_s, np.inf),
            self.deadline_s[seen],
        )


def known_gpus(gpus: Array, ends_s: Array, at_s: Array) -> Array:
    """GPUs of known gangs at times: each asks until its end, for ever where none is known.

    Args:
        gpus: (G,).
        ends_s: (G,), or (G, draws) of possible ends; infinite where nobody knows.
        at_s: (T,).

    Returns:
        (T,), or (draws, T).
    """
    asks = at_s < ends_s[..., None]
    found: Array = np.tensordot(gpus, asks.astype(np.float64), axes=1)
    return found


def listed_gpus(gangs: Iterable[GangLine], at_s: Array) -> Array:
    """(T,) GPUs of listed gangs: those that wait, or whose end nobody knows, throughout."""
    rows = [(g.gpus, np.inf if g.ends_by is None else g.ends_by.timestamp()) for g in gangs]
    gpus, ends_s = np.array(rows, dtype=np.float64).reshape(-1, 2).T
    return known_gpus(gpus, ends_s, at_s)


def gang_quantiles(
    runs: GangRuns,
    now_s: float,
    asked: float,
    *,
    random: np.random.Generator,
    draws: int = _DRAWS,
) -> Array:
    """Quantiles (24, 15) of the GPUs asked for at each step after now.

    Args:
        runs: later ones, and ends after now, are not looked at.
        asked: GPUs asked for now in all; what no running gang holds of them stays.
        random: draws the ends and the arrivals.
    """
    seen = runs.at(now_s)
    running = np.isinf(seen.ended_s)
    steps_s: Array = now_s + STEP_S * np.arange(1.0, STEPS + 1)
    held = seen.gpus[running]
    ends_s = _ends(seen, running, now_s, random, draws)
    total = known_gpus(held, ends_s, steps_s) + max(0.0, asked - float(held.sum()))
    total = total + _arrivals(seen, now_s, random, draws)
    found: Array = np.quantile(total, LEVELS, axis=0).T
    return found


def gang_paths(
    runs: GangRuns, asked: Array, times_s: Array, origins: Index, *, random: np.random.Generator
) -> Array:
    """(O, 24) medians at origins, each from what was known then; NaN without a day of runs.

    Args:
        asked: (T,) GPUs asked for, NaN where unknown.
        times_s: (T,) of its columns.
    """
    found = np.full((len(origins), STEPS), np.nan)
    first_s = float(runs.started_s.min(initial=np.inf))
    for place, origin in enumerate(origins):
        now_s, last = float(times_s[origin]), float(asked[origin])
        if now_s - first_s >= _DAY_S and np.isfinite(last):
            found[place] = gang_quantiles(runs, now_s, last, random=random)[:, MEDIAN]
    return found


def _ends(
    seen: GangRuns, running: np.ndarray, now_s: float, random: np.random.Generator, draws: int
) -> Array:
    """(R, draws) seconds at which the running gangs stop asking; infinite where nobody knows."""
    gpus, started_s = seen.gpus[running], seen.started_s[running]
    lengths, sizes = (seen.ended_s - seen.started_s)[~running], seen.gpus[~running]
    found = np.full((len(gpus), draws), np.inf)
    for size in np.unique(gpus):
        alike = np.flatnonzero(gpus == size)
        for past in (np.sort(lengths), np.sort(lengths[sizes == size])):  # its own size has its say
            longer = np.searchsorted(past, now_s - started_s[alike], side="right")
            left = len(past) - longer
            known = left >= MIN_RUNS
            drawn = (random.random((int(known.sum()), draws)) * left[known, None]).astype(np.int64)
            ran_s = past[longer[known, None] + drawn]
            found[alike[known]] = started_s[alike[known], None] + ran_s
    ends_s: Array = np.minimum(found, seen.deadline_s[running, None])
    return ends_s


def _arrivals(seen: GangRuns, now_s: float, random: np.random.Generator, draws: int) -> Array:
    """(draws, 24) GPUs of gangs that come after now: those of the same hours of a past day."""
    days = min(_DAYS, int((now_s - seen.started_s.min(initial=now_s)) // _DAY_S))
    if not days:
        return np.zeros((draws, STEPS))
    back = ((now_s - seen.started_s) // _DAY_S).astype(np.int64) + 1
    since_s = seen.started_s - (now_s - back * _DAY_S)
    steps_s = STEP_S * np.arange(1, STEPS + 1)
    came = (back <= days) & (since_s < steps_s[-1])
    since_s = since_s[came, None]
    # One that still runs has run longer than the rest of the path.
    ran_s = (seen.ended_s - seen.started_s)[came, None]
    asks = (steps_s > since_s) & (steps_s < since_s + ran_s)
    by_day = np.zeros((days, STEPS))
    np.add.at(by_day, back[came] - 1, seen.gpus[came, None] * asks)
    drawn: Array = by_day[random.integers(0, days, size=draws)]
    return drawn
