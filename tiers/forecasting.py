"""The forecast stage: read histories, run the core forecaster, keep what it said."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from django.db.models import Q

from infra_console.telemetry.series import Array
from tiers.core.forecast.gangs import GangRuns
from tiers.core.forecast.quantiles import QUANTILES, STEP_S
from tiers.core.forecast.run import Predictor, SeriesForecast, forecast_all
from tiers.facts import FleetFacts
from tiers.forecast_scores import Score, last_day_scores
from tiers.histories import Histories, SeriesKey, read_histories
from tiers.models import Cycle, GangRun, WorkloadForecast

HISTORY_DAYS = 28.0
SEED = 1  # of the ends and arrivals of gangs that are drawn
# The learned model and its version, or None and the reason in words. Handed in by tasks and
# commands: this module is imported with the pages, which must not import torch.
ModelLoader = Callable[[], tuple[Predictor | None, str]]


@dataclass(frozen=True, slots=True, eq=False)
class ForecastEntry:
    """One series' forecast: `quantiles` (24, 15) in `unit`."""

    tier: str
    unit: str
    made_at: datetime
    quantiles: Array
    last_value: float | None
    model_2h: str
    model_4h: str
    reasons: tuple[str, ...]
    coverage_95: float | None
    step_s: int = STEP_S
    errors: Mapping[str, Mapping[str, tuple[float, int]]] = field(default_factory=dict)
    input_at: datetime | None = None  # when its newest known value was

    def at(self, hours: int, level: float) -> float:
        return float(self.quantiles[hours * 3600 // STEP_S - 1, QUANTILES.index(level)])

    def peak(self, level: float) -> float:
        """The most that is expected at this level over the whole horizon."""
        return float(self.quantiles[:, QUANTILES.index(level)].max())

    def line(self, workload: str) -> dict[str, Any]:
        """One row of evidence: what was, and what is expected at 2 h and 4 h."""
        return {
            "workload": workload,
            "unit": self.unit,
            "now": self.last_value,
            **{
                f"p{round(q * 100)}_{h}h": round(self.at(h, q), 3)
                for h in (2, 4)
                for q in (0.05, 0.5, 0.95)
            },
            "model_2h": self.model_2h,
            "model_4h": self.model_4h,
            "coverage_95": self.coverage_95,
        }


@dataclass(frozen=True, slots=True, eq=False)
class ForecastBook:
    """Every series' forecast, and why the others have none."""

    entries: Mapping[SeriesKey, ForecastEntry]
    missing: Mapping[SeriesKey, str]
    learned: str  # version of the learned model, or why there is none
    scores: tuple[Score, ...] = ()  # of the forecasts that fell due in the last day

    def summary(self) -> dict[str, Any]:
        used: dict[str, int] = {}
        for entry in self.entries.values():
            used[entry.model_4h] = used.get(entry.model_4h, 0) + 1
        return {
            "series": len(self.entries),
            "missing": {f"{c}/{w}": why for (c, w), why in self.missing.items()},
            "models_in_force_4h": used,
            "learned_model": self.learned,
            "scores": [score.line() for score in self.scores],
        }


def forecast_fleet(facts: FleetFacts, *, now: datetime, load_model: ModelLoader) -> ForecastBook:
    """Forecast every workload series of the fleet for the next four hours."""
    histories = read_histories(facts, now=now, days=HISTORY_DAYS)
    if not histories.keys:
        return ForecastBook({}, histories.missing, "not needed: no series has a history")
    model, learned = load_model()
    found = forecast_all(
        histories.matrix,
        histories.times,
        now.timestamp(),
        utc_offset_h=histories.utc_offset_h,
        model=model,
        gangs=gangs_by_row(facts, histories.keys, now=now),
        random=np.random.default_rng(SEED),
    )
    entries: dict[SeriesKey, ForecastEntry] = {}
    missing = dict(histories.missing)
    for row, (key, series) in enumerate(zip(histories.keys, found, strict=True)):
        if series.forecast is None:
            missing[key] = "its newest value is unknown for more than an hour"
        else:
            entries[key] = _entry(facts, histories, row, series)
    scores = last_day_scores(histories, now=now)
    return ForecastBook(entries, missing, learned, tuple(scores))


def gangs_by_row(
    facts: FleetFacts, keys: Sequence[SeriesKey], *, now: datetime
) -> dict[int, GangRuns]:
    """The runs behind each series of GPUs asked for, by its place; series without any are left
    out."""
    since = now - timedelta(days=HISTORY_DAYS)
    rows = GangRun.objects.filter(Q(ended_at=None) | Q(ended_at__gte=since)).values_list(
        "cluster", "namespace", "gpus", "started_at", "ended_at", "deadline_at"
    )
    held: dict[SeriesKey, list[list[float]]] = defaultdict(list)
    for cluster, namespace, gpus, *times in rows:
        held[cluster, namespace].append(
            [gpus, *(np.inf if at is None else at.timestamp() for at in times)]
        )
    found = {}
    for row, (cluster, name) in enumerate(keys):
        workload = facts.workloads[name]
        asking = facts.asking_namespaces(workload) if workload.unit == "GPUs" else ()
        runs = [run for namespace in sorted(asking) for run in held[cluster, namespace]]
        if runs:
            found[row] = GangRuns(*np.array(runs, dtype=np.float64).T)
    return found


def _entry(
    facts: FleetFacts, histories: Histories, row: int, series: SeriesForecast
) -> ForecastEntry:
    assert series.forecast is not None
    workload = facts.workloads[histories.keys[row][1]]
    known = np.flatnonzero(~np.isnan(histories.matrix[row]))
    newest = known[-1] if len(known) else None
    return ForecastEntry(
        tier=workload.tier,
        unit=workload.unit,
        made_at=datetime.fromtimestamp(series.forecast.made_at_s, UTC),
        quantiles=series.forecast.values,
        last_value=None if newest is None else float(histories.matrix[row][newest]),
        model_2h=series.model_in_force["2h"],
        model_4h=series.model_in_force["4h"],
        reasons=tuple(series.reasons.values()),
        coverage_95=series.coverage_95,
        errors={
            horizon: {name: (round(s.mae, 6), s.origins) for name, s in scores.items()}
            for horizon, scores in series.errors.items()
        },
        input_at=None
        if newest is None
        else datetime.fromtimestamp(float(histories.times[newest]), UTC),
    )


def keep_forecasts(cycle: Cycle, book: ForecastBook) -> None:
    WorkloadForecast.objects.bulk_create(
        WorkloadForecast(
            cycle=cycle,
            cluster=cluster,
            workload=workload,
            tier=entry.tier,
            unit=entry.unit,
            made_at=entry.made_at,
            step_s=entry.step_s,
            last_value=entry.last_value,
            model_2h=entry.model_2h,
            model_4h=entry.model_4h,
            reasons=list(entry.reasons),
            coverage_95=entry.coverage_95,
            quantiles=np.round(entry.quantiles, 4).tolist(),
            errors=entry.errors,
            input_at=entry.input_at,
        )
        for (cluster, workload), entry in book.entries.items()
    )
