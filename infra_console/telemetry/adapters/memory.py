"""A source held in memory, under the same contract as the real one; for tests and replays.

It knows plain selectors (`name{label="value",other=~"regex"}`), `timestamp()` and
`avg_over_time()` of one, and answers given for the exact text of a query; anything else it
refuses, as a server refuses bad PromQL.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from infra_console.telemetry.errors import SourceError, SourceRefused
from infra_console.telemetry.ports import Rules
from infra_console.telemetry.series import Answer, Array, RawSeries

LOOKBACK_S = 300.0

_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?")
_MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_FUNCTION = re.compile(r"(timestamp|avg_over_time)\((.*?)(?:\[(\d+)s\])?\)")

_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "=": lambda value, wanted: value == wanted,
    "!=": lambda value, wanted: value != wanted,
    "=~": lambda value, wanted: re.fullmatch(wanted, value) is not None,
    "!~": lambda value, wanted: re.fullmatch(wanted, value) is None,
}


@dataclass
class MemorySource:
    """Samples by metric name (or by whole query text); `failure` is raised by every call.

    A NaN sample is a value that is not known, as in the real source; a missing one is a gap.
    """

    data: Mapping[str, Sequence[RawSeries]] = field(default_factory=dict)
    failure: SourceError | None = None
    warnings: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)
    loaded: Rules = ()

    def ready(self) -> datetime:
        """See `MetricSource.ready`."""
        if self.failure is not None:
            raise self.failure
        return datetime.now(UTC)

    def rules(self) -> Rules:
        """See `MetricSource.rules`."""
        self.asked.append("rules")
        if self.failure is not None:
            raise self.failure
        return self.loaded

    def instant(self, promql: str, *, at: datetime) -> Answer:
        """See `MetricSource.instant`."""
        return self._sampled(promql, np.array([at.timestamp()]))

    def range(self, promql: str, *, start: datetime, end: datetime, step_s: float) -> Answer:
        """See `MetricSource.range`."""
        steps = int((end.timestamp() - start.timestamp()) / step_s + 1e-9)
        grid = start.timestamp() + step_s * np.arange(steps + 1, dtype=np.float64)
        return self._sampled(promql, np.asarray(grid, dtype=np.float64))

    def window(self, selector: str, *, at: datetime, window_s: float) -> Answer:
        """See `MetricSource.window`."""
        end_s = at.timestamp()
        found = []
        for series in self._find(selector):
            held = (series.times >= end_s - window_s) & (series.times <= end_s)
            if held.any():
                found.append(RawSeries(series.labels, series.times[held], series.values[held]))
        return Answer(tuple(found), self.warnings)

    def _sampled(self, promql: str, grid: Array) -> Answer:
        call = _FUNCTION.fullmatch(promql)
        found = []
        for series in self._find(call[2] if call else promql):
            if call and call[1] == "avg_over_time":
                values = _means(series, grid, window_s=float(call[3]))
            else:
                values = _latest(series, grid, of_times=call is not None)
            held = ~np.isneginf(values)
            labels = {k: v for k, v in series.labels.items() if not (call and k == "__name__")}
            if held.any():
                found.append(RawSeries(labels, grid[held], values[held]))
        return Answer(tuple(found), self.warnings)

    def _find(self, promql: str) -> list[RawSeries]:
        self.asked.append(promql)
        if self.failure is not None:
            raise self.failure
        if promql in self.data:
            return list(self.data[promql])
        name, tests = _parse(promql)
        return [
            series
            for series in self.data.get(name, ())
            if all(test(series.labels.get(label, ""), wanted) for label, test, wanted in tests)
        ]


# Minus infinity marks "no sample"; it cannot be a value, since readers turn infinities into NaN.
def _latest(series: RawSeries, grid: Array, *, of_times: bool) -> Array:
    places = np.searchsorted(series.times, grid, side="right") - 1
    held = (places >= 0) & (grid - series.times[places] < LOOKBACK_S)
    return np.where(held, (series.times if of_times else series.values)[places], -np.inf)


def _means(series: RawSeries, grid: Array, *, window_s: float) -> Array:
    means = np.full(len(grid), -np.inf)
    for place, end_s in enumerate(grid):
        held = (series.times >= end_s - window_s) & (series.times <= end_s)
        if held.any():
            means[place] = series.values[held].mean()
    return means


def _parse(selector: str) -> tuple[str, list[tuple[str, Callable[[str, str], bool], str]]]:
    found = _SELECTOR.fullmatch(selector.strip())
    if found is None:
        raise SourceRefused("memory", f"refused the query (not a plain selector): {selector[:200]}")
    tests, place, text = [], 0, found[2] or ""
    while place < len(text):
        matcher = _MATCHER.match(text, place)
        if matcher is None:
            raise SourceRefused("memory", f"refused the query (bad matcher): {selector[:200]}")
        wanted = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], matcher[3])
        tests.append((matcher[1], _OPERATORS[matcher[2]], wanted))
        place = matcher.end()
    return found[1], tests
