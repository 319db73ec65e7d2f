"""What the forecast page says: the forecasts in force, why, how old, and how good they were."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.conf import settings

from tiers.core.demand.gangs import GangLine
from tiers.core.forecast.gangs import listed_gpus
from tiers.core.forecast.gate import CANDIDATES, TITLES
from tiers.core.forecast.quantiles import QUANTILES
from tiers.demand_queries import gang_lines
from tiers.facts import FleetFacts
from tiers.forecast_gain import Gain, gains_over_reacting
from tiers.forecast_states import Inputs, Notice, model_in_force, notices
from tiers.lags import Lag, actuation_lag
from tiers.models import Cycle, ForecastModel, TrainingRun, WorkloadForecast
from tiers.queries import clusters_in, current_facts

SHOWN_H = (1, 2, 4)
P5, P50, P95 = (QUANTILES.index(level) for level in (0.05, 0.5, 0.95))
STALE_INPUT = timedelta(minutes=20)  # two steps of the forecaster's grid


@dataclass(frozen=True, slots=True)
class Ahead:
    hours: int
    p5: float
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model's mean absolute error on its past origins, and against the best naive one's."""

    name: str
    title: str
    mae: float
    origins: int
    to_best_naive: float | None


@dataclass(frozen=True, slots=True)
class HorizonChoice:
    """The model in force up to a horizon, and why; its candidates' errors."""

    horizon: str
    title: str
    to_best_naive: float | None
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class SeriesLine:
    """One workload in one cluster, in its own unit. `stale` is of what the forecast saw."""

    region: str
    cluster: str
    workload: str
    tier: str
    unit: str
    last_value: float | None
    made_at: datetime
    input_at: datetime | None
    stale: bool
    ahead: tuple[Ahead, ...]
    choices: tuple[HorizonChoice, ...]
    reasons: tuple[str, ...]
    coverage_95: float | None


@dataclass(frozen=True, slots=True)
class Unforecast:
    region: str
    cluster: str
    workload: str
    tier: str
    why: str


@dataclass(frozen=True, slots=True)
class GangStep:
    """GPUs of training at one time: gangs that are known, and what the forecast expects in all.

    `open_gpus` of the known ones have no known end; `new_gpus` is the median of the whole less
    what is known. None is unknown.
    """

    hours: int
    running_gpus: int
    open_gpus: int
    waiting_gpus: int
    p5: float | None
    p50: float | None
    p95: float | None

    @property
    def known_gpus(self) -> int:
        return self.running_gpus + self.waiting_gpus

    @property
    def new_gpus(self) -> float | None:
        return None if self.p50 is None else max(0.0, self.p50 - self.known_gpus)


@dataclass(frozen=True, slots=True)
class ForecastPage:
    """`cycle` made the forecasts shown, and is None before any was made."""

    cycle: Cycle | None
    age_s: float | None
    old: bool
    notices: tuple[Notice, ...]
    series: tuple[SeriesLine, ...]
    missing: tuple[Unforecast, ...]
    scores: tuple[Mapping[str, Any], ...]
    model: ForecastModel | None
    learned: str
    lag: Lag | None
    gains: tuple[Gain, ...]
    gangs: tuple[GangStep, ...]

    @property
    def oldest_input_at(self) -> datetime | None:
        """The newest value of the series that is furthest behind."""
        return min((s.input_at for s in self.series if s.input_at is not None), default=None)


def forecast_page(*, region: str = "", tier: str = "", now: datetime) -> ForecastPage:
    """The forecasts of the last cycle that made any, and what is wrong with them."""
    facts = current_facts()
    cycle, told = _newest()
    series = tuple(_series(facts, cycle, region, tier)) if facts and cycle else ()
    made = {(line.cluster, line.workload) for line in series}
    missing = tuple(
        m
        for m in (_missing(facts, told.get("missing", {}), region, tier) if facts else ())
        if (m.cluster, m.workload) not in made
    )
    age_s = (now - cycle.started_at).total_seconds() if cycle else None
    old = age_s is not None and age_s > 2 * settings.CYCLE_EVERY_S
    scores = tuple(s for s in told.get("scores", ()) if not tier or s["tier"] == tier)
    lag = actuation_lag(now=now)
    inputs = Inputs(
        stale=sum(line.stale for line in series), series=len(series), missing=len(missing),
        limit=STALE_INPUT,
    )  # fmt: skip
    learned = str(told.get("learned_model", ""))
    return ForecastPage(
        cycle=cycle,
        age_s=age_s,
        old=old,
        notices=tuple(
            notices(facts is not None, age_s if old else None, inputs, learned, made=bool(cycle))
        ),
        series=series,
        missing=missing,
        scores=scores,
        model=model_in_force(learned),
        learned=learned,
        lag=lag,
        gains=tuple(gains_over_reacting(scores, lag)),
        gangs=_gangs(series, missing, region, now) if tier in {"", "training"} else (),
    )


def _newest() -> tuple[Cycle | None, Mapping[str, Any]]:
    """The newest cycle that forecast, and what it told; one that still runs has told nothing, and
    what the one before told stands."""
    told = Cycle.objects.filter(document__has_key="forecast").first()
    made = Cycle.objects.filter(forecasts__isnull=False).order_by("-started_at").first()
    newest = max((c for c in (told, made) if c), key=lambda c: c.started_at, default=None)
    return newest, told.document["forecast"] if told else {}


def list_trainings(limit: int = 5) -> list[TrainingRun]:
    return list(TrainingRun.objects.all()[:limit])


def list_models(limit: int = 5) -> list[ForecastModel]:
    return list(ForecastModel.objects.all()[:limit])


# --- series -------------------------------------------------------------------------------------


def _series(facts: FleetFacts, cycle: Cycle, region: str, tier: str) -> Iterator[SeriesLine]:
    rows = cycle.forecasts.filter(cluster__in=clusters_in(region)).order_by("cluster", "workload")
    for row in rows.filter(tier=tier) if tier else rows:
        yield SeriesLine(
            region=facts.region_of.get(row.cluster, ""),
            cluster=row.cluster,
            workload=row.workload,
            tier=row.tier,
            unit=row.unit,
            last_value=row.last_value,
            made_at=row.made_at,
            input_at=row.input_at,
            stale=row.input_at is None or cycle.started_at - row.input_at > STALE_INPUT,
            ahead=tuple(_ahead(row, hours) for hours in SHOWN_H),
            choices=tuple(_choice(row, h) for h in ("2h", "4h")),
            reasons=tuple(row.reasons),
            coverage_95=row.coverage_95,
        )


def _ahead(row: WorkloadForecast, hours: int) -> Ahead:
    quantiles = row.quantiles[hours * 3600 // row.step_s - 1]
    return Ahead(hours, quantiles[P5], quantiles[P50], quantiles[P95])


def _choice(row: WorkloadForecast, horizon: str) -> HorizonChoice:
    chosen = row.model_2h if horizon == "2h" else row.model_4h
    errors: Mapping[str, Sequence[float]] = row.errors.get(horizon, {})
    naive = [mae for name, (mae, _) in errors.items() if name in CANDIDATES and name != "mix"]
    best = min(naive, default=None)
    found = tuple(
        Candidate(name, TITLES.get(name, name), mae, int(origins), _ratio(mae, best))
        for name, (mae, origins) in errors.items()
    )
    ours = errors.get(chosen)
    return HorizonChoice(
        horizon, TITLES.get(chosen, chosen), _ratio(ours[0], best) if ours else None, found
    )


def _ratio(mae: float, best: float | None) -> float | None:
    return mae / best if best else None


def _missing(
    facts: FleetFacts, told: Mapping[str, str], region: str, tier: str
) -> Iterator[Unforecast]:
    for place, why in sorted(told.items()):
        cluster, _, name = place.partition("/")
        workload = facts.workloads.get(name)
        where = facts.region_of.get(cluster)
        if workload is None or where is None or region not in {"", where}:
            continue
        if not tier or workload.tier == tier:
            yield Unforecast(where, cluster, name, workload.tier, why)


# --- training: gangs that are known, and the whole ----------------------------------------------


def _gangs(
    series: Sequence[SeriesLine], missing: Sequence[Unforecast], region: str, now: datetime
) -> tuple[GangStep, ...]:
    """Empty where no workload of training is forecast or known."""
    rows = [line for line in series if line.tier == "training" and line.unit == "GPUs"]
    gangs = gang_lines(clusters_in(region), "training", now)
    if not rows and not gangs:
        return ()
    whole = bool(rows) and not any(m.tier == "training" for m in missing)
    return tuple(_gang_step(rows if whole else [], gangs, hours, now) for hours in (0, *SHOWN_H))


def _gang_step(
    rows: Sequence[SeriesLine], gangs: Sequence[GangLine], hours: int, now: datetime
) -> GangStep:
    running = [g for g in gangs if g.state == "running"]
    at_s = np.array([(now + timedelta(hours=hours)).timestamp()])

    def known(some: Iterable[GangLine]) -> int:
        return round(float(listed_gpus(some, at_s)[0]))

    values: list[float | None] = [None, None, None]
    if rows and hours:
        values = np.sum([_triple(row, hours) for row in rows], axis=0).tolist()
    elif rows and all(row.last_value is not None for row in rows):
        values = [None, sum(row.last_value or 0.0 for row in rows), None]
    return GangStep(
        hours,
        known(running),
        known(g for g in running if g.ends_by is None),
        known(g for g in gangs if g.state == "waiting"),
        *values,
    )


def _triple(row: SeriesLine, hours: int) -> tuple[float, float, float]:
    found = next(a for a in row.ahead if a.hours == hours)
    return found.p5, found.p50, found.p95
