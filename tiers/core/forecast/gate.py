"""Which model is in force for a series: the one that was best on its own past, simpler on ties.

Models are compared on rolling origins, hourly over the last three days, on the targets that all of
them could forecast. A learned model is judged only on days that it was not trained on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiers.core.forecast.quantiles import MEDIAN, STEPS, Array, pinball
from tiers.core.forecast.windows import DAY

EVALUATION_STEPS = 3 * DAY
ORIGIN_STRIDE = 6
TIE = 0.01
ROUNDING = 1e-9
# Half a day of hourly origins: with fewer a difference is chance.
MIN_ORIGINS = 12
# Horizon groups in steps: up to two hours, and up to four.
GROUPS: Mapping[str, slice] = {"2h": slice(0, 12), "4h": slice(12, STEPS)}


@dataclass(frozen=True, slots=True)
class Score:
    """A model's errors on past origins, in the unit of the series."""

    pinball: float
    mae: float
    origins: int


@dataclass(frozen=True, slots=True)
class Choice:
    """The model in force for one horizon group, why, and every candidate's errors."""

    model: str
    reason: str
    scores: Mapping[str, Score]


def evaluation_origins(length: int) -> NDArray[np.int64]:
    """Past origins whose whole outcome lies in the history, newest first. `length` in steps.

    At most the newer half of a short history: the older half is what bands are learned from.
    """
    newest = length - 1 - STEPS
    oldest = max(length // 2, newest - EVALUATION_STEPS + ORIGIN_STRIDE)
    return np.arange(newest, oldest - 1, -ORIGIN_STRIDE, dtype=np.int64)


def choose(
    candidates: Sequence[tuple[str, str, Array | None]], outcome: Array, *, horizon: str
) -> Choice:
    """Choose for one series and horizon group.

    Args:
        candidates: (name, title, (O, H, 15) quantiles or None when there is no such model),
            simplest first; NaN where a model could not forecast.
        outcome: (O, H) what happened.
        horizon: the group's name, for the reason.

    Returns:
        The choice; the first candidate when there is too little past to compare on.
    """
    usable = [(n, t, v) for n, t, v in candidates if v is not None and _covers(v, outcome)]
    absent = [t for n, t, v in candidates if n not in {name for name, _, _ in usable}]
    simplest, simplest_title, _ = candidates[0]
    common = np.isfinite(outcome)
    for _, _, values in usable:
        common &= np.isfinite(values).all(axis=-1)
    origins = int(common.any(axis=1).sum())
    if origins < MIN_ORIGINS:
        reason = f"{simplest_title} up to {horizon}: only {origins} past origins to compare on"
        return Choice(simplest, reason, {})
    scores = {name: _score(values, outcome, common, origins) for name, _, values in usable}
    best = min(score.pinball for score in scores.values())
    # Beside 1 %, differences far below the level are rounding, not skill.
    enough = best * (1 + TIE) + ROUNDING * float(np.abs(outcome[common]).mean())
    chosen = next(name for name, _, _ in usable if scores[name].pinball <= enough)
    titles = {name: title for name, title, _ in usable}
    return Choice(chosen, _reason(chosen, scores, titles, absent, horizon), scores)


def _covers(values: Array, outcome: Array) -> bool:
    """Whether the model could forecast at least half of what happened."""
    happened = np.isfinite(outcome)
    forecast = np.isfinite(values).all(axis=-1) & happened
    return bool(forecast.sum() * 2 >= max(1, happened.sum()))


def _score(values: Array, outcome: Array, common: NDArray[np.bool_], origins: int) -> Score:
    loss = pinball(values[common], outcome[common])
    error = np.abs(values[common][:, MEDIAN] - outcome[common])
    return Score(pinball=float(loss.mean()), mae=float(error.mean()), origins=origins)


def _reason(
    chosen: str,
    scores: Mapping[str, Score],
    titles: Mapping[str, str],
    absent: Sequence[str],
    horizon: str,
) -> str:
    ours = scores[chosen].pinball
    others = [f"{title} not used because it could not be judged" for title in absent]
    for name, score in scores.items():
        if name == chosen:
            continue
        worse = score.pinball / ours - 1 if ours > 0 else np.inf
        why = (
            f"its pinball loss was {worse:.0%} higher"
            if worse > 0
            else f"it was only {-worse:.1%} better, within the 1 % that goes to the simpler model"
        )
        others.append(f"{titles[name]} not used because {why}")
    past = f"over {scores[chosen].origins} past origins"
    return f"{titles[chosen]} up to {horizon} {past}; " + "; ".join(others)
