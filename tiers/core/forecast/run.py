"""Forecasts of all series at once, now: the newest origin of the rolling forecaster.

The learned model comes in as a `Predictor`, so that this module, which pages may import, needs no
torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tiers.core.forecast.conformal import coverage
from tiers.core.forecast.features import SeriesMatrix, prepare
from tiers.core.forecast.gangs import GangRuns, gang_paths
from tiers.core.forecast.gate import (
    CANDIDATES,
    GANGS,
    GROUPS,
    MIN_ORIGINS,
    reason,
    takeover_reason,
)
from tiers.core.forecast.quantiles import MEDIAN, STEP_S, STEPS, Array, Forecast
from tiers.core.forecast.rolling import Rolling, roll
from tiers.core.forecast.windows import DAY, Index, outcomes

MIX = "mix"
# Origins that weights, gate and bands are learned from.
LOOK_BACK = 10 * DAY
# Of the past origins that the network and the gangs are judged on, one in three is asked: more
# costs only time.
STRIDE = 3


class Predictor(Protocol):
    """A learned model, and the time up to which it has seen the series."""

    @property
    def seen_until_s(self) -> float: ...

    def predict(self, matrix: SeriesMatrix, origins: Index) -> Array:
        """(N, O, 24, 15) quantiles; NaN where it cannot forecast."""
        ...


@dataclass(frozen=True, slots=True)
class Score:
    """A model's recent mean absolute error in the unit of the series, over so many origins."""

    mae: float
    origins: int


@dataclass(frozen=True, slots=True, eq=False)
class SeriesForecast:
    """One series' forecast, or None when its newest value is unknown for more than an hour.

    By horizon group ("2h", "4h"): the model in force, the reason in words, and every candidate's
    errors. `coverage_95` is what the 95 % bands that were given out covered over the last days.
    """

    forecast: Forecast | None
    model_in_force: Mapping[str, str]
    reasons: Mapping[str, str]
    errors: Mapping[str, Mapping[str, Score]]
    coverage_95: float | None


def forecast_all(
    history: Array,
    times_s: Array,
    now_s: float,
    *,
    utc_offset_h: Array,
    model: Predictor | None = None,
    gangs: Mapping[int, GangRuns] | None = None,
    random: np.random.Generator | None = None,
) -> list[SeriesForecast]:
    """Forecast N series for the four hours after the newest column that is not after `now_s`.

    Args:
        history: (N, T) on an even ten-minute grid, NaN where nothing is known.
        times_s: (T,) seconds since the epoch.
        now_s: columns later than this are not looked at.
        utc_offset_h: (N,) hours.
        model: the learned model, if there is one.
        gangs: runs of gangs, by row of the history that is their demand in GPUs.
        random: draws ends and arrivals of gangs; needed where there are any.

    Returns:
        N forecasts, in order.

    Raises:
        ValueError: shapes disagree, the grid is not ten minutes, or nothing lies before `now_s`.
    """
    _check(history, times_s, now_s, utc_offset_h)
    length = int(np.searchsorted(times_s, now_s, side="right"))
    matrix = prepare(history[:, :length], times_s[:length], utc_offset_h)
    origins = np.arange(max(0, length - LOOK_BACK), length, dtype=np.int64)
    learned = None if model is None else _learned(model, matrix, origins)
    known = None if not gangs or random is None else _known(gangs, matrix, origins, random)
    rolling = roll(matrix, origins, learned, known)
    happened = outcomes(matrix.history, origins)
    return [_one(row, matrix, rolling, happened) for row in range(len(history))]


def _check(history: Array, times_s: Array, now_s: float, utc_offset_h: Array) -> None:
    if history.ndim != 2 or history.shape != (len(utc_offset_h), len(times_s)):
        raise ValueError("history must be (series, times) with one UTC offset a series")
    if not len(times_s) or times_s[0] > now_s:
        raise ValueError("there is no sample before now")
    if len(times_s) > 1 and not np.allclose(np.diff(times_s), STEP_S):
        raise ValueError(f"times must be {STEP_S} s apart")


def _learned(model: Predictor, matrix: SeriesMatrix, origins: Index) -> Array:
    """Medians, unknown on origins whose outcome the model may have been trained on."""
    found = np.full((len(matrix.history), len(origins), STEPS), np.nan)
    unseen = np.flatnonzero(matrix.times_s[origins] >= model.seen_until_s)
    asked = unseen[::-1][::STRIDE]
    if len(asked):
        found[:, asked] = model.predict(matrix, origins[asked])[..., MEDIAN]
    return found


def _known(
    gangs: Mapping[int, GangRuns], matrix: SeriesMatrix, origins: Index, random: np.random.Generator
) -> Array:
    """Medians of the rows whose gangs are known; the newest origin is always asked."""
    found = np.full((len(matrix.history), len(origins), STEPS), np.nan)
    asked = np.arange(len(origins))[::-1][::STRIDE]
    for row, runs in gangs.items():
        found[row, asked] = gang_paths(
            runs, matrix.fresh[row], matrix.times_s, origins[asked], random=random
        )
    return found


def _one(row: int, matrix: SeriesMatrix, rolling: Rolling, happened: Array) -> SeriesForecast:
    values = rolling.values[row, -1].astype(np.float64)
    chosen = {
        horizon: CANDIDATES[rolling.gate.chosen[row, -1, place]]
        for place, horizon in enumerate(GROUPS)
    }
    if rolling.takeover is not None:
        taken = rolling.takeover.chosen[row, -1]
        chosen |= {h: GANGS for place, h in enumerate(GROUPS) if taken[place]}
    names = ", ".join(dict.fromkeys(chosen.values()))
    forecast = Forecast(values, names, float(matrix.times_s[-1]))
    judged = rolling.values[row, MIN_ORIGINS:][-3 * DAY :]
    return SeriesForecast(
        forecast=forecast if np.isfinite(values).all() else None,
        model_in_force=chosen,
        reasons={h: _reason(rolling, row, place) for place, h in enumerate(GROUPS)},
        errors={h: _errors(rolling, row, place) for place, h in enumerate(GROUPS)},
        coverage_95=coverage(judged, happened[row, MIN_ORIGINS:][-3 * DAY :]),
    )


def _reason(rolling: Rolling, row: int, place: int) -> str:
    """What knows gangs first where it is in force, else last."""
    plain = reason(rolling.gate, row, place)
    if rolling.takeover is None or not (words := takeover_reason(rolling.takeover, row, place)):
        return plain
    first = rolling.takeover.chosen[row, -1, place]
    return f"{words}; else {plain}" if first else f"{plain}; {words}"


def _errors(rolling: Rolling, row: int, place: int) -> dict[str, Score]:
    mae, known = rolling.gate.mae[:, row, place], rolling.gate.known[:, row, place]
    found = {
        name: Score(mae=float(mae[i]), origins=int(known[i]))
        for i, name in enumerate(CANDIDATES)
        if known[i] > 0
    }
    gangs = rolling.takeover
    if gangs is not None and gangs.known[row, place] > 0:
        found[GANGS] = Score(float(gangs.mae[row, place]), int(gangs.known[row, place]))
    return found
