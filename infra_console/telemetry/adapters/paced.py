"""A source that is asked no oftener than its budget allows: see pace.py.

Where the interval is stretched, a question about now that was put within it gets the answer it got
then. The answer keeps its own times, so its age goes on growing.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from infra_console.telemetry.errors import SourceBudgetSpent
from infra_console.telemetry.pace import MOST_S, Pace
from infra_console.telemetry.ports import MetricSource, Rules
from infra_console.telemetry.series import Answer

_NOW_S = 30.0  # a question about a moment so near asks about now
_MOST_HELD = 500
Held = dict[str, tuple[float, Answer]]
_answers: dict[str, Held] = {}


def held_of(name: str) -> Held:
    """What this process holds of the source of this name."""
    return _answers.setdefault(name, {})


def drop_held() -> None:
    """After a change of sources: another address gives other answers."""
    _answers.clear()


class PacedSource:
    """One source within its budget. `held` outlives it: sources are made anew for each reading."""

    def __init__(
        self,
        name: str,
        source: MetricSource,
        pace: Pace,
        held: Held,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._source, self._pace = name, source, pace
        self._held, self._clock = held, clock

    def ready(self) -> datetime:
        """See `MetricSource.ready`; one small question that is never held back."""
        return self._source.ready()

    def rules(self) -> Rules:
        """See `MetricSource.rules`; they change seldom, and their being asked for can wait."""
        if self._pace.is_spent:
            raise self._refusal()
        return self._source.rules()

    def instant(self, promql: str, *, at: datetime) -> Answer:
        """See `MetricSource.instant`."""
        return self._about_now(f"i {promql}", at, partial(self._source.instant, promql, at=at))

    def window(self, selector: str, *, at: datetime, window_s: float) -> Answer:
        """See `MetricSource.window`."""
        ask = partial(self._source.window, selector, at=at, window_s=window_s)
        return self._about_now(f"w {window_s:g} {selector}", at, ask)

    def range(self, promql: str, *, start: datetime, end: datetime, step_s: float) -> Answer:
        """See `MetricSource.range`; never held: each asks of other times."""
        if self._pace.is_spent:
            raise self._refusal()
        return self._source.range(promql, start=start, end=end, step_s=step_s)

    def _about_now(self, key: str, at: datetime, ask: Callable[[], Answer]) -> Answer:
        if abs((datetime.now(UTC) - at).total_seconds()) > _NOW_S:
            if self._pace.is_spent:
                raise self._refusal()
            return ask()
        spent = self._pace.is_spent
        most_s = MOST_S if spent else self._pace.every_s if self._pace.stretched else 0.0
        held = self._held.get(key)
        if held is not None and self._clock() - held[0] < most_s:
            return held[1]
        if spent:
            raise self._refusal()
        answer = ask()
        if self._pace.caps.any:
            self._keep(key, answer)
        return answer

    def _keep(self, key: str, answer: Answer) -> None:
        self._held[key] = (self._clock(), answer)
        if len(self._held) > _MOST_HELD:
            oldest = min(self._held, key=lambda k: self._held[k][0])
            self._held.pop(oldest, None)

    def _refusal(self) -> SourceBudgetSpent:
        return SourceBudgetSpent(self._name, self._pace.cap_words)
