"""The forecaster and its rivals at rolling origins over the newest part of given series.

The network is trained twice: early, so that mixture, gate and bands know it before the scored part
begins, and at its start. Each forecasts only origins after what it saw.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tiers.core.forecast.conformal import calibrated
from tiers.core.forecast.decision import decision_lines
from tiers.core.forecast.errors import TooLittleHistory
from tiers.core.forecast.experts import NAIVE, expert_paths
from tiers.core.forecast.features import HOUR, SeriesMatrix
from tiers.core.forecast.gate import CANDIDATES, GROUPS
from tiers.core.forecast.quantiles import MEDIAN, STEPS, Array
from tiers.core.forecast.rolling import Rolling, roll, usual_error
from tiers.core.forecast.run import LOOK_BACK
from tiers.core.forecast.score import (
    BANDS,
    daily_scale,
    mean_or_none,
    ratio,
    ratio_interval,
    wql,
)
from tiers.core.forecast.torch_model import EPOCHS, train
from tiers.core.forecast.windows import DAY, Index, outcomes

EARLY = 0.7  # of the history before the scored part, for the first training
SCORED = 0.3
_MIN_PAST = DAY  # targets on which a naive rival must have been judged to be the best
_CHANCES = 24  # hourly origins drawn together by the bootstrap: errors of a day hang together


@dataclass(frozen=True, slots=True, eq=False)
class Backtest:
    """Quantiles of ours and of each rival (N, O, 24, 15) at `origins` (O,), and what happened.

    The first `warm` origins lie before the scored part. A rival may be a sentence: why it is not.
    """

    matrix: SeriesMatrix
    origins: Index
    warm: int
    rolling: Rolling
    outcome: Array
    rivals: dict[str, Array | str]


def learned_medians(
    matrix: SeriesMatrix,
    origins: Index,
    scored_from: int,
    *,
    seed: int,
    lap: Callable[[str], None],
    epochs: int = EPOCHS,
) -> Array | None:
    """(N, O, 24) medians, each from a network that saw nothing after its origin; None without any.

    `lap` is called with "fit" and "forecast" as each ends, to take the time.
    """
    length = matrix.history.shape[1]
    starts = (int(EARLY * scored_from), scored_from)
    found = np.full((len(matrix.history), len(origins), STEPS), np.nan)
    for start, end in zip(starts, (*starts[1:], length), strict=True):
        asked = np.flatnonzero((origins >= start) & (origins < end))
        if not len(asked) or start < 1:
            continue
        try:
            seen = matrix.until(start - 1)
            model, _ = train(seen, seed=seed, train_to=start - 1, epochs=epochs)
        except TooLittleHistory:
            continue
        lap("fit")
        found[:, asked] = model.predict(matrix.until(end - 1), origins[asked])[..., MEDIAN]
        lap("forecast")
    return found if np.isfinite(found).any() else None


def run_backtest(
    matrix: SeriesMatrix,
    scored_from: int,
    *,
    seed: int,
    lap: Callable[[str], None],
    epochs: int = EPOCHS,
) -> Backtest:
    """Ours and the naive rivals at every column from ten days before the scored part on."""
    length = matrix.history.shape[1]
    origins = np.arange(max(0, scored_from - LOOK_BACK), length, dtype=np.int64)
    lap("forecast")
    learned = learned_medians(matrix, origins, scored_from, seed=seed, lap=lap, epochs=epochs)
    rolling = roll(matrix, origins, learned)
    lap("forecast")
    outcome, usual = outcomes(matrix.history, origins), usual_error(matrix, origins)
    paths = expert_paths(matrix, origins)
    rivals: dict[str, Array | str] = {
        name: calibrated(paths[name], outcome, usual) for name in NAIVE
    }
    return Backtest(matrix, origins, scored_from - int(origins[0]), rolling, outcome, rivals)


def result(test: Backtest, row: int, steps: int, *, random: np.random.Generator) -> dict[str, Any]:
    """The figures of one series up to a horizon of `steps` (1…24)."""
    ahead = slice(0, steps)
    outcome = test.outcome[row][:, ahead]
    ours = test.rolling.values[row][:, ahead]
    scored = np.arange(test.warm, len(test.origins) - steps)
    best = best_naive(test, row, steps)
    scale = daily_scale(test.matrix.history[row, : test.origins[test.warm]])
    figures = _figures(ours, outcome, scored, scale)
    theirs = {
        name: values if isinstance(values, str) else values[row][:, ahead]
        for name, values in test.rivals.items()
    }
    versus = {
        name: _versus(ours, values, outcome, scored[::HOUR], random)
        for name, values in theirs.items()
        if not isinstance(values, str)
    }
    group = 0 if steps <= GROUPS["2h"].stop else 1
    return {
        **figures,
        "coverage_95_interval": _coverage_interval(ours, outcome, scored, random),
        "best_naive": best,
        "rel_mae_best_naive": (versus[best] or {}).get("value"),
        "rel_mae_best_naive_interval": versus[best],
        "rel_mae_last": (versus["last"] or {}).get("value"),
        "rel_mae_last_interval": versus["last"],
        "model": CANDIDATES[int(test.rolling.gate.chosen[row, -1, group])],
        "model_shares": _shares(test.rolling.gate.chosen[row, test.warm :, group]),
        "decision": decision_lines(
            test.rolling.values[row],
            test.rolling.paths["last"][row, :, 0],
            test.outcome[row],
            before=np.arange(test.warm),
            scored=scored,
        ),
        "rivals": {
            name: values
            if isinstance(values, str)
            else {
                **_figures(values, outcome, scored, scale),
                "ours_to_this": versus[name],
            }
            for name, values in theirs.items()
        },
    }


def best_naive(test: Backtest, row: int, steps: int) -> str:
    """The naive rival with the lowest error before the scored part, on outcomes known by then."""
    past = np.arange(0, max(0, test.warm - steps))
    errors = {}
    for name in NAIVE:
        path = test.rolling.paths[name][row, past][:, :steps]
        error = np.abs(path - test.outcome[row, past][:, :steps])
        if np.isfinite(error).sum() >= _MIN_PAST:
            errors[name] = mean_or_none(error)
    return min(errors, key=lambda name: errors[name] or 0.0) if errors else "last"


def _figures(values: Array, outcome: Array, scored: Index, scale: float | None) -> dict[str, Any]:
    """Errors and losses at hourly origins, coverage at all."""
    hourly = scored[::HOUR]
    error = np.abs(values[hourly][..., MEDIAN] - outcome[hourly])
    mae = mean_or_none(error)
    known = np.isfinite(outcome[scored]) & np.isfinite(values[scored][..., MEDIAN])
    top, ramp = _where_it_hurts(outcome[scored], known)
    found: dict[str, Any] = {
        "origins": int(np.isfinite(error).any(axis=1).sum()),
        "mae": mae,
        "mase": ratio(mae, scale),
        "wql": wql(values[hourly], outcome[hourly]),
    }
    inside = {
        level: (outcome[scored] >= values[scored][..., low])
        & (outcome[scored] <= values[scored][..., -1 - low])
        for level, low in BANDS.items()
    }
    for level in (50, 80, 95):
        found[f"coverage_{level}"] = _share(inside[level], known)
    found["coverage_95_top_demand"] = _share(inside[95], top)
    found["coverage_95_ramps"] = _share(inside[95], ramp)
    return found


def _coverage_interval(
    values: Array, outcome: Array, scored: Index, random: np.random.Generator
) -> dict[str, float] | None:
    """Of the 95 % band, with whole days drawn together."""
    if not len(scored):
        return None
    inside = (outcome[scored] >= values[scored][..., 0]) & (
        outcome[scored] <= values[scored][..., -1]
    )
    known = np.isfinite(outcome[scored]) & np.isfinite(values[scored][..., MEDIAN])
    counted = np.where(known, 1.0, np.nan)
    return ratio_interval(inside.astype(np.float64), counted, random=random, block=DAY)


def _where_it_hurts(outcome: Array, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Targets in the top 5 % of demand, and those in the 5 % of paths that rise most."""
    if not known.any():
        return known, known
    top = known & (outcome >= np.quantile(outcome[known], 0.95))
    rise = np.where(known.all(axis=1), outcome[:, -1] - outcome[:, 0], np.nan)
    if not np.isfinite(rise).any():
        return top, np.zeros_like(known)
    steep = rise >= np.nanquantile(rise, 0.95)
    return top, known & steep[:, None]


def _share(inside: np.ndarray, among: np.ndarray) -> float | None:
    return float(inside[among].mean()) if among.any() else None


def _versus(
    ours: Array, theirs: Array, outcome: Array, hourly: Index, random: np.random.Generator
) -> dict[str, float] | None:
    """Our error against a rival's on the targets that both forecast."""
    mine = np.abs(ours[hourly][..., MEDIAN] - outcome[hourly])
    other = np.abs(theirs[hourly][..., MEDIAN] - outcome[hourly])
    if not len(hourly):
        return None
    return ratio_interval(mine, other, random=random, block=_CHANCES)


def _shares(chosen: Sequence[int] | np.ndarray) -> dict[str, float]:
    """How often each model was in force."""
    counts = np.bincount(np.asarray(chosen, dtype=np.int64), minlength=len(CANDIDATES))
    return {
        name: round(float(n / max(1, counts.sum())), 3)
        for name, n in zip(CANDIDATES, counts, strict=True)
        if n
    }
