"""HTTP API of the forecast page: forecasts as JSON and CSV, its report, trainings, the calendar."""

import csv
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone
from ninja import Field, Router, Schema, Status

from infra_console.api.auth import require
from infra_console.api.pagination import Limit
from infra_console.api.problems import Problem
from tiers import calendar, queries, services
from tiers.core.forecast.quantiles import QUANTILES
from tiers.errors import EventInvalid, NotAllowed
from tiers.forecast_queries import ForecastPage, forecast_page, list_models, list_trainings
from tiers.models import CalendarEvent, WorkloadForecast

router = Router()
COLUMNS = ("cluster", "workload", "tier", "unit", "made_at", "at", "model")


class ForecastOut(Schema):
    """`errors` are each candidate's recent mean error and how many origins it stands on."""

    cluster: str
    workload: str
    tier: str
    unit: str
    made_at: datetime
    input_at: datetime | None
    step_s: int
    last_value: float | None
    model_2h: str
    model_4h: str
    reasons: list[Any]
    coverage_95: float | None
    errors: dict[str, dict[str, tuple[float, int]]]
    quantiles: list[list[float]]


class Forecasts(Schema):
    levels: list[float]
    items: list[ForecastOut]


class ModelOut(Schema):
    """A file of weights; a refused one says why and is not used."""

    version: str
    state: str
    reason: str
    sha256: str
    seed: int
    series: int
    seconds: float
    trained_at: datetime
    metrics: dict[str, Any]


class TrainingOut(Schema):
    id: int
    state: str = Field(alias="shown_state")
    requested_by: str
    requested_at: datetime
    as_of: datetime | None
    seed: int
    stage: str
    progress: float
    attempts: int
    beat_at: datetime | None
    finished_at: datetime | None
    reason: str
    version: str


class Trainings(Schema):
    items: list[TrainingOut]
    models: list[ModelOut]


class EventOut(Schema):
    id: int
    kind: str
    title: str
    starts_at: datetime
    ends_at: datetime
    region: str
    workload: str
    made_by: str
    made_at: datetime


class Events(Schema):
    """`used_by_forecaster` is false: events are marked on charts and read by people."""

    used_by_forecaster: bool = False
    items: list[EventOut]


class EventIn(Schema):
    """Times without a zone are UTC; empty region or workload means all of them."""

    kind: str = ""
    title: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    region: str = ""
    workload: str = ""


class NoticeOut(Schema):
    tone: str
    key: str
    words: str


class MissingOut(Schema):
    region: str
    cluster: str
    workload: str
    tier: str
    why: str


class LagOut(Schema):
    executions: int
    decided_s: float
    carried_out_s: float
    total_s: float
    total_p90_s: float


class GainOut(Schema):
    tier: str
    unit: str
    horizon_min: int
    reacting_error: float
    error: float
    share: float | None
    judged: int
    longer: bool


class GangStepOut(Schema):
    hours: int
    running_gpus: int
    open_gpus: int
    waiting_gpus: int
    known_gpus: int
    p5: float | None
    p50: float | None
    p95: float | None
    new_gpus: float | None


class Report(Schema):
    """What the forecast page says beside the forecasts themselves. Null is unknown."""

    made_at: datetime | None
    age_s: float | None
    old: bool
    learned: str
    model: ModelOut | None
    notices: list[NoticeOut]
    missing: list[MissingOut]
    scores: list[dict[str, Any]]
    lag: LagOut | None
    gains: list[GainOut]
    gangs: list[GangStepOut]


@router.get("/forecasts", response=Forecasts, url_name="forecasts")
def forecasts(request: HttpRequest, region: str = "", tier: str = "") -> dict[str, Any]:
    """The forecasts in force: rows of `quantiles` are steps, columns are `levels`."""
    require(request, "view")
    rows = queries.latest_forecasts(tier=tier, region=region)
    return {"levels": list(QUANTILES), "items": rows}


@router.get("/forecasts.csv", url_name="forecasts-csv")
def forecasts_csv(request: HttpRequest, region: str = "", tier: str = "") -> StreamingHttpResponse:
    """The same as CSV: a line for each series and step, a column for each quantile."""
    require(request, "view")
    rows = queries.latest_forecasts(tier=tier, region=region)
    writer = csv.writer(_Echo())
    lines = (writer.writerow(line) for line in _lines(rows))
    return StreamingHttpResponse(
        lines,
        content_type="text/csv",
        headers={"Content-Disposition": 'attachment; filename="forecasts.csv"'},
    )


class _Echo:
    """A file for the csv writer that hands each line back."""

    def write(self, line: str) -> str:
        return line


def _lines(rows: list[WorkloadForecast]) -> Iterator[list[Any]]:
    yield [*COLUMNS, *(f"p{100 * level:g}" for level in QUANTILES)]
    for row in rows:
        for place, quantiles in enumerate(row.quantiles, start=1):
            ahead = timedelta(seconds=place * row.step_s)
            model = row.model_2h if ahead <= timedelta(hours=2) else row.model_4h
            yield [
                row.cluster, row.workload, row.tier, row.unit, row.made_at.isoformat(),
                (row.made_at + ahead).isoformat(), model, *quantiles,
            ]  # fmt: skip


@router.get("/forecast-report", response=Report)
def report(request: HttpRequest, region: str = "", tier: str = "") -> dict[str, Any]:
    """How old the forecasts are, what is wrong with them, how good they were, and the lag."""
    require(request, "view")
    page = forecast_page(region=region, tier=tier, now=timezone.now())
    return report_of(page)


def report_of(page: ForecastPage) -> dict[str, Any]:
    plain = {"old", "age_s", "learned", "model", "notices", "missing", "scores", "lag"}
    return {
        **{name: getattr(page, name) for name in plain},
        "made_at": page.cycle.started_at if page.cycle else None,
        "gains": [{**asdict(g), "share": g.share} for g in page.gains],
        "gangs": [{**asdict(g), "known_gpus": g.known_gpus, "new_gpus": g.new_gpus}
                  for g in page.gangs],
    }  # fmt: skip


@router.get("/trainings", response=Trainings)
def trainings(request: HttpRequest, limit: Limit = 20) -> dict[str, Any]:
    """The last trainings, newest first, and the files of weights with their state."""
    require(request, "view")
    return {"items": list_trainings(limit), "models": list_models(limit)}


@router.post("/trainings", response={202: TrainingOut})
def request_training(request: HttpRequest) -> Status[Any]:
    """Train now; answers with the training that waits."""
    user = require(request, calendar.RIGHT)
    return Status(202, services.request_training(by=user.get_username(), at=timezone.now()))


@router.get("/calendar", response=Events)
def events(
    request: HttpRequest, region: str = "", days_back: int = 7, days_ahead: int = 30
) -> dict[str, Any]:
    """Events that touch the days asked for, at most a year either way."""
    require(request, "view")
    now = timezone.now()
    back, ahead = (timedelta(days=min(max(days, 0), 366)) for days in (days_back, days_ahead))
    return {"items": calendar.events_between(now - back, now + ahead, region=region)}


@router.post("/calendar", response=EventOut)
def add_event(request: HttpRequest, wanted: EventIn) -> CalendarEvent:
    """Put an event into the calendar."""
    user = require(request, calendar.RIGHT)
    draft = calendar.EventDraft(
        kind=wanted.kind, title=wanted.title, starts_at=calendar.utc(wanted.starts_at),
        ends_at=calendar.utc(wanted.ends_at), region=wanted.region, workload=wanted.workload,
    )  # fmt: skip
    try:
        return calendar.add_event(draft, by=user, at=timezone.now())
    except NotAllowed as err:
        raise Problem(403, "not-allowed", str(err)) from err
    except EventInvalid as err:
        raise Problem(422, "event-invalid", f"The calendar stays as it was: {err}.") from err


@router.delete("/calendar/{int:event_id}", response={204: None})
def remove_event(request: HttpRequest, event_id: int) -> Status[None]:
    """Remove an event; one that is gone stays gone."""
    calendar.remove_event(event_id, by=require(request, calendar.RIGHT))
    return Status(204, None)
