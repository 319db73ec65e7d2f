"""Between two cycles live queues correct demand upwards, and the next cycle begins from it."""

from datetime import timedelta

import pytest

from infra_console.plans.models import Plan
from infra_console.telemetry.queries import read_instant
from infra_console.telemetry.series import Freshness, RawSeries
from tests.people import person
from tests.tiers.test_demand import cycle, facts, look, now, source
from tiers.corrections import corrections_in_force
from tiers.demand_readings import live_demand, read_queues
from tiers.fast_pass import correct_demand
from tiers.models import Cycle, DemandCorrection, PlannedSnapshot
from tiers.tasks import correct_demand as task

__all__ = ["cycle", "look", "source"]
pytestmark = pytest.mark.usefixtures("fleet")
CHAT = ("north", "chat")


@pytest.fixture
def planned(source, cycle):
    """A cycle that found nothing to do: two groups of 5 requests/s, 9.5 arrive."""
    source(now(), 9.5, waiting=0, refused=0)
    assert cycle().verdict == "No change is worth its price."


def test_a_queue_between_two_cycles_stays_until_the_next_plan_has_used_it(
    planned, source, cycle, client
):
    base = PlannedSnapshot.objects.first().snapshot["demand"]["chat"]["north"][0]["p95"]
    source(now(), 9.5, waiting=6_000, refused=0)  # 10 more a second until they are gone
    (said,) = correct_demand(now=now())
    found = corrections_in_force(now=now())[CHAT]
    assert found.wanted_rps == 19.5
    assert found.gpus == pytest.approx((19.5 - base) / 1.25)
    assert said.startswith("chat in north: corrected upwards at ")

    made = source(now(), 9.5, waiting=0, refused=0)  # it is gone again: nothing is taken back
    made.asked.clear()
    assert correct_demand(now=now()) == []
    assert corrections_in_force(now=now())[CHAT] == found
    assert len(made.asked) <= 10  # the whole look, ages and all

    client.force_login(person("viewer"))
    body = client.get("/tiers/demand/", headers={"HX-Request": "true", "HX-Target": "demand"})
    assert "GPUs because queue is 6\u202f000" in body.content.decode()
    assert client.get("/api/v1/demand").json()["rows"][0]["correction"]["gpus"] == found.gpus

    plan = cycle().document["plans"][0]
    assert "chat +" in plan["title"]
    notes = Plan.objects.get(pk=plan["id"]).spec.evidence.notes
    assert any(n.startswith("chat: corrected upwards at ") for n in notes)
    steps = PlannedSnapshot.objects.first().snapshot["demand"]["chat"]["north"]
    assert steps[0]["p50"] == 19.5
    assert corrections_in_force(now=now()) == {}  # that plan knows of it


def test_of_two_looks_at_once_the_higher_is_kept(planned, source):
    source(now(), 9.5, waiting=6_000, refused=0)
    correct_demand(now=now())
    row = DemandCorrection.objects.get()
    DemandCorrection.objects.update(wanted_rps=30.0)  # another worker saw more meanwhile
    source(now(), 9.5, waiting=9_000, refused=0)
    assert correct_demand(now=now()) == []
    row.refresh_from_db()
    assert row.wanted_rps == 30.0


def test_old_numbers_correct_nothing_and_an_old_plan_is_not_corrected(planned, source, settings):
    made = source(now(), 9.5, waiting=6_000, refused=0)
    made.data = {**made.data, "up": [
        RawSeries(s.labels, s.times - 500.0, s.values) for s in made.data["up"]]}  # fmt: skip
    assert correct_demand(now=now()) == []
    source(now(), 9.5, waiting=6_000, refused=0)
    late = now() + timedelta(seconds=2 * settings.CYCLE_EVERY_S + 1)
    assert correct_demand(now=late) == []
    correct_demand(now=now())
    assert corrections_in_force(now=late) == {}


def test_a_gateway_that_exports_no_refusals_is_no_fault(source, cycle, client, look):
    at = now()
    source(at, 9.5, waiting=0)
    reading = read_instant("refused_rps")
    assert (reading.state, reading.series) == (Freshness.ABSENT, ())
    done = cycle()
    assert (done.state, done.document["frozen"], done.document["shrink_frozen"]) == ("done", {}, {})
    look(at)
    client.force_login(person("viewer"))
    body = client.get("/tiers/demand/", headers={"HX-Request": "true", "HX-Target": "demand"})
    assert "not exported" in body.content.decode()
    source(at, 9.5, waiting=0, refused=0)
    assert read_instant("refused_rps").state is Freshness.DELAYED  # gone within five minutes
    assert live_demand(facts(), read_queues())[CHAT].refused_rps == 0.0


def test_the_task_runs_where_nothing_was_planned_yet(source):
    source(now(), 9.5, waiting=6_000)
    task()
    assert not Cycle.objects.exists()
    assert not DemandCorrection.objects.exists()
