"""Statistical and boosted rivals of the forecaster, for the backtest alone.

They need the extra `rivals` (statsforecast, lightgbm); without it each is named as not installed.
They are slow, so they forecast at a few evenly spaced hourly origins of the scored part, each from
the week before it (without a season: 144 steps of it are beyond them in any useful time).
"""

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tiers.core.forecast.features import SeriesMatrix, windows
from tiers.core.forecast.quantiles import LEVELS, QUANTILES, STEPS, Array, tidy
from tiers.core.forecast.windows import DAY, WEEK, Index

ORIGINS = 12
NEEDS = {
    "auto_ets": "statsforecast", "auto_arima": "statsforecast", "dynamic_theta": "statsforecast",
    "kalman_local_trend": "statsforecast", "lightgbm_quantile": "lightgbm",
}  # fmt: skip
_NOT_INSTALLED = "not installed: pip install 'infra-console[rivals]'"
_FITTED = (0.025, 0.25, 0.5, 0.75, 0.975)
_BAND_LEVELS = (20, 40, 50, 60, 80, 90, 95)


def rival_quantiles(
    matrix: SeriesMatrix, origins: Index, scored: Index
) -> Iterator[tuple[str, Array | str]]:
    """(name, (N, O, 24, 15) quantiles, NaN where not asked) or (name, why there are none).

    Args:
        origins: (O,) columns. scored: places in it that may be asked, in order.
    """
    asked = scored[:: max(1, -(-len(scored) // ORIGINS))]
    for name, package in NEEDS.items():
        if importlib.util.find_spec(package) is None:
            yield name, _NOT_INSTALLED
            continue
        values = np.full((len(matrix.history), len(origins), STEPS, len(QUANTILES)), np.nan)
        if name == "lightgbm_quantile":
            _boosted(values, matrix, origins, asked)
        else:
            _statistical(values, _model(name), matrix, origins, asked)
        yield name, values


def _model(name: str) -> Callable[[], Any]:
    from statsforecast import models  # noqa: PLC0415  an optional extra

    return {
        "auto_ets": lambda: models.AutoETS(season_length=1),
        "auto_arima": lambda: models.AutoARIMA(season_length=1),
        "dynamic_theta": lambda: models.DynamicOptimizedTheta(season_length=1),
        # The steady state of a local-trend Kalman filter is Holt's method with additive errors.
        "kalman_local_trend": lambda: models.AutoETS(season_length=1, model="AAN", damped=False),
    }[name]


def _statistical(
    values: Array, model: Callable[[], Any], matrix: SeriesMatrix, origins: Index, asked: Index
) -> None:
    for row in range(len(values)):
        for place in asked:
            origin = int(origins[place])
            past = matrix.filled[row, max(0, origin + 1 - WEEK) : origin + 1]
            past = past[np.isfinite(past)]
            if len(past) < DAY or np.ptp(past) == 0:
                continue
            found = model().forecast(y=past, h=STEPS, level=list(_BAND_LEVELS))
            values[row, place] = _quantiles(found)


def _quantiles(found: dict[str, Array]) -> Array:
    parts = []
    for level in LEVELS:
        width = round(abs(2 * level - 1) * 100)
        side = "lo" if level < 0.5 else "hi"
        parts.append(found["mean"] if width == 0 else found[f"{side}-{width}"])
    return tidy(np.stack(parts, axis=-1))


def _boosted(values: Array, matrix: SeriesMatrix, origins: Index, asked: Index) -> None:
    """Five quantile models over all series and steps, trained before the first asked origin."""
    import lightgbm  # noqa: PLC0415  an optional extra

    first = int(origins[asked[0]])
    rows, places = np.nonzero(np.isfinite(matrix.fresh[:, : max(0, first - STEPS)]))
    keep = slice(None, None, max(1, len(rows) // 500))
    inputs, outcomes = _table(matrix, rows[keep], places[keep])
    known = np.isfinite(outcomes)
    wanted = _table(matrix, *(a.ravel() for a in np.meshgrid(
        np.arange(len(values)), origins[asked], indexing="ij")))[0]  # fmt: skip
    seen = windows(matrix, np.repeat(np.arange(len(values)), len(asked)),
                   np.tile(origins[asked], len(values)))  # fmt: skip
    fitted = []
    for level in _FITTED:
        options = {
            "objective": "quantile", "alpha": float(level), "num_leaves": 31,
            "learning_rate": 0.1, "num_threads": 1, "verbose": -1, "seed": 1,
        }  # fmt: skip
        lessons = lightgbm.Dataset(inputs[known], outcomes[known])
        model = lightgbm.train(options, lessons, num_boost_round=60)
        scaled = np.asarray(model.predict(wanted)).reshape(-1, STEPS)
        found = seen.last[:, None] + seen.scale[:, None] * scaled
        fitted.append(found.reshape(len(values), len(asked), STEPS))
    values[:, asked] = tidy(_between(np.stack(fitted, axis=-1)))


def _between(fitted: Array) -> Array:
    """(…, 5) fitted quantiles to all 15, linearly."""
    place = np.interp(LEVELS, _FITTED, np.arange(len(_FITTED)))
    low = np.minimum(place.astype(np.int64), len(_FITTED) - 2)
    found: Array = fitted[..., low] + (place - low) * (fitted[..., low + 1] - fitted[..., low])
    return found


def _table(matrix: SeriesMatrix, rows: Index, places: Index) -> tuple[Array, Array]:
    """A line for each window and step, with the step as the last feature, and its outcome."""
    seen = windows(matrix, rows, places)
    ahead = places[:, None] + np.arange(1, STEPS + 1)
    inside = ahead < matrix.history.shape[1]
    after = matrix.history[rows[:, None], np.where(inside, ahead, 0)]
    outcome = (np.where(inside, after, np.nan) - seen.last[:, None]) / seen.scale[:, None]
    lines = np.repeat(seen.inputs.astype(np.float64), STEPS, axis=0)
    steps = np.tile(np.arange(STEPS), len(rows))[:, None]
    return np.hstack([lines, steps]), outcome.ravel()
