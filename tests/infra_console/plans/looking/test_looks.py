"""What a worker sees for the pages: the server's dry run of a plan that nobody decided on, and the
policy checks that rest on it."""

import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from infra_console.plans import services
from infra_console.plans.approving.freezes import Draft, add_window
from infra_console.plans.errors import NotAllowed
from infra_console.plans.looking import answers as looking
from infra_console.plans.looking import looks, rehearsal
from infra_console.plans.looking.answers import answer
from infra_console.plans.looking.looks import ask_look, request_look, send_unanswered
from infra_console.plans.looking.policy import Check, policy_checks
from infra_console.plans.models import LockRow, Plan
from infra_console.plans.models.looks import Look, LookKind
from infra_console.plans.spec import Guard
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.specs import NODE, node_steps, preconditions, scale_step, spec
from tests.people import person


@pytest.fixture
def sent(monkeypatch) -> list[tuple[str, ...]]:
    """The orders that left for a worker."""
    found: list[tuple[str, ...]] = []
    monkeypatch.setattr(looks, "_send", lambda plan_id, kind: found.append((str(plan_id), kind)))
    return found


def propose(**changes) -> Plan:
    return services.propose_plan(spec(**changes), authors=["planner"])


def looked_at(plan: Plan) -> Look:
    ask_look(plan.id, LookKind.REHEARSAL, by="tests")
    answer(plan.id, LookKind.REHEARSAL)
    return Look.objects.get(plan=plan, kind=LookKind.REHEARSAL)


def by_rule(plan: Plan) -> dict[str, Check]:
    return {check.rule: check for check in policy_checks(plan)}


# --- asking and answering ---------------------------------------------------------------------


def test_a_worker_is_asked_for_the_dry_run_as_soon_as_a_plan_is_proposed(
    db, sent, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        plan = propose()
    assert sent == [(str(plan.id), "rehearsal")]
    assert Look.objects.get().asked_by == "system:plans"


def test_an_open_question_is_not_asked_twice_and_an_unanswered_one_again(
    db, sent, django_capture_on_commit_callbacks
):
    plan = propose()
    with django_capture_on_commit_callbacks(execute=True):
        ask_look(plan.id, LookKind.REHEARSAL, by="a")
    assert sent == []
    Look.objects.update(asked_at=timezone.now() - timedelta(seconds=30))
    assert send_unanswered() == 1
    with django_capture_on_commit_callbacks(execute=True):
        ask_look(plan.id, LookKind.REHEARSAL, by="a")
    assert len(sent) == 2
    Look.objects.update(answered_at=timezone.now())
    assert send_unanswered() == 0


def test_nothing_is_asked_by_itself_where_nobody_ever_answers(db, sent, named_cluster):
    for number in range(looks.NOBODY + 2):
        propose(domain=f"d{number}")
    asked = Look.objects.count()
    assert asked == looks.NOBODY + 2, "a whole cycle asks before anybody has answered"
    Look.objects.update(asked_at=timezone.now() - timedelta(minutes=2))
    propose(domain="in vain")
    assert Look.objects.count() == asked
    Look.objects.filter(id=Look.objects.first().pk).update(answered_at=timezone.now())
    propose(domain="answered")
    assert Look.objects.count() == asked + 1


def test_who_only_views_may_not_ask(db, sent):
    with pytest.raises(NotAllowed):
        request_look(propose().id, LookKind.REHEARSAL, by=person("viewer"))


def test_the_dry_run_asks_the_server_for_every_step_and_changes_nothing(twin):
    plan = propose(preconditions=preconditions(twin))
    before = twin.node(NODE)
    look = looked_at(plan)
    assert [s["passed"] for s in look.document["steps"]] == [True] * 4
    assert "the server would set" in look.document["steps"][2]["detail"]
    assert look.document["drift"] == {"changes": [], "problem": ""}
    assert twin.node(NODE) == before
    assert any(r.dry_run for r in twin.log.recent)
    assert (look.problem, look.answered_at is not None) == ("", True)


def test_a_step_that_the_server_or_a_floor_refuses_is_named(twin):
    missing = scale_step("not-there", 1, 2, wave=9)
    guard = Guard(cluster=CLUSTER, tier="training", min_ready_gpus=10_000)
    steps = looked_at(propose(steps=(*node_steps(), missing), guards=(guard,))).document["steps"]
    assert steps[0]["passed"] is False
    assert "below its floor" in steps[0]["detail"]
    assert steps[4]["passed"] is False


def test_a_cluster_that_does_not_answer_makes_every_step_unknown(twin):
    plan = propose()
    twin.run(twin.servers.partition(CLUSTER))
    document = looked_at(plan).document
    assert {s["passed"] for s in document["steps"]} == {None}
    assert CLUSTER in document["unread"]


def test_nothing_is_asked_while_the_kill_switch_is_engaged(twin, operator):
    services.engage_kill_switch(by=operator, reason="drill")
    steps = looked_at(propose()).document["steps"]
    assert {s["detail"] for s in steps} == {rehearsal.KILLED}


def test_a_long_dry_run_stops_and_says_what_was_not_asked(twin, monkeypatch):
    monkeypatch.setattr(rehearsal, "AT_MOST_S", -1.0)
    steps = looked_at(propose()).document["steps"]
    assert {s["detail"] for s in steps} == {rehearsal.NOT_ASKED}


def test_a_failure_is_an_answer_too_and_the_old_one_stays(twin, monkeypatch):
    plan = propose()
    kept = looked_at(plan).document

    def broken(plan):
        raise RuntimeError("boom")

    monkeypatch.setattr(looking, "ANSWERS", {LookKind.REHEARSAL: broken})
    Look.objects.update(asked_at=timezone.now() - timedelta(minutes=1))
    look = looked_at(plan)
    assert (look.document, look.problem) == (kept, looks.FAILED)


# --- policy checks ----------------------------------------------------------------------------


def test_each_rule_has_its_verdict_and_its_figure(twin, armed):
    plan = propose(preconditions=preconditions(twin))
    looked_at(plan)
    found = by_rule(plan)
    assert found.pop("Quorum") == Check(
        "Quorum", False, "0 of 1 approvals; missing: 1 approval more", waits=True
    )
    assert {rule: c.passed for rule, c in found.items()} == dict.fromkeys(
        ["Expiry", "Hash", "Kill switch", "Arming", "Freeze windows", "Locks",
         f"Floor of training in {CLUSTER}", f"Budget of {CLUSTER}", "Drift",
         f"Ownership of {CLUSTER}", "Server dry-run"], True,
    )  # fmt: skip
    assert found["Server dry-run"].words == "4 of 4 steps passed"
    assert found["Drift"].words == "none of 5 facts has changed"
    floor = found[f"Floor of training in {CLUSTER}"].words
    before, after = (int(part.split()[0]) for part in floor.split(" → "))
    assert (before - after, floor.endswith("floor 8")) == (8, True)


def test_what_fails_says_why(twin, operator):
    guard = Guard(cluster=CLUSTER, tier="training", min_ready_gpus=999)
    plan = propose(preconditions=preconditions(twin), guards=(guard,))
    other = propose(domain="regions")
    LockRow.objects.create(cluster=CLUSTER, tier="training", plan=other, taken_at=timezone.now())
    services.engage_kill_switch(by=operator, reason="drill")
    add_window(Draft("all day", "deny", "0 0 * * *", 1440, "UTC"), by=person("admin"))
    twin.edit_node(NODE, metadata={"labels": {"infra-console.dev/tier": "operational"}})
    looked_at(plan)
    found = by_rule(plan)
    assert found["Arming"].words.startswith(f"not armed: {CLUSTER}/inference, {CLUSTER}/training")
    assert found["Locks"] == Check(
        "Locks", False, f"{CLUSTER}/training is held by plan {other.number}", plan_id=other.id
    )
    assert "all day" in found["Freeze windows"].words
    assert "1 changed" in found["Drift"].words
    assert found["Kill switch"].passed is False
    assert found["Server dry-run"].passed is None


def test_without_a_fresh_look_the_cluster_rules_are_unknown_not_passed(twin):
    plan = propose()
    Look.objects.all().delete()
    assert by_rule(plan)["Drift"] == Check("Drift", None, "no worker has looked yet")
    looked_at(plan)
    Look.objects.update(seen_at=timezone.now() - timedelta(minutes=16))
    found = by_rule(plan)["Server dry-run"]
    assert (found.passed, "older than 15 min" in found.words) == (None, True)


def test_a_lease_of_another_console_fails_ownership(db, twin, monkeypatch):
    plan = propose()
    looked_at(plan)
    look = Look.objects.get()
    look.document["owners"] = {CLUSTER: {"ours": False, "words": "b/x holds its Lease"}}
    Look.objects.update(document=look.document)
    assert by_rule(plan)[f"Ownership of {CLUSTER}"].passed is False


def test_there_are_none_once_a_plan_has_begun(db):
    plan = propose()
    Plan.objects.update(state="executing")
    plan.refresh_from_db()
    assert policy_checks(plan) == []


# --- doors ------------------------------------------------------------------------------------


def test_page_api_and_shell_show_the_checks_and_ask(twin, client, approver, sent, capsys):
    plan = propose()
    looked_at(plan)
    client.force_login(person("viewer"))
    page = client.get(f"/plans/{plan.id}/").content.decode()
    assert "Policy checks" in page and "4 of 4 steps passed" in page
    assert "needs the right plan.comment" in page
    assert client.post(f"/plans/{plan.id}/looks/rehearsal").status_code == 403
    client.force_login(approver)
    Look.objects.update(asked_at=timezone.now() - timedelta(minutes=1))
    client.post(f"/plans/{plan.id}/looks/rehearsal")
    assert Look.objects.get().answered_at is None
    assert "the answer comes by itself" in client.get(f"/plans/{plan.id}/").content.decode()
    assert client.post(f"/plans/{plan.id}/looks/nonsense").status_code == 404
    api = f"/api/v1/plans/{plan.id}"
    assert client.get(f"{api}/checks").json()[0]["rule"] == "Quorum"
    assert client.get(f"{api}/looks/rehearsal").json()["document"]["steps"]
    assert client.get(f"{api}/looks/way_back").status_code == 404
    assert client.post(f"{api}/looks/way_back").json()["asked_by"] == "approver"
    call_command("plans", "checks", str(plan.number), "--json")
    assert json.loads(capsys.readouterr().out)[0]["rule"] == "Quorum"
    call_command("plans", "checks", str(plan.number))
    assert "waits    Quorum: 0 of 1 approvals" in capsys.readouterr().out
