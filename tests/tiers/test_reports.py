"""The compute domain's sections: sums that can be checked by hand, and unknown said as unknown."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
import pytest

from infra_console.fleet.models import Cluster, FleetSetting, Pool, Region
from infra_console.plans.reports import decisions, track_record
from infra_console.reports.collecting import collect
from infra_console.reports.missing import what_was_missing
from infra_console.reports.sections import Kind, Period, Section
from infra_console.telemetry.series import RawSeries
from regions.reports import tails
from tiers.core.forecast.quantiles import QUANTILES, STEPS
from tiers.cost_report import costs
from tiers.models import Cycle, FleetChange, LedgerLot, WorkloadForecast
from tiers.reports import forecasts, ledger_changes, slo_share, utilisation

pytestmark = pytest.mark.usefixtures("fleet")
POOL = "north/H100/reserved"  # 3 USD a GPU hour


@pytest.fixture
def day() -> Period:
    """The day that ended a moment ago, on the grids of every reading."""
    now = datetime.now(UTC)
    end = now.replace(minute=now.minute // 30 * 30, second=0, microsecond=0)
    return Period(kind=Kind.DAILY, start=end - timedelta(days=1), end=end)


def rows(section: Section, table: int = 0) -> dict:
    return {row[0]: row[1:] for row in section.tables[table].rows}


def lot(state: str, gpus: int, *, since: datetime, until: datetime | None = None, **more) -> None:
    values = {"tier": "inference", "pool": POOL, "workload": "chat" if state == "serving" else ""}
    LedgerLot.objects.create(
        cluster="north", node="n1", gpu_type="H100", state=state, gpus=gpus, since=since,
        until=until, **(values | more),
    )  # fmt: skip


def test_utilisation_is_busy_over_held_with_how_much_was_measured(metrics, day):
    metrics(datetime.now(UTC), 5.0)
    section = utilisation(day)
    gpus, busy, share, highest, known = rows(section)["training"]
    assert (busy, share, highest) == (8.0, pytest.approx(8 / gpus), pytest.approx(8 / gpus))
    assert known == 1.0
    assert section.pictures[0].figure["data"][0]["type"] == "scatter"


def test_costs_are_gpu_hours_times_price_over_the_part_of_the_day(metrics, day):
    source = metrics(datetime.now(UTC), 5.0)
    query = next(q for q in _asked_for_tokens(source, day))
    times = day.start.timestamp() - 3600 + 300.0 * np.arange(12 * 26)
    labels = {"cluster": "north", "model_name": "chat"}
    source.data = {**source.data, query: [RawSeries(labels, times, np.full(len(times), 1000.0))]}
    half = day.start + timedelta(hours=12)
    lot("serving", 8, since=day.start - timedelta(days=2))
    lot("free-usable", 4, since=day.start - timedelta(days=1), until=half)
    lot("broken", 2, since=half, pool="nobody's")
    section = costs(day)
    hours, usd, idle, out, unpriced = rows(section)["inference"]
    assert hours == 8 * 24 + 4 * 12 + 2 * 12
    assert (usd, idle, out, unpriced) == (3.0 * (8 * 24 + 4 * 12), 3.0 * 4 * 12, 0, 24)
    an_hour, rate, each, known = rows(section, 1)["chat"]
    assert (an_hour, rate, known) == (24.0, 1000.0, 1.0)
    assert each == pytest.approx(24.0 / 3.6)
    assert section.missing == ()


def _asked_for_tokens(source, day: Period) -> list[str]:
    costs(day)
    return [q for q in source.asked if "vllm:prompt_tokens_total" in q]


def test_tokens_that_nobody_counted_leave_their_price_unknown(metrics, day):
    metrics(datetime.now(UTC), 5.0)
    lot("serving", 8, since=day.end - timedelta(hours=6))
    section = costs(day)
    assert rows(section, 1)["chat"] == (24.0, None, None, 0.0)
    first, *_, last = section.missing
    assert first == "the ledger knows 6.0 of the period's 24 hours"
    assert last == "tokens of chat: less than half of the period is counted"


def test_slo_share_is_weighted_by_arrivals(metrics, day):
    source = metrics(datetime.now(UTC), 5.0)
    times = day.end.timestamp() - 300.0 * np.arange(300)[::-1]
    late = times > (day.end - timedelta(hours=12)).timestamp()
    chat = {"cluster": "north", "model_name": "chat"}
    source.data = {
        **source.data,
        "cluster_model:vllm_arrivals:rate5m": [RawSeries(chat, times, np.where(late, 9.0, 1.0))],
        "cluster_model_le:vllm_ttft_within:ratio_5m": [
            RawSeries({**chat, "le": "1.0"}, times, np.where(late, 0.9, 0.5))
        ],
    }
    limit, share, worst, its_share, known = rows(slo_share(day))["chat"]
    assert (limit, worst, known) == (1000, "north", 1.0)
    assert share == its_share == pytest.approx(0.86, abs=0.003)  # (9 × 0.9 + 1 × 0.5) / 10


def test_forecasts_are_judged_by_what_came_beside_the_last_value(metrics, day):
    metrics(datetime.now(UTC), 5.0)
    made_at = day.end - timedelta(hours=6)
    cycle = Cycle.objects.create(
        id=uuid4(), started_at=made_at, state="done", requested_by="tester"
    )
    band = [4.0 + 0.2 * k for k in range(len(QUANTILES))]  # 4.0 to 6.8, median 5.4
    WorkloadForecast.objects.create(
        cycle=cycle, cluster="north", workload="chat", tier="inference", unit="requests/s",
        made_at=made_at, step_s=600, last_value=6.0, model_2h="m", model_4h="m",
        quantiles=[band] * STEPS,
    )  # fmt: skip
    found = forecasts(day).tables[0].rows
    assert [row[:2] for row in found] == [("inference", 2), ("inference", 4)]
    _, _, error, last_error, coverage, judged = found[0]
    assert (error, last_error) == (pytest.approx(0.08), pytest.approx(0.2))
    assert (coverage, judged) == (1.0, 1)


def test_the_ledgers_change_over_the_period_and_who_made_it(day):
    lot("serving", 8, since=day.start - timedelta(hours=1), until=day.start + timedelta(hours=1))
    lot("broken", 8, since=day.start + timedelta(hours=1))
    FleetChange.objects.create(
        at=day.start + timedelta(hours=1), cluster="north", kind="health", object="node n1",
        words="not Ready", plan=None,
    )  # fmt: skip
    section = ledger_changes(day)
    assert rows(section)["serving"] == (8, 0, -8)
    assert rows(section)["broken"] == (0, 8, 8)
    assert section.tables[1].rows[0][3] == "not by a plan"


def test_a_regions_tail_is_its_slowest_models_windows(metrics, day):
    source = metrics(datetime.now(UTC), 5.0)
    times = day.end.timestamp() - 900.0 * np.arange(96)[::-1]
    series = [
        RawSeries({"cluster": "north", "model_name": name}, times, values)
        for name, values in (("chat", np.linspace(0.5, 1.0, 96)), ("code", np.full(96, 0.75)))
    ]
    source.data = {**source.data, "cluster_model:vllm_ttft_seconds:p95_5m": series}
    section = tails(day)
    middle, tenth, worst, at, model, known = rows(section)["north"]
    assert (round(worst), model) == (1000, "chat")
    assert at == day.end.strftime("%Y-%m-%d %H:%M")
    assert 750 <= middle < tenth < worst
    assert known > 0.95


def test_gaps_and_silent_sources_are_named(metrics, day):
    source = metrics(datetime.now(UTC), 5.0)
    name = "cluster_model:vllm_arrivals:rate5m"
    series = source.data[name][0]
    half = series.times > (day.end - timedelta(hours=12)).timestamp()
    gap = RawSeries(series.labels, series.times[half], series.values[half])
    source.data = {**source.data, name: [gap]}
    nodes, _, models = rows(what_was_missing(day))["north"]
    assert nodes == 1.0
    assert models == pytest.approx(0.5, abs=0.02)


def test_on_an_empty_database_every_section_says_what_is_missing(day, settings):
    for model in (Pool, Cluster, Region, FleetSetting):
        model.objects.all().delete()
    document = collect(day, time_zone="UTC", now=day.end)
    assert len(document.sections) == len(settings.REPORT_SECTIONS)
    assert not [s for s in document.sections if "could not be made" in " ".join(s.sentences)]
    named = {title for title, _ in document.missing}
    assert {"SLO share by model", "Cost and cost per million tokens"} <= named
    # How much was measured is known, and it is nothing; no other number may be zero.
    assert not [
        (section.title, cell)
        for section in document.sections
        for table in section.tables
        for row in table.rows
        for cell, column in zip(row, table.columns, strict=True)
        if cell == 0.0 and "easured" not in column.title
    ]


def test_with_a_source_that_is_down_numbers_are_unknown_and_not_zero(metrics, day):
    from infra_console.telemetry.errors import SourceUnreachable

    metrics(datetime.now(UTC), 5.0, failure=SourceUnreachable("main", "connection refused"))
    found = rows(utilisation(day))["training"]
    assert found[:4] == (None, None, None, None)
    assert any("connection refused" in text for text in utilisation(day).missing)
    assert rows(tails(day))["north"][0] is None
    assert rows(slo_share(day))["chat"][1] is None


def test_decisions_and_promises_of_an_empty_period_are_said_to_be_none(day):
    assert decisions(day).tables[1].empty == "Nobody decided anything."
    assert "0 plans" in track_record(day).sentences[0]
