"""Between two cycles live queues correct demand upwards, and the next cycle begins from it."""

from datetime import timedelta

import pytest

from infra_console.audit.models import AuditRow
from infra_console.plans.approving.approvals import reject_plan
from infra_console.plans.models import Plan
from infra_console.plans.services import propose_plan
from infra_console.telemetry.queries import read_instant
from infra_console.telemetry.series import Freshness, RawSeries
from tests.infra_console.plans.specs import node_move, node_steps, spec
from tests.people import person
from tests.tiers.test_demand import cycle, facts, look, now, source
from tests.tiers.test_freezing import WITNESS, witnesses
from tiers import services
from tiers.corrections import corrections_in_force, newest_plans
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


def test_a_queue_that_still_waits_when_the_next_cycle_comes_counts_once(planned, source, cycle):
    source(now(), 9.5, waiting=6_000, refused=0)
    correct_demand(now=now())
    cycle()
    steps = PlannedSnapshot.objects.first().snapshot["demand"]["chat"]["north"]
    assert steps[0]["p50"] == pytest.approx(19.5, abs=0.1)


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


@pytest.fixture
def sent(monkeypatch, django_capture_on_commit_callbacks):
    """What the workers were sent by one look at `now`."""
    asked = []
    monkeypatch.setattr(
        services.current_app, "send_task", lambda name, kwargs: asked.append((name, kwargs))
    )

    def looked(at):
        asked.clear()
        with django_capture_on_commit_callbacks(execute=True):
            correct_demand(now=at)
        return list(asked)

    return looked


CYCLE_ASKED = [("tiers.run_cycle", {"requested_by": "system:fast_pass"})]


def test_demand_above_its_plan_asks_for_a_cycle_at_once_and_not_again_within_two_minutes(
    planned, source, sent
):
    at = now()
    source(at, 9.5, waiting=0, refused=0)
    assert sent(at) == []
    source(at, 9.5, waiting=6_000, refused=0)
    assert sent(at) == CYCLE_ASKED
    record = AuditRow.objects.filter(action="cycle.requested").last()
    assert record.detail == {"why": "demand is above its plan in north"}
    source(at, 9.5, waiting=9_000, refused=0)
    assert sent(at + timedelta(seconds=60)) == []
    assert sent(at + timedelta(seconds=121)) == CYCLE_ASKED  # the first one was lost


def test_no_second_cycle_is_asked_for_while_one_knows_of_the_demand(planned, source, sent):
    at = now()
    source(at, 9.5, waiting=6_000, refused=0)
    assert sent(at) == CYCLE_ASKED
    begun = Cycle.objects.create(started_at=at + timedelta(seconds=5), state="running")
    assert sent(at + timedelta(minutes=3)) == []
    Cycle.objects.filter(pk=begun.pk).update(state="failed")  # it did nothing about it
    assert sent(at + timedelta(minutes=4)) == CYCLE_ASKED


def test_a_surge_in_each_new_plan_still_asks_every_two_minutes_only(planned, source, cycle, sent):
    at = now()
    source(at, 9.5, waiting=6_000, refused=0)
    assert sent(at) == CYCLE_ASKED
    cycle()
    source(at, 9.5, waiting=60_000, refused=0)
    later = now()
    assert later - at < timedelta(minutes=1)
    assert sent(later) == []
    assert sent(at + timedelta(seconds=121)) == CYCLE_ASKED


@pytest.fixture
def waiting_plan(planned, source, cycle, settings):
    """A calm plan that gives chat two groups, held back by the cap."""
    settings.APPROVAL_REQUESTS_PER_SHIFT = 1
    other = spec(moves=(node_move("x"),), steps=tuple(node_steps("x")), domain="other")
    propose_plan(other, authors=["planner"])
    source(now(), 19.0, waiting=0, refused=0)
    cycle()
    plan = Plan.objects.get(domain="tiers")
    assert (plan.urgent, plan.held_back) == ("", True)
    return plan


def test_a_waiting_plan_that_would_help_becomes_urgent_and_is_asked_for_at_once(
    waiting_plan, source
):
    source(now(), 19.0, waiting=6_000, refused=0)
    correct_demand(now=now())
    plan = Plan.objects.get(pk=waiting_plan.pk)
    gpus = corrections_in_force(now=now())[CHAT].gpus
    assert plan.urgent == f"chat in north wants {gpus:.1f} GPUs more than were planned"
    assert plan.held_back is False
    assert (plan.hash, plan.document) == (waiting_plan.hash, waiting_plan.document)
    (row,) = AuditRow.objects.filter(action="plan.urgent")
    assert (row.actor, row.detail["why"]) == ("system:fast_pass", plan.urgent)
    other = Plan.objects.get(domain="other")
    assert other.urgent == ""  # it moves a node that chat gets nothing of
    correct_demand(now=now())
    assert AuditRow.objects.filter(action="plan.urgent").count() == 1


def test_a_plan_that_takes_from_the_workload_stays_calm(waiting_plan, source):
    document = waiting_plan.document
    for move in document["moves"]:
        if move["kind"] == "scale":
            move |= {"to_replicas": move["from_replicas"] - 1}
    Plan.objects.filter(pk=waiting_plan.pk).update(document=document)
    source(now(), 19.0, waiting=6_000, refused=0)
    correct_demand(now=now())
    assert Plan.objects.get(pk=waiting_plan.pk).urgent == ""


def test_what_the_next_cycle_proposes_for_it_is_urgent_too_and_no_other_plan_by_that(
    planned, source, cycle
):
    source(now(), 9.5, waiting=6_000, refused=0)
    correct_demand(now=now())
    cycle()
    plan = Plan.objects.get()
    assert plan.urgent.startswith("chat in north wants ")
    assert plan.spec.urgent == ""  # no part of what is approved


def test_a_persons_no_outlives_a_queue(planned, source, cycle):
    source(now(), 9.5, waiting=6_000, refused=0)
    correct_demand(now=now())
    cycle()
    reject_plan(Plan.objects.get().id, by=person("approver"), reason="the launch is off")
    source(now(), 9.5, waiting=6_060, refused=0)
    correct_demand(now=now())
    cycle()
    assert Plan.objects.count() == 1


def doubted(source, at, **queues):
    """A third of the GPUs' exporters report: nothing may shrink, growing goes on."""
    made = source(at, 9.5, refused=0, **queues)
    made.data = {**made.data, WITNESS: witnesses(at, nodes=1.0)}


@pytest.mark.parametrize("still", [6_000, 0])
def test_a_doubted_cluster_grows_from_what_was_seen_since_its_own_last_plan(
    planned, source, cycle, still
):
    doubted(source, now(), waiting=6_000)
    correct_demand(now=now())
    assert corrections_in_force(now=now())[CHAT].wanted_rps == 19.5
    doubted(source, now(), waiting=still)
    done = cycle()
    assert "1 of 3 ready nodes" in done.document["shrink_frozen"]["north"]
    plan = Plan.objects.get()
    chat = next(row for row in plan.spec.evidence.demand if row["workload"] == "chat")
    assert chat["at_least_now"] == 19.5  # 9.5 arrive
    assert "chat +2" in plan.title
    assert plan.urgent.startswith("chat in north wants ")
    assert corrections_in_force(now=now())[CHAT].wanted_rps == 19.5  # its own plan is as it was


def test_a_doubted_cluster_grows_from_what_is_seen_where_that_is_more(planned, source, cycle):
    doubted(source, now(), waiting=60)
    correct_demand(now=now())
    made = source(now(), 19.0, waiting=0, refused=0)
    made.data = {**made.data, WITNESS: witnesses(now(), nodes=1.0)}
    cycle()
    row = next(r for r in Plan.objects.get().spec.evidence.demand if r["workload"] == "chat")
    assert row["at_least_now"] == 19.0


def test_a_cluster_that_a_cycle_left_out_keeps_its_own_plan(fleet):
    def plan(minutes_ago, *clusters):
        at = now() - timedelta(minutes=minutes_ago)
        made = Cycle.objects.create(started_at=at, state="done", requested_by="x")
        pools = [{"cluster": cluster} for cluster in clusters]
        PlannedSnapshot.objects.create(cycle=made, at=at, snapshot={"pools": pools}, groups=[])
        return made.pk

    plan(30, "east")  # two periods ago
    first, second = plan(11, "north", "south"), plan(1, "south")
    assert newest_plans(now=now()) == {"north": first, "south": second}
    at = now()
    values = {"at": at, "planned_rps": 1.0, "gpus": 1.0, "arrivals_rps": 1.0}
    for cycle_id, cluster, rps in ((first, "north", 5.0), (first, "south", 7.0),
                                   (second, "south", 3.0)):  # fmt: skip
        DemandCorrection.objects.create(
            cycle_id=cycle_id, cluster=cluster, workload="chat", wanted_rps=rps, **values
        )
    found = corrections_in_force(now=now())
    assert {k: c.wanted_rps for k, c in found.items()} == {CHAT: 5.0, ("south", "chat"): 3.0}
