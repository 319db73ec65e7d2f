"""Series with an age and a state: what every number of the console rests on. Pure.

Unknown is never zero: a missing series gives None, a missing sample NaN, and the state says why.
Times are seconds since the epoch, UTC; ages are seconds.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from infra_console.telemetry.errors import AmbiguousReading

Array = NDArray[np.float64]

LIVE_MARGIN_S = 15.0
DELAYED_S = 300.0
# DCGM writes 2^63 - 14 for "not supported" and close neighbours for other failures.
SENTINEL = 2.0**62


class Freshness(StrEnum):
    """How far a reading can be trusted, best first; `not exported` is an optional number that
    nobody tells: it is unknown, and no fault."""

    LIVE = "live"
    DELAYED = "delayed"
    STALE = "stale"
    PARTIAL = "partial"
    DOWN = "down"
    ABSENT = "not exported"


def freshness_of(age_s: float | None, *, scrape_interval_s: float) -> Freshness:
    """Live up to two scrape intervals + 15 s, delayed up to 5 minutes, then stale; None is down."""
    if age_s is None or math.isnan(age_s):
        return Freshness.DOWN
    if age_s <= 2 * scrape_interval_s + LIVE_MARGIN_S:
        return Freshness.LIVE
    return Freshness.DELAYED if age_s <= DELAYED_S else Freshness.STALE


def overall(states: Iterable[Freshness], *, incomplete: bool = False) -> Freshness:
    """One word for many parts; `incomplete` means that something expected did not answer.

    Parts that are all old are stale (or delayed); good parts beside bad ones make it partial.
    """
    seen = set(states)
    if not seen or seen == {Freshness.DOWN}:
        return Freshness.DOWN
    if seen <= {Freshness.LIVE, Freshness.DELAYED} and not incomplete:
        return Freshness.DELAYED if Freshness.DELAYED in seen else Freshness.LIVE
    return Freshness.STALE if seen == {Freshness.STALE} else Freshness.PARTIAL


def as_value(text: str) -> float:
    """A sample as Prometheus writes it; NaN for infinities and "not supported" sentinels.

    Raises:
        ValueError: it is not a number.
    """
    value = float(text)
    return value if math.isfinite(value) and abs(value) <= SENTINEL else math.nan


@dataclass(frozen=True, slots=True, eq=False)
class RawSeries:
    """Samples as a source gave them. `times` (T,) seconds, `values` (T,) in the query's unit."""

    labels: Mapping[str, str]
    times: Array
    values: Array


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """One source's answer to one query; warnings are the source's own words."""

    series: tuple[RawSeries, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One series of a reading. `values` (T,) holds NaN where nothing is known.

    `age_s` is the time since the exporter behind the last sample was really read. `at_least` tells
    of a partial one that parts are missing and no more: its values are lower bounds.
    """

    labels: Mapping[str, str]
    times: Array
    values: Array
    state: Freshness
    age_s: float | None
    at_least: bool = False

    @property
    def last(self) -> float | None:
        """The newest sample, or None when it is unknown."""
        if not len(self.values) or math.isnan(self.values[-1]):
            return None
        return float(self.values[-1])


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A catalogue query answered by every source that could.

    `age_s` is the oldest series' age; `error` joins what the silent sources said; `notes` tell how
    the numbers were obtained where that is not the usual way.
    """

    name: str
    unit: str
    series: tuple[Series, ...]
    state: Freshness
    age_s: float | None
    source_ids: tuple[str, ...]
    warnings: tuple[str, ...]
    error: str
    at: datetime
    notes: tuple[str, ...] = field(default=())

    def select(self, **labels: str) -> tuple[Series, ...]:
        """The series that carry all these labels."""
        wanted = labels.items()
        return tuple(s for s in self.series if all(s.labels.get(k, "") == v for k, v in wanted))

    def one(self, **labels: str) -> Series | None:
        """The single series with these labels, or None.

        Raises:
            AmbiguousReading: several carry them.
        """
        found = self.select(**labels)
        if len(found) > 1:
            raise AmbiguousReading(f"{self.name}: {len(found)} series carry {labels}")
        return found[0] if found else None

    def value(self, **labels: str) -> float | None:
        """The newest value of the single series with these labels; None when unknown.

        Raises:
            AmbiguousReading: several carry them.
        """
        found = self.one(**labels)
        return found.last if found else None

    def by(self, *names: str) -> dict[tuple[str, ...], float | None]:
        """Newest values keyed by these labels' values, always as a tuple; absent labels are "".

        Raises:
            AmbiguousReading: the labels do not tell the series apart.
        """
        return {key: series.last for key, series in self.series_by(*names).items()}

    def series_by(self, *names: str) -> dict[tuple[str, ...], Series]:
        """The series keyed by these labels' values.

        Raises:
            AmbiguousReading: the labels do not tell the series apart.
        """
        found: dict[tuple[str, ...], Series] = {}
        for series in self.series:
            key = tuple(series.labels.get(name, "") for name in names)
            if key in found:
                raise AmbiguousReading(f"{self.name}: {names} do not tell {key} apart")
            found[key] = series
        return found


def on_grid(raw: RawSeries, grid: Array) -> Array:
    """Samples laid on an even grid, NaN where there is none.

    Args:
        raw: samples whose times lie on the grid up to rounding, as a range query returns them.
        grid: (T,) seconds, evenly spaced, at least one point.

    Returns:
        (T,) values.
    """
    values = np.full(len(grid), np.nan)
    step_s = grid[1] - grid[0] if len(grid) > 1 else 1.0
    places = np.rint((raw.times - grid[0]) / step_s).astype(np.int64)
    inside = (places >= 0) & (places < len(grid))
    values[places[inside]] = raw.values[inside]
    return values


def merge_parts(parts: Sequence[Answer]) -> Answer:
    """Consecutive time chunks of one query joined series by series, oldest first."""
    joined: dict[tuple[tuple[str, str], ...], list[RawSeries]] = {}
    for part in parts:
        for series in part.series:
            joined.setdefault(tuple(sorted(series.labels.items())), []).append(series)
    return Answer(
        series=tuple(
            RawSeries(
                labels=dict(key),
                times=np.concatenate([piece.times for piece in pieces]),
                values=np.concatenate([piece.values for piece in pieces]),
            )
            for key, pieces in joined.items()
        ),
        warnings=tuple(dict.fromkeys(warning for part in parts for warning in part.warnings)),
    )
