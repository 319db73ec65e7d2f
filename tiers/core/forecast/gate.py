"""Which model is in force for a series: the mixture, unless a naive one is as good with confidence.

At every origin each naive model is compared with the mixture on the outcomes known by then, the
last days counting most, by horizon group. It is in force where its error, plus what chance may add
to the difference, is at most one percent above the mixture's: a test of non-inferiority, so that
chance demotes nothing, and a mixture that loses is demoted by itself.

What knows gangs (gangs.py) is judged the other way round, against what is in force: it takes over
where its error, plus a standard error of the difference, is still the lower one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiers.core.forecast.quantiles import STEPS, Array
from tiers.core.forecast.windows import DAY, WEEK

# Simplest first: ties go to the earlier.
TITLES: Mapping[str, str] = {
    "last": "last value",
    "day": "same time yesterday",
    "week": "same time last week",
    "mix": "mixture",
    "gangs": "known gangs and arrivals",
}
GANGS = "gangs"
CANDIDATES = tuple(name for name in TITLES if name != GANGS)
TIE = 0.01
ROUNDING = 1e-9
_NORMAL = 1.2533  # a normal's standard deviation in units of its mean absolute value
# Half a day of origins: with fewer a difference is chance.
MIN_ORIGINS = DAY // 2
MIN_ORIGINS_OF_MIXTURE = DAY
_KEEP = 0.5 ** (1 / (3 * DAY))
_KEEP_LONG = 0.5 ** (1 / WEEK)
# Horizon groups in steps: up to two hours, and up to four.
GROUPS: Mapping[str, slice] = {"2h": slice(0, 12), "4h": slice(12, STEPS)}


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """`chosen` (N, O, 2 groups) places in CANDIDATES; the newest `mae` and `known` (C, N, 2).

    `against` (C, N, 2) is the mixture's error on the outcomes that the candidate was judged on.
    """

    chosen: NDArray[np.int64]
    mae: Array
    known: Array
    against: Array


def run_gate(paths: Mapping[str, Array], outcome: Array) -> Gate:
    """Choose at consecutive origins, each from errors known by then.

    Args:
        paths: (N, O, 24) of each candidate.
        outcome: (N, O, 24); entry (o, h) is looked at from origin o + h + 1 on.
    """
    losses = np.stack([_just_known_errors(paths[name], outcome) for name in CANDIDATES])
    both = np.isfinite(losses) & np.isfinite(losses[-1])
    theirs, ours = np.where(both, losses, 0.0), np.where(both, losses[-1], 0.0)
    total, against, apart, weight, known = (
        np.zeros(losses.shape[:2] + losses.shape[3:]) for _ in range(5)
    )
    chosen = np.zeros(losses.shape[1:], dtype=np.int64)
    for origin in range(outcome.shape[1]):
        fresh = both[:, :, origin]
        keep = np.where(fresh, _KEEP, 1.0)
        total = keep * total + theirs[:, :, origin]
        against = keep * against + ours[:, :, origin]
        apart = keep * apart + np.abs(theirs[:, :, origin] - ours[:, :, origin])
        weight = keep * weight + fresh
        known = known + fresh
        count = np.maximum(weight, 1e-9)
        chosen[:, origin] = _choose(total / count, against / count, apart / count, known, weight)
    count = np.where(known > 0, np.maximum(weight, 1e-9), np.nan)
    return Gate(chosen, total / count, known, against / count)


@dataclass(frozen=True, slots=True, eq=False)
class Takeover:
    """Where a path replaces what is in force: `chosen` (N, O, 2); the newest figures (N, 2)."""

    chosen: NDArray[np.bool_]
    mae: Array
    against: Array
    known: Array


def run_takeover(path: Array, instead: Array, outcome: Array) -> Takeover:
    """Compare a path with the one in force at consecutive origins, by errors known by then.

    Args:
        path, instead: (N, O, 24); NaN where the path sleeps.
        outcome: (N, O, 24); entry (o, h) is looked at from origin o + h + 1 on.
    """
    ours, theirs = _just_known_errors(path, outcome), _just_known_errors(instead, outcome)
    both = np.isfinite(ours) & np.isfinite(theirs)
    ours, theirs = np.where(both, ours, 0.0), np.where(both, theirs, 0.0)
    mae, against, squares, weight, known = (np.zeros(ours[:, 0].shape) for _ in range(5))
    chosen = np.zeros(ours.shape, dtype=np.bool_)
    for origin in range(ours.shape[1]):
        fresh = both[:, origin]
        keep = np.where(fresh, _KEEP_LONG, 1.0)
        mae = keep * mae + ours[:, origin]
        against = keep * against + theirs[:, origin]
        squares = keep * squares + (ours[:, origin] - theirs[:, origin]) ** 2
        weight, known = keep * weight + fresh, known + fresh
        count = np.maximum(weight, 1e-9)
        # Squares, so that a few wild hours count against it; errors of one path are one.
        chance = np.sqrt(squares / count) / np.sqrt(np.maximum(weight / STEPS, 1.0))
        better = (mae - against) / count + chance < 0
        chosen[:, origin] = better & (known >= MIN_ORIGINS_OF_MIXTURE)
    count = np.where(known > 0, np.maximum(weight, 1e-9), np.nan)
    return Takeover(chosen, mae / count, against / count, known)


def _just_known_errors(path: Array, outcome: Array) -> Array:
    """(N, O, 2): mean error over the targets whose outcome becomes known at each origin."""
    error = np.abs(path - outcome)
    found = np.full((*error.shape[:2], len(GROUPS)), np.nan)
    for place, steps in enumerate(GROUPS.values()):
        total, count = np.zeros(error.shape[:2]), np.zeros(error.shape[:2])
        for step in range(*steps.indices(STEPS)):
            late = error[:, : -step - 1, step]
            known = np.isfinite(late)
            total[:, step + 1 :] += np.where(known, late, 0.0)
            count[:, step + 1 :] += known
        found[..., place] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return found


def _choose(
    mae: Array, against: Array, apart: Array, known: Array, weight: Array
) -> NDArray[np.int64]:
    """(N, 2): the surest naive candidate that is no worse with confidence, else the mixture."""
    # The standard error of the difference from its mean absolute value: a few wild hours do not
    # hide a model that is always a little better. Errors of one path are one observation.
    chance = _NORMAL * apart / np.sqrt(np.maximum(weight / STEPS, 1.0))
    excess = mae - against + chance
    naive = np.arange(len(CANDIDATES))[:, None, None] < len(CANDIDATES) - 1
    equal = excess <= TIE * against + ROUNDING * np.maximum(mae, 1.0)
    excess = np.where(naive & equal & (known >= MIN_ORIGINS), excess, np.inf)
    best = excess.min(axis=0)
    first = (excess <= best + TIE * mae[0] + ROUNDING).argmax(axis=0)
    found: NDArray[np.int64] = np.where(np.isfinite(best), first, len(CANDIDATES) - 1)
    # Weights that have not seen a whole day lose to the last value more often than they win.
    return np.where(known[-1] >= MIN_ORIGINS_OF_MIXTURE, found, 0)


def takeover_reason(takeover: Takeover, row: int, group: int) -> str:
    """Why what knows gangs is in force, or is not; empty where no gang is known."""
    mae, against, known = (
        float(part[row, group]) for part in (takeover.mae, takeover.against, takeover.known)
    )
    if not known:
        return ""
    if takeover.chosen[row, -1, group]:
        return (
            f"{TITLES[GANGS]} up to {tuple(GROUPS)[group]}, beside the other paths: error "
            f"{1 - mae / against:.1%} lower over {int(known)} past origins than without"
        )
    if known < MIN_ORIGINS_OF_MIXTURE:
        why = f"only {int(known)} past origins judge it"
    elif mae >= against:
        why = f"its error was {mae / against - 1:.1%} higher" if against else "it erred"
    else:
        why = f"it was only {1 - mae / against:.1%} better, which may be chance"
    return f"{TITLES[GANGS]} not used because {why}"


def reason(gate: Gate, row: int, group: int) -> str:
    """Why the model in force is in force, and why each other is not."""
    horizon = tuple(GROUPS)[group]
    known = gate.known[:, row, group]
    place = int(gate.chosen[row, -1, group]) if gate.chosen.shape[1] else 0
    names = [TITLES[name] for name in CANDIDATES]
    if known[-1] < MIN_ORIGINS_OF_MIXTURE:
        return f"{names[place]} up to {horizon}: only {int(known[-1])} past origins to compare on"
    others = [_why_not(gate, i, place, row, group) for i in range(len(names)) if i != place]
    return f"{names[place]} up to {horizon} over {int(known[place])} past origins; " + "; ".join(
        others
    )


def _why_not(gate: Gate, other: int, place: int, row: int, group: int) -> str:
    name = TITLES[CANDIDATES[other]]
    if gate.known[other, row, group] < MIN_ORIGINS:
        return f"{name} not used because it could not be judged"
    theirs, ours = _compared(gate, other, place, row, group)
    if theirs >= ours:
        worse = f"{theirs / ours - 1:.0%}" if ours > 0 else "infinitely"
        return f"{name} not used because its error was {worse} higher"
    better = f"{name} not used because it was only {1 - theirs / ours:.1%} better, "
    if place == len(CANDIDATES) - 1:
        return better + "which may be chance"
    return better + "within the 1 % that goes to the simpler model"


def _compared(gate: Gate, other: int, place: int, row: int, group: int) -> tuple[float, float]:
    """Errors of two candidates in units of the mixture's, where one of them is the mixture."""
    mae, against = gate.mae[:, row, group], gate.against[:, row, group]
    if against[other] <= 0 or against[place] <= 0:
        return float(mae[other]), float(mae[place])
    return float(mae[other] / against[other]), float(mae[place] / against[place])
