"""The whole forecaster at many origins in a row: paths, mixture, gate, bands.

The backtest and the live product both run this: a live forecast is the last origin. Leakage is
kept out by construction: paths gather backwards from their origin, and errors enter the weights,
the gate and the bands at the origin where their outcome has become known.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tiers.core.forecast.conformal import calibrated
from tiers.core.forecast.experts import LEARNED, NAIVE, PRIOR, expert_paths
from tiers.core.forecast.features import SeriesMatrix
from tiers.core.forecast.gate import (
    CANDIDATES,
    GANGS,
    GROUPS,
    Gate,
    Takeover,
    run_gate,
    run_takeover,
)
from tiers.core.forecast.mix import Mixture, mix
from tiers.core.forecast.quantiles import STEPS, Array
from tiers.core.forecast.regression import regressed_paths
from tiers.core.forecast.windows import DAY, Index, outcomes

_FIRST_GUESS = 0.25  # of the level, as error, before any is known


@dataclass(frozen=True, slots=True, eq=False)
class Rolling:
    """Everything said at O consecutive origins about N series.

    `values` (N, O, 24, 15); `paths` of the candidates (N, O, 24); NaN where none can be made.
    `takeover` is None where no gang is known.
    """

    origins: Index
    values: Array
    paths: Mapping[str, Array]
    gate: Gate
    mixture: Mixture
    takeover: Takeover | None = None


def roll(
    matrix: SeriesMatrix,
    origins: Index,
    learned: Array | None = None,
    known: Array | None = None,
) -> Rolling:
    """Forecast at consecutive origins.

    Args:
        matrix: N series.
        origins: (O,) consecutive columns; the first ones only warm up weights and bands.
        learned: (N, O, 24) medians of the learned model; NaN where it has none, or was trained
            on the outcome.
        known: (N, O, 24) medians from known gangs and arrivals; NaN where there are none.

    Raises:
        ValueError: the origins are not consecutive.
    """
    if len(origins) > 1 and not (np.diff(origins) == 1).all():
        raise ValueError("origins must be consecutive columns")
    happened = outcomes(matrix.history, origins)
    usual = usual_error(matrix, origins)
    paths = expert_paths(matrix, origins)
    paths |= regressed_paths(matrix, origins, happened, usual)
    if learned is not None:
        paths[LEARNED] = learned
    mixture = mix(paths, happened, usual, PRIOR)
    candidates = {**{name: paths[name] for name in NAIVE}, "mix": mixture.path}
    gate = run_gate(candidates, happened)
    path = in_force(candidates, gate, fresh=np.isfinite(matrix.fresh[:, origins]))
    takeover = None
    if known is not None and np.isfinite(known).any():
        candidates[GANGS] = _with_gangs(paths, known, happened, usual)
        takeover = run_takeover(candidates[GANGS], path, happened)
        path = _taken_over(path, candidates[GANGS], takeover)
    return Rolling(origins, calibrated(path, happened, usual), candidates, gate, mixture, takeover)


def _with_gangs(paths: Mapping[str, Array], known: Array, happened: Array, usual: Array) -> Array:
    """(N, O, 24) the mixture of all paths and what knows gangs; NaN for series without gangs."""
    rows = np.isfinite(known).any(axis=(1, 2))
    given = {name: path[rows] for name, path in paths.items()} | {GANGS: known[rows]}
    found = np.full(known.shape, np.nan)
    found[rows] = mix(given, happened[rows], usual[rows], PRIOR).path
    return found


def _taken_over(path: Array, gangs: Array, takeover: Takeover) -> Array:
    found = path.copy()
    for place, steps in enumerate(GROUPS.values()):
        chosen = takeover.chosen[:, :, place, None] & np.isfinite(gangs[..., steps])
        # Where the series has no fresh value, what is in force says nothing, and so does this.
        chosen &= np.isfinite(path[..., steps])
        found[..., steps] = np.where(chosen, gangs[..., steps], path[..., steps])
    return found


def in_force(candidates: Mapping[str, Array], gate: Gate, *, fresh: Array) -> Array:
    """(N, O, 24) the chosen path; where it has a gap the mixture, then the last value stands in."""
    stacked = np.stack([candidates[name] for name in CANDIDATES])
    path = np.empty(stacked.shape[1:])
    for place, steps in enumerate(GROUPS.values()):
        chosen = gate.chosen[None, :, :, place, None]
        path[..., steps] = np.take_along_axis(stacked[..., steps], chosen, axis=0)[0]
    for name in ("mix", "last"):
        path = np.where(np.isfinite(path), path, candidates[name])
    return np.where(fresh[..., None], path, np.nan)


def usual_error(matrix: SeriesMatrix, origins: Index) -> Array:
    """(N, O) mean error of holding a value for two hours, from all that was known then."""
    history, half = matrix.history, STEPS // 2
    change = np.full(history.shape, np.nan)
    change[:, half:] = np.abs(history[:, half:] - history[:, :-half])
    known = np.isfinite(change)
    count = np.cumsum(known, axis=1)[:, origins]
    error = np.cumsum(np.where(known, change, 0.0), axis=1)[:, origins]
    seen = np.isfinite(history)
    levels = np.cumsum(np.where(seen, np.abs(history), 0.0), axis=1)[:, origins]
    level = levels / np.maximum(np.cumsum(seen, axis=1)[:, origins], 1)
    few = DAY / 4  # the guess counts as a quarter of a day
    found: Array = (error + few * _FIRST_GUESS * level) / (count + few)
    # A series that has always been the same still deserves a band.
    floor: Array = np.maximum(1e-3 * level, 1e-6)
    return np.where(found > floor, found, floor)
