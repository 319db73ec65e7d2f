"""The forecast page: bands against what came, models and why, and every bad state in words."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.people import person
from tests.tiers.forecasts import BAND, grid, made
from tiers.core.forecast.quantiles import STEPS
from tiers.forecast_queries import forecast_page
from tiers.forecast_timeline import _given, forecast_timeline
from tiers.models import Cycle, ForecastModel, GangRun, WorkloadForecast

pytestmark = pytest.mark.usefixtures("fleet")


def notices(**scope: str) -> list[str]:
    return [n.key for n in forecast_page(now=timezone.now(), **scope).notices]


@pytest.fixture
def viewer(client):
    client.force_login(person("viewer"))
    return client


def text(client, address="/tiers/forecast/") -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


# --- states -------------------------------------------------------------------------------------


def test_before_any_cycle_the_page_says_what_to_run(viewer):
    page = text(viewer)
    assert "No forecast yet" in page
    assert "manage.py loop --once" in page
    assert "No forecast of this scope fell due yet" in page


def test_a_fresh_forecast_shows_the_model_in_force_why_and_how_it_compares(viewer):
    made(timezone.now())
    (line,) = forecast_page(now=timezone.now()).series
    two, four = line.choices
    assert (two.title, two.to_best_naive) == ("mixture", 0.5)
    assert (four.title, four.to_best_naive) == ("last value", None)
    assert [(a.hours, round(a.p50, 1)) for a in line.ahead] == [(1, 5.4), (2, 5.4), (4, 5.4)]
    page = text(viewer)
    assert "last value not used because its error was 100% higher" in page
    assert notices() == ["no-network"]
    assert "facts-old" not in page


def test_forecasts_of_a_cycle_that_still_runs_are_shown_with_what_the_last_one_told(viewer):
    now = timezone.now()
    made(now - timedelta(minutes=2), missing={"north/training": "silent"}, learned="m")
    Cycle.objects.filter(pk=made(now).pk).update(document={}, state="running")
    page = forecast_page(now=now)
    assert [line.workload for line in page.series] == ["chat"]
    assert page.age_s == pytest.approx(0, abs=1)
    assert [m.workload for m in page.missing] == ["training"]


def test_a_forecast_older_than_two_cycles_is_dimmed_and_the_newest_cycle_named(viewer, settings):
    settings.CYCLE_EVERY_S = 600
    made(timezone.now() - timedelta(minutes=25))
    Cycle.objects.create(
        started_at=timezone.now(), state="frozen", requested_by="t",
        verdict="north is silent since 11:40.",
    )  # fmt: skip
    assert notices()[0] == "old"
    page = text(viewer)
    assert "25 min old, more than two cycles" in page
    assert "frozen: north is silent since 11:40." in page
    assert "facts-old" in page


def test_a_value_that_is_late_makes_its_forecast_stale(viewer):
    now = timezone.now()
    made(now, input_at=now - timedelta(minutes=40))
    assert "stale-input" in notices()
    assert "1 of 1 forecasts begin from a value more than 20 min old" in text(viewer)


def test_a_series_without_history_is_named_with_its_reason_and_is_not_zero(viewer):
    made(timezone.now(), missing={"north/training": "no series carries its name"})
    page = forecast_page(now=timezone.now())
    assert [(m.workload, m.why) for m in page.missing] == [
        ("training", "no series carries its name")
    ]
    assert "no-history" in notices()
    assert "no-history" not in notices(tier="inference")
    assert all(step.p50 is None for step in page.gangs)
    assert "1 of 2 series have no forecast" in text(viewer)


def test_a_refused_network_is_flagged_with_what_is_in_its_place(viewer):
    now = timezone.now()
    values = {"path": "x", "sha256": "ab" * 32, "seed": 1, "series": 2, "seconds": 3.0}
    ForecastModel.objects.create(version="old", trained_at=now - timedelta(hours=6), **values)
    ForecastModel.objects.create(
        version="new", trained_at=now, state="refused",
        reason="its SHA-256 is not the recorded one", **values,
    )  # fmt: skip
    made(now, learned="old")
    assert notices() == ["refused"]
    page = text(viewer)
    assert "Network new was refused: its SHA-256 is not the recorded one" in page
    assert "In its place: network old" in page
    assert "abababababab" in page
    Cycle.objects.all().delete()
    made(now, learned="Forecast model old: cannot be read")
    assert "In its place: the naive models and their mixture" in text(viewer)


def test_every_part_answers_alone_as_the_page_shows_it(viewer):
    made(timezone.now())
    for part in ("forecast-state", "forecast", "training", "calendar"):
        found = viewer.get(
            "/tiers/forecast/", headers={"HX-Request": "true", "HX-Target": part}
        ).content.decode()
        assert "<html" not in found
        assert f'id="{part}"' in found


# --- over time ----------------------------------------------------------------------------------


def test_the_chart_puts_what_came_on_what_had_been_said_and_what_is_said_now(viewer, metrics):
    now = timezone.now()
    metrics(now, 5.0)
    made(now - timedelta(hours=3))
    made(now)
    line = forecast_timeline(
        tier="inference", workload="chat", region="", start=now - timedelta(hours=6), now=now,
        ahead_h=2,
    )  # fmt: skip
    assert line.unit == "requests/s"
    assert {v for v in line.actual if v is not None} == {5.0}
    assert line.given.times == [(grid(now - timedelta(hours=3)) + timedelta(hours=2)).timestamp()]
    assert line.given.p50 == [pytest.approx(5.4)]
    assert len(line.coming.times) == STEPS
    figure = viewer.get("/tiers/forecast/chart?workload=chat&range=6h%2B4h").json()
    names = {t["name"] for t in figure["data"] if "name" in t}
    assert {"Actual", "Forecast, p50", "Forecast 2 h before, p50"} <= names
    assert figure["problem"] == ""
    past = viewer.get("/tiers/forecast/chart?workload=chat&range=6h").json()
    assert not any(t.get("name") == "Forecast, p50" for t in past["data"])


def test_a_tier_is_shown_in_gpus_and_the_table_says_the_same(viewer, metrics):
    now = timezone.now()
    metrics(now, 5.0)
    made(now)
    line = forecast_timeline(
        tier="inference", workload="", region="north", start=now - timedelta(hours=3), now=now,
        ahead_h=2,
    )  # fmt: skip
    assert line.unit == "GPUs"
    assert line.actual[-2] == pytest.approx(4.0)  # 5 requests/s at 1.25 a GPU
    rows = viewer.get("/tiers/forecast/table?region=north").content.decode()
    assert "Actual, GPUs" in rows
    assert "to come" in rows


def test_a_cycle_that_lacked_a_series_is_a_gap_not_a_low_sum(metrics):
    now = timezone.now()
    metrics(now, 5.0)
    made(now - timedelta(hours=3))
    both = made(now)
    made(now + timedelta(seconds=1), workload="code")
    WorkloadForecast.objects.filter(workload="code").update(cycle=both)
    rows = {("north", "chat"), ("north", "code")}
    found = _given(rows, {"chat": 1.0, "code": 1.0}, now - timedelta(hours=2), now, 2)
    assert found.p50 == [None]


def test_a_silent_source_leaves_the_forecast_and_says_why(viewer):
    made(timezone.now())
    figure = viewer.get("/tiers/forecast/chart").json()
    assert figure["problem"].startswith("No history: ")
    assert any(t.get("name") == "Forecast, p50" for t in figure["data"])
    assert "Nothing is known" not in viewer.get("/tiers/forecast/table").content.decode()


def test_known_gangs_stand_beside_the_forecast_of_the_whole(viewer):
    now = timezone.now()
    cycle = made(now)
    WorkloadForecast.objects.create(
        cycle=cycle, cluster="north", workload="training", tier="training", unit="GPUs",
        made_at=grid(now), step_s=600, last_value=20.0, model_2h="last", model_4h="last",
        quantiles=[[10 * b for b in BAND]] * STEPS, input_at=grid(now),
    )  # fmt: skip
    gang = {"cluster": "north", "namespace": "training", "tier": "training", "seen_at": now,
            "started_at": now - timedelta(hours=1), "started_told": True}  # fmt: skip
    GangRun.objects.create(name="a", gpus=16, deadline_at=now + timedelta(minutes=90), **gang)
    GangRun.objects.create(name="b", gpus=8, **gang)
    steps = forecast_page(now=now).gangs
    assert [(s.hours, s.running_gpus, s.open_gpus) for s in steps] == [
        (0, 24, 8), (1, 24, 8), (2, 8, 8), (4, 8, 8),
    ]  # fmt: skip
    assert steps[0].p50 == 20.0
    assert steps[2].new_gpus == pytest.approx(54 - 8)
    assert "known gangs and the whole" in text(viewer)
    assert forecast_page(tier="inference", now=now).gangs == ()
