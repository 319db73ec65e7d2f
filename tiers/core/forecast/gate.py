"""Which model is in force for a series: the one that was best on its own past, simpler on ties.

At every origin the mean absolute errors of all models over the outcomes known by then decide, the
last days counting most, by horizon group. The mixture is demoted by itself where it loses.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiers.core.forecast.quantiles import STEPS, Array
from tiers.core.forecast.windows import DAY

# Simplest first: ties go to the earlier.
TITLES: Mapping[str, str] = {
    "last": "last value",
    "day": "same time yesterday",
    "week": "same time last week",
    "mix": "mixture",
}
CANDIDATES = tuple(TITLES)
TIE = 0.01
ROUNDING = 1e-9
# Half a day of origins: with fewer a difference is chance.
MIN_ORIGINS = DAY // 2
_KEEP = 0.5 ** (1 / (3 * DAY))
# Horizon groups in steps: up to two hours, and up to four.
GROUPS: Mapping[str, slice] = {"2h": slice(0, 12), "4h": slice(12, STEPS)}


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """`chosen` (N, O, 2 groups) places in CANDIDATES; the newest `mae` and `known` (C, N, 2)."""

    chosen: NDArray[np.int64]
    mae: Array
    known: Array


def run_gate(paths: Mapping[str, Array], outcome: Array) -> Gate:
    """Choose at consecutive origins, each from errors known by then.

    Args:
        paths: (N, O, 24) of each candidate.
        outcome: (N, O, 24); entry (o, h) is looked at from origin o + h + 1 on.
    """
    losses = np.stack([_just_known_errors(paths[name], outcome) for name in CANDIDATES])
    counted = np.isfinite(losses)
    # Models are compared on what all that have begun could forecast: a gap in one is a gap in all.
    begun = np.cumsum(counted, axis=2) > 0
    common: NDArray[np.bool_] = np.all(counted | ~begun, axis=0)
    losses = np.where(common & counted, losses, 0.0)
    total, weight, known = (np.zeros(losses.shape[:2] + losses.shape[3:]) for _ in range(3))
    level = np.zeros(losses.shape[1:2] + losses.shape[3:])
    chosen = np.zeros(losses.shape[1:], dtype=np.int64)
    for origin in range(outcome.shape[1]):
        fresh = common[:, origin] & counted[:, :, origin]
        total = np.where(fresh, _KEEP * total + losses[:, :, origin], total)
        weight = np.where(fresh, _KEEP * weight + 1, weight)
        known = known + fresh
        chosen[:, origin] = _choose(total / np.maximum(weight, 1e-9), known, level)
    return Gate(chosen, np.where(known > 0, total / np.maximum(weight, 1e-9), np.nan), known)


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


def _choose(mae: Array, known: Array, level: Array) -> NDArray[np.int64]:
    """(N, 2): the simplest candidate within a tie of the best."""
    judged = np.where(known >= MIN_ORIGINS, mae, np.inf)
    best = judged.min(axis=0)
    enough = judged <= best * (1 + TIE) + ROUNDING * np.maximum(level, 1.0)
    first: NDArray[np.int64] = enough.argmax(axis=0)
    return np.where(np.isfinite(best), first, 0)


def reason(gate: Gate, row: int, group: int) -> str:
    """Why the model in force is in force, and why each other is not."""
    horizon = tuple(GROUPS)[group]
    mae, known = gate.mae[:, row, group], gate.known[:, row, group]
    place = int(gate.chosen[row, -1, group]) if gate.chosen.shape[1] else 0
    names = list(TITLES.values())
    if known[place] < MIN_ORIGINS:
        return (
            f"{names[place]} up to {horizon}: only {int(known[place])} past origins to compare on"
        )
    others = [_why_not(names[i], mae[i], mae[place], known[i]) for i in range(len(names))]
    del others[place]
    return f"{names[place]} up to {horizon} over {int(known[place])} past origins; " + "; ".join(
        others
    )


def _why_not(name: str, theirs: float, ours: float, known: float) -> str:
    if known < MIN_ORIGINS:
        return f"{name} not used because it could not be judged"
    if theirs > ours:
        worse = f"{theirs / ours - 1:.0%}" if ours > 0 else "infinitely"
        return f"{name} not used because its error was {worse} higher"
    better = 1 - theirs / ours if ours > 0 else 0.0
    return (
        f"{name} not used because it was only {better:.1%} better, "
        "within the 1 % that goes to the simpler model"
    )
