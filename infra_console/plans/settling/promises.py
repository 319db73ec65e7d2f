"""Judging a plan's promises by the metrics: at one moment, and over a span."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from infra_console.plans import clock
from infra_console.plans.settling.judging import aggregated, judged
from infra_console.plans.settling.readings import is_reading, read_own
from infra_console.plans.spec import Harm, Promise
from infra_console.telemetry.errors import AmbiguousReading, QueryUnknown
from infra_console.telemetry.escape import Match
from infra_console.telemetry.queries import read_instant, read_range
from infra_console.telemetry.series import Reading

# A span is looked at about thirty times, at least every minute, in whole seconds.
LOOKS, MIN_STEP_S, MAX_STEP_S = 30, 1, 60


@dataclass(frozen=True, slots=True)
class Verdict:
    """One promise and what came of it. `kept` and `realised` are None where nothing is known."""

    title: str
    op: str
    bound: float
    unit: str
    realised: float | None
    kept: bool | None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def judge_now(promise: Promise, *, after: datetime) -> Verdict:
    """The promise against the newest sample, if that was measured after `after`."""
    if is_reading(promise.query):
        found = read_own(promise.query, promise.labels, start=after, end=clock.now())
        fresh = [value for at, value in found if at > after]
        return judged(Verdict, promise, fresh[-1] if fresh else None, "not measured since")
    try:
        match, le = _match(promise)
        reading = read_instant(promise.query, at=clock.now(), match=match, le=le)
        series = reading.one()
    except (QueryUnknown, AmbiguousReading) as err:
        return judged(Verdict, promise, None, str(err))
    if series is None or series.age_s is None:
        return judged(Verdict, promise, None, reading.error or "no sample")
    if (reading.at - after).total_seconds() <= series.age_s:
        return judged(
            Verdict, promise, None, f"the newest sample, {series.age_s:.0f} s old, is too old"
        )
    return judged(Verdict, promise, series.last)


def judge_span(promise: Promise, *, start: datetime, end: datetime) -> Verdict:
    """The promise against its aggregate over a span; moments without a sample do not count."""
    if is_reading(promise.query):
        found = read_own(promise.query, promise.labels, start=start, end=end)
        own = aggregated(promise, [value for _, value in found]) if found else None
        return judged(Verdict, promise, own, "not measured in the span")
    try:
        reading = read_over(promise, start=start, end=end)
        series = reading.one()
    except (QueryUnknown, AmbiguousReading) as err:
        return judged(Verdict, promise, None, str(err))
    values = series.values[~np.isnan(series.values)] if series else np.array([])
    if not len(values):
        return judged(Verdict, promise, None, reading.error or "no sample in the span")
    return judged(Verdict, promise, aggregated(promise, values))


def read_over(asked: Promise | Harm, *, start: datetime, end: datetime) -> Reading:
    """What a promise or a harm asks for, over a span.

    Raises:
        QueryUnknown: the catalogue has no such query.
    """
    step_s = min(MAX_STEP_S, max(MIN_STEP_S, int((end - start).total_seconds() / LOOKS)))
    inside = min(end, start + timedelta(seconds=step_s))  # the grid rounds its start down
    match, le = _match(asked)
    return read_range(asked.query, start=inside, end=end, step_s=step_s, match=match, le=le)


def _match(asked: Promise | Harm) -> tuple[Match, float | None]:
    labels = dict(asked.labels)
    edge = labels.pop("le", None)
    return labels, float(edge) if isinstance(edge, str) else None
