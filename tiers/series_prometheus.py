"""Demand series from a Prometheus: the ten-minute means of one query, a row for each of its series.

The query is asked as a subquery, so it may be any expression that gives rates or counts. A window
without samples is unknown; a zero is a zero.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np

from infra_console.telemetry.adapters.prometheus import PrometheusSource
from tiers.core.forecast.quantiles import STEP_S
from tiers.series_files import ALL, FileSeries, SeriesFileError, largest

_TIMEOUT_S = 120.0  # four weeks of a heavy expression


def query_series(
    query: str, *, url: str, days: float, now: datetime, top: int | None = None
) -> FileSeries:
    """The last days of every series that a query gives, largest first when `top` is given.

    Raises:
        SourceError: the source gives no usable answer.
        SeriesFileError: it gives no series, or one that cannot be a demand.
    """
    end_s = now.timestamp() // STEP_S * STEP_S
    times_s = np.arange(end_s - days * 86_400 // STEP_S * STEP_S + STEP_S, end_s + 1, STEP_S)
    end = datetime.fromtimestamp(end_s, UTC)
    source = PrometheusSource(url, timeout_s=_TIMEOUT_S)
    answer = source.range(
        f"avg_over_time(({query})[{STEP_S}s:60s])",
        start=end - timedelta(seconds=end_s - float(times_s[0])),
        end=end,
        step_s=float(STEP_S),
    )
    if not answer.series:
        raise SeriesFileError(f"the query {query} gave no series over the last {days:g} days")
    history = np.full((len(answer.series), len(times_s)), np.nan)
    for row, series in enumerate(answer.series):
        places = np.rint((series.times - times_s[0]) / STEP_S).astype(np.int64)
        inside = (places >= 0) & (places < len(times_s))
        history[row, places[inside]] = series.values[inside]
    names = [_name(series.labels) for series in answer.series]
    low = np.flatnonzero((history < 0).any(axis=1))
    if len(low):
        raise SeriesFileError(f"series {names[low[0]]} falls below zero, so it is no demand")
    every = np.arange(len(names))
    chosen = largest(history, np.zeros(len(names)), top) if top else every
    # A mean belongs to the window that ends at its time, and files name windows by their start.
    return FileSeries(
        groups=tuple(names[i] for i in chosen),
        history=history[chosen],
        times_s=times_s - STEP_S,
        calendar=True,
    )


def _name(labels: Mapping[str, str]) -> str:
    return "/".join(labels[key] for key in sorted(labels) if key != "__name__") or ALL
