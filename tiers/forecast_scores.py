"""Past forecasts against what came: error and coverage by tier and horizon.

error = Σ |median − outcome| / Σ outcome, the same for naive forecasts from what was known when each
was made: the last value, the same time a day and a week before. Coverage is the share of outcomes
from the 2.5 % to the 97.5 % quantile. One forecast an hour is judged: those between overlap it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np

from infra_console.telemetry.series import Array
from tiers.core.forecast.quantiles import MEDIAN, QUANTILES, STEP_S
from tiers.facts import FleetFacts
from tiers.histories import Histories, SeriesKey, read_histories
from tiers.models import Cycle, WorkloadForecast

REPORTED_MIN = (120, 240)
# From the lag of a fast reactive loop to the whole horizon.
HORIZONS_MIN = (10, 30, 60, 120, 240)
EVERY = timedelta(hours=1)
JUDGED = timedelta(hours=24)
LOW, HIGH = QUANTILES.index(0.025), QUANTILES.index(0.975)
SEASONS = {"day": timedelta(days=1), "week": timedelta(days=7)}
NAIVE = ("last", *SEASONS)


@dataclass(slots=True)
class Score:
    """One tier and unit at one horizon; None where nothing could be judged."""

    tier: str
    unit: str
    horizon_min: int
    judged: int = 0
    covered: int = 0
    missed_by: float = 0.0
    outcome: float = 0.0
    naive_missed_by: dict[str, float | None] = field(
        default_factory=lambda: dict.fromkeys(NAIVE, 0.0)
    )

    @property
    def horizon_h(self) -> int:
        return self.horizon_min // 60

    @property
    def error(self) -> float | None:
        return self.missed_by / self.outcome if self.outcome else None

    def naive_error(self, name: str) -> float | None:
        missed = self.naive_missed_by[name]
        return None if missed is None or not self.outcome else missed / self.outcome

    @property
    def last_error(self) -> float | None:
        return self.naive_error("last")

    @property
    def coverage(self) -> float | None:
        return self.covered / self.judged if self.judged else None

    def line(self) -> dict[str, Any]:
        """As a cycle's document keeps it."""
        return {
            "tier": self.tier, "unit": self.unit, "horizon_min": self.horizon_min,
            "judged": self.judged, "error": _rounded(self.error),
            "coverage_95": _rounded(self.coverage),
            "naive": {name: _rounded(self.naive_error(name)) for name in NAIVE},
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Given:
    """A forecast as it was given out: its quantiles (15) by minutes ahead."""

    key: SeriesKey
    tier: str
    unit: str
    made_at: datetime
    last_value: float | None
    quantiles: Mapping[int, Sequence[float]]


def forecast_scores(
    facts: FleetFacts, *, start: datetime, end: datetime
) -> tuple[list[Score], int, dict[SeriesKey, str]]:
    """Scores of the forecasts whose outcome lies in the span.

    Returns:
        the scores, how many forecasts had no outcome, and the series without a history.
    """
    given = list(_given(start, end, REPORTED_MIN))
    if not given:
        return [], 0, {}
    days = (end - start).total_seconds() / 86400
    histories = read_histories(facts, now=end, days=days)
    scores, unjudged = judge(given, histories, start=start, end=end)
    return scores, unjudged, histories.missing


def last_day_scores(histories: Histories, *, now: datetime) -> list[Score]:
    """Scores of the forecasts that fell due in the last day, by histories already read."""
    given = _given(now - JUDGED, now, HORIZONS_MIN)
    return judge(given, histories, start=now - JUDGED, end=now)[0]


def judge(
    given: Iterable[Given], histories: Histories, *, start: datetime, end: datetime
) -> tuple[list[Score], int]:
    """The scores, and how many forecasts that fell due had no outcome."""
    scores: dict[tuple[str, str, int], Score] = {}
    unjudged = 0
    rows = {key: histories.matrix[i] for i, key in enumerate(histories.keys)}
    for forecast in given:
        row = rows.get(forecast.key)
        for minutes, quantiles in forecast.quantiles.items():
            due = forecast.made_at + timedelta(minutes=minutes)
            if not start <= due <= end:
                continue
            outcome = _at(histories, row, due)
            if outcome is None:
                unjudged += 1
                continue
            key = (forecast.tier, forecast.unit, minutes)
            naive = {name: _at(histories, row, due - back) for name, back in SEASONS.items()}
            naive["last"] = forecast.last_value
            _judge(scores.setdefault(key, Score(*key)), quantiles, naive, outcome)
    return [scores[key] for key in sorted(scores)], unjudged


def _given(start: datetime, end: datetime, minutes: Sequence[int]) -> Iterator[Given]:
    """All forecasts of one cycle an hour whose outcome may lie in the span."""
    cycles: dict[int, UUID] = {}
    earliest = start - timedelta(minutes=max(minutes))
    made = Cycle.objects.filter(started_at__range=(earliest, end), forecasts__isnull=False)
    for cycle_id, at in made.order_by("started_at").values_list("id", "started_at").distinct():
        cycles.setdefault(int(at.timestamp() // EVERY.total_seconds()), cycle_id)
    # Only the steps that are judged leave the database: a whole forecast is fifteen times that.
    steps = [f"quantiles__{m * 60 // STEP_S - 1}" for m in minutes]
    rows = WorkloadForecast.objects.filter(cycle_id__in=list(cycles.values())).values_list(
        "cluster", "workload", "tier", "unit", "made_at", "last_value", *steps
    )
    for cluster, workload, tier, unit, made_at, last_value, *found in rows.iterator():
        quantiles = {m: q for m, q in zip(minutes, found, strict=True) if q is not None}
        yield Given((cluster, workload), tier, unit, made_at, last_value, quantiles)


def _at(histories: Histories, row: Array | None, at: datetime) -> float | None:
    if row is None or not len(histories.times):
        return None
    place = round((at.timestamp() - histories.times[0]) / STEP_S)
    if not 0 <= place < len(row) or np.isnan(row[place]):
        return None
    return float(row[place])


def _judge(
    score: Score, quantiles: Sequence[float], naive: Mapping[str, float | None], outcome: float
) -> None:
    score.judged += 1
    score.covered += quantiles[LOW] <= outcome <= quantiles[HIGH]
    score.missed_by += abs(quantiles[MEDIAN] - outcome)
    score.outcome += outcome
    for name, value in naive.items():
        so_far = score.naive_missed_by[name]
        if value is None or so_far is None:
            score.naive_missed_by[name] = None  # one that is unknown makes the comparison unfair
        else:
            score.naive_missed_by[name] = so_far + abs(value - outcome)


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
