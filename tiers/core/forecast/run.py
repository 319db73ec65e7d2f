"""Forecasts of all series at once: every model, the gate, the calibration.

The learned model comes in as a `Predictor`, so that this module, which pages may import, needs no
torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tiers.core.forecast.conformal import band_scale, held_out_coverage, scaled
from tiers.core.forecast.features import SeriesMatrix, prepare
from tiers.core.forecast.gate import GROUPS, Choice, Score, choose, evaluation_origins
from tiers.core.forecast.naive import (
    LAST,
    SEASONAL_DAY,
    SEASONAL_WEEK,
    NaiveModel,
    residual_bands,
    with_bands,
)
from tiers.core.forecast.quantiles import STEP_S, STEPS, Array, Forecast, tidy
from tiers.core.forecast.windows import Index, outcomes

TORCH, TORCH_TITLE = "torch", "torch model"
_NAIVE = (LAST, SEASONAL_DAY, SEASONAL_WEEK)


class Predictor(Protocol):
    """A learned model, and the time up to which it has seen the series."""

    @property
    def seen_until_s(self) -> float: ...

    def predict(self, matrix: SeriesMatrix, origins: Index) -> Array:
        """(N, O, 24, 15) quantiles; NaN where it cannot forecast."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class SeriesForecast:
    """One series' forecast, or None when its newest value is unknown for more than an hour.

    By horizon group ("2h", "4h"): the model in force, the reason in words, and every candidate's
    errors. `coverage_95` is what 95 % bands, calibrated on older origins, covered on newer ones.
    """

    forecast: Forecast | None
    model_in_force: Mapping[str, str]
    reasons: Mapping[str, str]
    errors: Mapping[str, Mapping[str, Score]]
    coverage_95: float | None


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """One model's quantiles: `past` (N, O, 24, 15) on the evaluation origins, `now` (N, 24, 15)."""

    name: str
    title: str
    past: Array
    now: Array


def forecast_all(
    history: Array,
    times_s: Array,
    now_s: float,
    *,
    utc_offset_h: Array,
    model: Predictor | None = None,
) -> list[SeriesForecast]:
    """Forecast N series for the four hours after the newest column that is not after `now_s`.

    Args:
        history: (N, T) on an even ten-minute grid, NaN where nothing is known.
        times_s: (T,) seconds since the epoch.
        now_s: columns later than this are not looked at.
        utc_offset_h: (N,) hours.
        model: the learned model, if there is one.

    Returns:
        N forecasts, in order.

    Raises:
        ValueError: shapes disagree, the grid is not ten minutes, or nothing lies before `now_s`.
    """
    _check(history, times_s, now_s, utc_offset_h)
    length = int(np.searchsorted(times_s, now_s, side="right"))
    matrix = prepare(history[:, :length], times_s[:length], utc_offset_h)
    origins = evaluation_origins(length)
    candidates = [_naive(rule, matrix.history, origins) for rule in _NAIVE]
    if model is not None:
        candidates.append(_learned(model, matrix, origins))
    happened = outcomes(matrix.history, origins)
    return [_one(row, matrix, candidates, happened) for row in range(len(history))]


def _check(history: Array, times_s: Array, now_s: float, utc_offset_h: Array) -> None:
    if history.ndim != 2 or history.shape != (len(utc_offset_h), len(times_s)):
        raise ValueError("history must be (series, times) with one UTC offset a series")
    if not len(times_s) or times_s[0] > now_s:
        raise ValueError("there is no sample before now")
    if len(times_s) > 1 and not np.allclose(np.diff(times_s), STEP_S):
        raise ValueError(f"times must be {STEP_S} s apart")


def _naive(rule: NaiveModel, history: Array, origins: Index) -> _Candidate:
    """A naive model; on the evaluation origins its bands know nothing after the oldest of them."""
    newest = np.array([history.shape[1] - 1])
    known_to = int(origins[-1]) if len(origins) else 0
    past_bands = residual_bands(rule, history, known_to=known_to)
    bands = residual_bands(rule, history, known_to=int(newest[0]))
    past = with_bands(rule.paths(history, origins), past_bands)
    now = with_bands(rule.paths(history, newest), bands)
    return _Candidate(rule.name, rule.title, past, now[:, 0])


def _learned(model: Predictor, matrix: SeriesMatrix, origins: Index) -> _Candidate:
    """The learned model, unknown on origins whose outcome it may have been trained on."""
    newest = matrix.history.shape[1] - 1
    values = model.predict(matrix, np.append(origins, newest))
    past = values[:, :-1].copy()
    past[:, matrix.times_s[origins] < model.seen_until_s] = np.nan
    return _Candidate(TORCH, TORCH_TITLE, past, values[:, -1])


def _one(
    row: int, matrix: SeriesMatrix, candidates: list[_Candidate], happened: Array
) -> SeriesForecast:
    """Choose by horizon group, calibrate, and join the groups to one forecast."""
    values = np.full((STEPS, candidates[0].now.shape[-1]), np.nan)
    chosen: dict[str, Choice] = {}
    past = np.full(happened[row].shape + values.shape[1:], np.nan)
    by_name = {candidate.name: candidate for candidate in candidates}
    for horizon, steps in GROUPS.items():
        offered = [(c.name, c.title, c.past[row][:, steps]) for c in candidates]
        choice = choose(offered, happened[row][:, steps], horizon=horizon)
        model = by_name[choice.model]
        past[:, steps] = model.past[row][:, steps]
        factor = band_scale(_flat(past[:, steps]), happened[row][:, steps].ravel())
        # A seasonal model has gaps where its season had: the last value stands in.
        now = model.now[row][steps]
        now = np.where(np.isfinite(now), now, by_name[LAST.name].now[row][steps])
        values[steps] = scaled(now, factor)
        chosen[horizon] = choice
    made_at_s = float(matrix.times_s[-1])
    names = dict.fromkeys(choice.model for choice in chosen.values())
    known = bool(np.isfinite(values).all() and np.isfinite(matrix.fresh[row, -1]))
    return SeriesForecast(
        forecast=Forecast(tidy(values), ", ".join(names), made_at_s) if known else None,
        model_in_force={horizon: choice.model for horizon, choice in chosen.items()},
        reasons={horizon: choice.reason for horizon, choice in chosen.items()},
        errors={horizon: choice.scores for horizon, choice in chosen.items()},
        coverage_95=held_out_coverage(past, happened[row]),
    )


def _flat(values: Array) -> Array:
    return values.reshape(-1, values.shape[-1])
