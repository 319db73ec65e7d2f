"""How forecasts are judged, and how they and the calendar leave and enter the console."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from infra_console.audit.models import AuditRow
from infra_console.plans.models import Execution, Plan
from tests.people import person
from tests.tiers.forecasts import grid, made
from tiers.core.forecast.quantiles import STEPS
from tiers.forecast_gain import gains_over_reacting
from tiers.forecast_scores import HORIZONS_MIN, last_day_scores
from tiers.histories import Histories
from tiers.lags import Lag, actuation_lag
from tiers.models import CalendarEvent, TrainingRun

pytestmark = pytest.mark.usefixtures("fleet")


@pytest.fixture
def viewer(client):
    client.force_login(person("viewer"))
    return client


def text(client, address="/tiers/forecast/") -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_forecasts_given_out_are_judged_against_each_naive_one_at_each_horizon():
    now = grid(timezone.now())
    made(now - timedelta(hours=5))
    times = now.timestamp() - 600.0 * np.arange(8 * 144)[::-1]
    wave = np.where(times > now.timestamp() - 86_000, 5.0, 10.0)  # yesterday was twice as much
    histories = Histories(
        (("north", "chat"),), wave[None, :], times, np.zeros(1), {},
    )  # fmt: skip
    scores = last_day_scores(histories, now=now)
    assert [s.horizon_min for s in scores] == list(HORIZONS_MIN)
    found = scores[-1].line()
    assert found["error"] == pytest.approx(0.08)
    assert found["naive"] == {"last": pytest.approx(0.2), "day": 1.0, "week": 1.0}
    assert found["coverage_95"] == 1.0


def test_the_gain_is_told_at_the_lag_of_this_fleet():
    def score(minutes, error, last):
        return {"tier": "inference", "unit": "requests/s", "horizon_min": minutes, "judged": 9,
                "error": error, "naive": {"last": last}}  # fmt: skip

    scores = [score(10, 0.05, 0.05), score(60, 0.06, 0.12), score(240, 0.1, 0.4)]
    slow, fast = (Lag(3, s / 2, s / 2, s, s) for s in (2_400.0, 300.0))
    (gain,) = gains_over_reacting(scores, slow)
    assert (gain.horizon_min, gain.share) == (60, pytest.approx(0.5))
    (gain,) = gains_over_reacting(scores, fast)
    assert (gain.horizon_min, gain.share) == (10, pytest.approx(0.0))
    (gain,) = gains_over_reacting(scores, Lag(1, 0, 20_000, 20_000, 20_000))
    assert gain.longer
    assert list(gains_over_reacting(scores, None)) == []


def test_the_lag_is_measured_from_plans_that_were_carried_out(viewer):
    now = timezone.now()
    assert actuation_lag(now=now) is None
    plan = Plan.objects.create(
        number=1, state="settled", domain="tiers", title="t", summary="s", document={}, hash="h",
        moves_key="m", authors=["a"], created_at=now - timedelta(minutes=30), expires_at=now,
    )  # fmt: skip
    Execution.objects.create(
        plan=plan, mode="real", started_at=now - timedelta(minutes=20), verify_until=now
    )
    assert actuation_lag(now=now) is None  # no step is done
    plan.steps.create(
        index=0, key="k", kind="workload.scale", title="t", cluster="north", tier="inference",
        wave=0, target={}, state="done", finished_at=now - timedelta(minutes=15),
    )  # fmt: skip
    lag = actuation_lag(now=now)
    assert (lag.decided_s, lag.carried_out_s, lag.total_s) == (600, 300, 900)


# --- export and calendar ------------------------------------------------------------------------


def test_forecasts_leave_as_json_and_csv_with_their_models_and_ages(viewer):
    now = timezone.now()
    made(now)
    (item,) = viewer.get("/api/v1/tiers/forecasts").json()["items"]
    assert item["errors"]["2h"]["mix"] == [1.0, 90]
    assert datetime.fromisoformat(item["input_at"]) == grid(now)
    answer = viewer.get("/api/v1/tiers/forecasts.csv?tier=inference")
    assert "attachment" in answer["Content-Disposition"]
    body = b"".join(answer.streaming_content).decode()
    rows = list(csv.DictReader(io.StringIO(body)))
    assert len(rows) == STEPS
    assert (rows[0]["model"], rows[-1]["model"]) == ("mix", "last")
    assert float(rows[0]["p97.5"]) == pytest.approx(6.8)
    report = viewer.get("/api/v1/tiers/forecast-report").json()
    assert [n["key"] for n in report["notices"]] == ["no-network"]
    assert report["lag"] is None


def test_the_shell_says_the_same_and_asks_for_a_training(capsys):
    call_command("forecast")
    assert "No forecast was made yet" in capsys.readouterr().out
    made(timezone.now())
    call_command("forecast", "--json")
    assert json.loads(capsys.readouterr().out)["notices"][0]["key"] == "no-network"
    call_command("forecast")
    assert "in 2 h 5.4 requests/s (4.2 to 6.6); mixture to 2h" in capsys.readouterr().out
    with pytest.raises(CommandError, match="--as USER"):
        call_command("forecast", "--retrain")
    call_command("forecast", "--retrain", "--as", "anna")
    assert TrainingRun.objects.get().requested_by == "anna"


def test_events_are_kept_by_who_may_marked_on_the_chart_and_audited(client, metrics):
    now = timezone.now()
    metrics(now, 5.0)
    made(now)
    form = {
        "kind": "launch", "title": "chat 2 goes live", "region": "north", "workload": "chat",
        "starts_at": f"{now + timedelta(hours=1):%Y-%m-%dT%H:%M}",
        "ends_at": f"{now + timedelta(hours=3):%Y-%m-%dT%H:%M}",
    }  # fmt: skip
    client.force_login(person("viewer"))
    assert client.post("/tiers/forecast/events", form).status_code == 403
    client.force_login(person("planner"))
    client.post("/tiers/forecast/events", form)
    event = CalendarEvent.objects.get()
    assert event.starts_at.tzinfo is UTC
    assert AuditRow.objects.get(action="forecast.event_added").detail["title"] == event.title
    figure = client.get("/tiers/forecast/chart").json()
    assert any(s["type"] == "rect" for s in figure["layout"]["shapes"])
    assert figure["layout"]["annotations"][0]["text"] == "chat 2 goes live"
    assert "does not use them as input" in text(client)
    assert client.get("/api/v1/tiers/calendar").json()["used_by_forecaster"] is False
    training = client.get("/tiers/forecast/chart?tier=training").json()
    assert training["layout"]["annotations"] == []
    assert client.delete(f"/api/v1/tiers/calendar/{event.pk}").status_code == 204
    assert AuditRow.objects.filter(action="forecast.event_removed").count() == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"ends_at": "2026-11-24T09:00"}, "ends before it begins"),
        ({"starts_at": "soon"}, "422"),
        ({"ends_at": "2027-11-24T09:00"}, "31 days at most"),
        ({"title": " "}, "needs a title"),
        ({"kind": "party"}, "must be one of launch"),
        ({"region": "nowhere"}, "no region"),
        ({"workload": "nothing"}, "no workload"),
    ],
)
def test_an_event_that_cannot_be_is_refused_with_the_reason(client, change, why):
    client.force_login(person("planner"))
    wanted = {
        "kind": "holiday", "title": "New Year", "starts_at": "2026-11-24T10:00",
        "ends_at": "2026-11-24T12:00",
    } | change  # fmt: skip
    answer = client.post("/api/v1/tiers/calendar", wanted, content_type="application/json")
    assert answer.status_code == 422
    assert why in (answer.content.decode() if why != "422" else str(answer.status_code))
    assert not CalendarEvent.objects.exists()
