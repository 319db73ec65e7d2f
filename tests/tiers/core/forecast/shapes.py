"""Series that the forecast tests share."""

import numpy as np
from numpy.typing import NDArray

from tiers.core.forecast.quantiles import STEP_S
from tiers.core.forecast.run import SeriesForecast, forecast_all
from tiers.core.forecast.windows import DAY

START_S = 1_760_054_400.0  # a Friday, 00:00 UTC


def times(length: int) -> NDArray[np.float64]:
    return START_S + STEP_S * np.arange(length, dtype=np.float64)


def daily(length: int, *, level: float = 100.0, swing: float = 60.0) -> NDArray[np.float64]:
    """A pure daily sine."""
    return level + swing * np.sin(2 * np.pi * np.arange(length) / DAY)


def walk(length: int, *, seed: int, level: float = 100.0) -> NDArray[np.float64]:
    """A random walk held above zero: nothing beats its last value."""
    steps = np.random.default_rng(seed).normal(size=length)
    return np.maximum(level + np.cumsum(steps), 1.0)


def fleet(count: int, days: int, *, seed: int = 3) -> NDArray[np.float64]:
    """Daily series of different sizes with noise. (count, days × 144)."""
    random = np.random.default_rng(seed)
    length = days * DAY
    level = 10 ** random.uniform(0, 3, size=count)
    phase = random.uniform(0, 2 * np.pi, size=count)
    wave = 1 + 0.6 * np.sin(2 * np.pi * np.arange(length) / DAY + phase[:, None])
    noise = 1 + 0.05 * random.normal(size=(count, length))
    return level[:, None] * wave * noise


def forecast_one(history: np.ndarray, times_s: np.ndarray, now_s: float) -> SeriesForecast:
    """The forecast of one series (T,) in UTC, without the learned model."""
    return forecast_all(history[None, :], times_s, now_s, utc_offset_h=np.zeros(1))[0]
