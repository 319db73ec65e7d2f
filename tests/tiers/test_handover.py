"""The handover page: changes with their doer, shortages with their basis, unknown said."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from infra_console.audit.services import record_audit
from infra_console.fleet.models import Reservation
from tests.observations import observed, tier
from tests.people import person
from tiers.core.forecast.quantiles import QUANTILES
from tiers.handover import deeds, since_of
from tiers.models import Cycle, FleetChange, WorkloadForecast
from tiers.outlook import outlook

pytestmark = pytest.mark.usefixtures("fleet")


@pytest.fixture
def viewer(client):
    client.force_login(person("viewer"))
    return client


def forecast(rps: float, now: datetime) -> None:
    cycle = Cycle.objects.create(started_at=now, state="done", requested_by="x")
    WorkloadForecast.objects.create(
        cycle=cycle, cluster="north", workload="chat", tier="inference", unit="requests/s",
        made_at=now, step_s=600, model_2h="last", model_4h="last",
        quantiles=[[rps] * len(QUANTILES)] * 24,
    )  # fmt: skip


def test_a_forecast_above_supply_is_a_likely_shortage_in_gpus(metrics):
    now = timezone.now()
    metrics(now, 5.0)
    observed()
    forecast(12.6, now)  # chat serves 5 requests/s on 4 GPUs: 10.08 GPUs
    (short,) = outlook(now=now).short
    assert (short.tier, short.first_gpus, short.basis) == ("inference", 3, "forecast p50")
    assert short.at == now + timedelta(minutes=10)


def test_what_is_unknown_is_listed_not_taken_for_enough(metrics):
    now = timezone.now()
    metrics(now, 5.0)
    observed()
    found = outlook(now=now)
    assert found.short == []
    words = {(t, w) for _, t, w in found.unknown}
    assert ("inference", "the next 4 h: no forecast is in force") in words
    assert ("training", "4–12 h: nothing was recorded at the same time last week") in words


def test_last_week_speaks_beyond_the_forecast(metrics, monkeypatch):
    now = timezone.now()
    metrics(now - timedelta(days=5), 5.0)  # three days of history that end five days ago
    observed(tiers={"training": tier(0), "inference": tier(8), "operational": tier(0)})
    (short,) = outlook(now=now).short
    assert (short.tier, short.first_gpus, short.basis) == ("training", 8, "same time last week")
    assert short.at >= now + timedelta(hours=3.5)


def test_a_reservation_that_ends_is_in_the_calendar(metrics):
    now = timezone.now()
    metrics(now, 5.0)
    observed()
    for name, hours in (("soon", 5), ("later", 50)):
        Reservation.objects.create(
            id=name, start=now - timedelta(days=9), end=now + timedelta(hours=hours), gpus=8,
            pool="north/H100/reserved", source="c", imported_at=now, imported_by="a",
        )  # fmt: skip
    assert [(c.cluster, c.gpus, c.why) for c in outlook(now=now).calendar] == [
        ("north", -8, "reservation soon ends")
    ]


def test_the_page_tells_foreign_changes_from_plans_and_deeds_with_their_doer(viewer):
    now = timezone.now()
    observed()
    for minutes, plan in ((5, None), (6, 12), (9 * 60, None)):
        FleetChange.objects.create(
            at=now - timedelta(minutes=minutes), cluster="north", kind="cordon",
            object=f"node-{minutes}", words="cordoned", plan=plan,
        )  # fmt: skip
    record_audit(
        actor="rosa", action="freeze.added", object_kind="freeze", object_id="1", detail={}
    )
    page = viewer.get("/tiers/handover/").content.decode()
    assert "node-5" in page
    assert "not by a plan" in page
    assert "plan 12" in page
    assert "node-540" not in page
    assert "freeze.added" in page
    assert "rosa" in page


def test_what_runs_short_comes_apart_from_the_page(viewer, metrics):
    metrics(timezone.now(), 5.0)
    observed()
    headers = {"HX-Request": "true", "HX-Target": "ahead"}
    part = viewer.get("/tiers/handover/", headers=headers).content.decode()
    assert "<html" not in part
    assert "no forecast is in force" in part


def test_what_somebody_did_many_times_in_a_row_is_one_line():
    for number in range(5):
        record_audit(
            actor="rosa", action="cluster.armed", object_kind="arming", object_id=str(number),
            detail={},
        )  # fmt: skip
    record_audit(
        actor="sam", action="cluster.armed", object_kind="arming", object_id="9", detail={}
    )
    told, more = deeds(since=timezone.now() - timedelta(hours=1))
    assert [(d.actor, d.times) for d in told[:2]] == [("sam", 1), ("rosa", 5)]
    assert not more


def test_since_is_a_past_hour_of_this_week_or_eight_hours_ago():
    now = datetime(2026, 3, 10, 12, tzinfo=UTC)
    assert since_of("2026-03-10T06:00", now=now) == datetime(2026, 3, 10, 6, tzinfo=UTC)
    assert since_of("2026-01-01T00:00", now=now) == now - timedelta(days=7)
    for nonsense in ("", "soon", "2027-01-01T00:00"):
        assert since_of(nonsense, now=now) == now - timedelta(hours=8)
