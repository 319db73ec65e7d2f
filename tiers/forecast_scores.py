"""Past forecasts against what came: error and coverage by tier and horizon.

error = Σ |median − outcome| / Σ outcome, `last_error` the same for the last value known when the
forecast was made, coverage the share of outcomes from the 2.5 % to the 97.5 % quantile. One
forecast an hour is judged: those between overlap with it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np

from infra_console.telemetry.series import Array
from tiers.core.forecast.quantiles import MEDIAN, QUANTILES, STEP_S
from tiers.facts import FleetFacts
from tiers.histories import Histories, SeriesKey, read_histories
from tiers.models import Cycle, WorkloadForecast

HORIZONS_H = (2, 4)
EVERY = timedelta(hours=1)
LOW, HIGH = QUANTILES.index(0.025), QUANTILES.index(0.975)


@dataclass(slots=True)
class Score:
    """One tier and unit at one horizon; None where nothing could be judged."""

    tier: str
    unit: str
    horizon_h: int
    judged: int = 0
    covered: int = 0
    missed_by: float = 0.0
    last_missed_by: float | None = 0.0
    outcome: float = 0.0

    @property
    def error(self) -> float | None:
        return self.missed_by / self.outcome if self.outcome else None

    @property
    def last_error(self) -> float | None:
        if self.last_missed_by is None or not self.outcome:
            return None
        return self.last_missed_by / self.outcome

    @property
    def coverage(self) -> float | None:
        return self.covered / self.judged if self.judged else None


def forecast_scores(
    facts: FleetFacts, *, start: datetime, end: datetime
) -> tuple[list[Score], int, dict[SeriesKey, str]]:
    """Scores of the forecasts whose outcome lies in the span.

    Returns:
        the scores, how many forecasts had no outcome, and the series without a history.
    """
    made = _forecasts(start - timedelta(hours=max(HORIZONS_H)), end)
    if not made:
        return [], 0, {}
    days = (end - start).total_seconds() / 86400
    histories = read_histories(facts, now=end, days=days)
    scores: dict[tuple[str, str, int], Score] = {}
    unjudged = 0
    rows = {key: histories.matrix[i] for i, key in enumerate(histories.keys)}
    for forecast in made:
        row = rows.get((forecast.cluster, forecast.workload))
        for hours in HORIZONS_H:
            due = forecast.made_at + timedelta(hours=hours)
            if not start <= due <= end:
                continue
            outcome = _at(histories, row, due)
            if outcome is None:
                unjudged += 1
                continue
            key = (forecast.tier, forecast.unit, hours)
            _judge(scores.setdefault(key, Score(*key)), forecast, outcome)
    return [scores[key] for key in sorted(scores)], unjudged, histories.missing


def _forecasts(start: datetime, end: datetime) -> list[WorkloadForecast]:
    """All forecasts of one cycle an hour."""
    cycles: dict[int, UUID] = {}
    made = Cycle.objects.filter(started_at__range=(start, end), forecasts__isnull=False)
    for cycle_id, at in made.order_by("started_at").values_list("id", "started_at").distinct():
        cycles.setdefault(int(at.timestamp() // EVERY.total_seconds()), cycle_id)
    return list(WorkloadForecast.objects.filter(cycle_id__in=list(cycles.values())).iterator())


def _at(histories: Histories, row: Array | None, at: datetime) -> float | None:
    if row is None or not len(histories.times):
        return None
    place = round((at.timestamp() - histories.times[0]) / STEP_S)
    if not 0 <= place < len(row) or np.isnan(row[place]):
        return None
    return float(row[place])


def _judge(score: Score, forecast: WorkloadForecast, outcome: float) -> None:
    step = round(score.horizon_h * 3600 / forecast.step_s) - 1
    quantiles = forecast.quantiles[min(step, len(forecast.quantiles) - 1)]
    score.judged += 1
    score.covered += quantiles[LOW] <= outcome <= quantiles[HIGH]
    score.missed_by += abs(quantiles[MEDIAN] - outcome)
    score.outcome += outcome
    last = forecast.last_value
    if last is None or score.last_missed_by is None:
        score.last_missed_by = None  # one that is unknown makes the comparison unfair
    else:
        score.last_missed_by += abs(last - outcome)
