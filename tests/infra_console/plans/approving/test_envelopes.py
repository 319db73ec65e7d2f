"""Approval in advance: who gives it, what it covers, what is taken from it, and how it ends."""

import json
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from infra_console.audit.models import AuditRow
from infra_console.audit.services import record_audit
from infra_console.fleet.config import ApprovalRule
from infra_console.plans import services
from infra_console.plans.approving import envelopes, in_advance, quorum
from infra_console.plans.approving.covers import is_open, opens_at, outside
from infra_console.plans.approving.envelopes import (
    Draft,
    approve_envelope,
    propose_envelope,
    reject_envelope,
)
from infra_console.plans.approving.freezes import frozen_plan
from infra_console.plans.approving.in_advance import return_unused, revoke_envelope
from infra_console.plans.errors import (
    EnvelopeClosed,
    EnvelopeInvalid,
    NotAllowed,
    OwnEnvelope,
    ReasonMissing,
)
from infra_console.plans.invariants.checker import check
from infra_console.plans.invariants.reading import read_history
from infra_console.plans.models import Execution, Plan, Transition
from infra_console.plans.models.envelopes import Envelope
from infra_console.plans.spec import Guard, PlanSpec
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.specs import KINDS, node_move, node_steps, promise, scale_step, spec
from tests.people import person

LOOP = ["system:loop"]


@pytest.fixture(autouse=True)
def _on(settings, named_cluster):
    settings.ENVELOPES = True


@pytest.fixture
def admin(db):
    return person("admin")


def draft(**changes) -> Draft:
    fields = {
        "title": "small moves by day",
        "clusters": [CLUSTER],
        "tiers": ["inference", "training"],
        "step_kinds": list(KINDS),
        "plan_gpus": 8,
        "total_gpus": 16,
        "expires_at": timezone.now() + timedelta(days=7),
        "reason": "they were all approved for a month",
    }
    return Draft(**(fields | changes))


@pytest.fixture
def armed_envelope(admin, approver):
    def make(**changes) -> Envelope:
        made = propose_envelope(draft(**changes), by=admin)
        return approve_envelope(made.pk, by=approver, reason="agreed")

    return make


def small(**changes) -> PlanSpec:
    """A node that training can spare: it keeps 24 GPUs and its floor is 8."""
    left = promise(title="training holds 24", labels={"cluster": CLUSTER, "tier": "training"},
                   bound=24.0)  # fmt: skip
    return spec(**{"promises": (left,)} | changes)


def other_node(name: str) -> PlanSpec:
    return small(moves=(node_move(name),), steps=tuple(node_steps(name)))


def by_loop(document: PlanSpec | None = None) -> Plan:
    return services.propose_plan(document or small(), authors=LOOP)


# --- giving it --------------------------------------------------------------------------------


def test_nobody_approves_their_own_envelope_not_even_an_admin(admin, approver):
    made = propose_envelope(draft(), by=admin)
    with pytest.raises(OwnEnvelope):
        approve_envelope(made.pk, by=admin, reason="mine")
    assert approve_envelope(made.pk, by=approver, reason="agreed").state == "armed"
    with pytest.raises(EnvelopeClosed):
        reject_envelope(made.pk, by=approver, reason="late")


@pytest.mark.parametrize(
    "changes",
    [
        {"title": " "}, {"clusters": []}, {"clusters": ["mars"]}, {"tiers": []},
        {"step_kinds": ["node.explode"]}, {"plan_gpus": 0}, {"plan_gpus": 32},
        {"time_zone": "Mars/Base"}, {"expires_at": None},
        {"expires_at": timezone.now() - timedelta(minutes=1)},
        {"expires_at": timezone.now() + timedelta(days=40)},
    ],
)  # fmt: skip
def test_an_envelope_without_bounds_is_not_kept(admin, changes):
    with pytest.raises(EnvelopeInvalid):
        propose_envelope(draft(**changes), by=admin)
    assert not Envelope.objects.exists()


def test_it_needs_the_right_and_a_reason(admin, operator):
    with pytest.raises(NotAllowed):
        propose_envelope(draft(), by=operator)
    with pytest.raises(ReasonMissing):
        propose_envelope(draft(reason=" "), by=admin)


def test_the_audit_keeps_every_act_with_the_bounds(armed_envelope, operator):
    made = armed_envelope()
    plan = by_loop()
    revoke_envelope(made.pk, by=operator, reason="enough")
    return_unused()
    rows = AuditRow.objects.filter(object_kind="envelope").order_by("seq")
    assert [r.action.removeprefix("envelope.") for r in rows] == [
        "proposed", "approved", "used", "revoked", "returned"
    ]  # fmt: skip
    assert rows[2].detail["plan"] == plan.number
    assert rows[1].detail["plan_gpus"] == 8


# --- what it covers ---------------------------------------------------------------------------


def test_a_plan_of_the_loop_that_fits_is_approved_in_advance(armed_envelope, admin, approver):
    made = armed_envelope()
    plan = by_loop()
    given = plan.approvals.get()
    assert (plan.state, given.by, given.envelope_id) == ("approved", f"envelope:{made.pk}", made.pk)
    assert approver.username in given.reason
    assert Envelope.objects.get().used_gpus == 8
    assert Execution.objects.filter(plan=plan).exists()


def test_without_the_setting_nothing_is_approved(armed_envelope, settings):
    settings.ENVELOPES = False
    armed_envelope()
    assert by_loop().state == "proposed"


def test_a_plan_that_a_person_had_a_part_in_waits_for_another_person(armed_envelope):
    armed_envelope()
    plan = services.propose_plan(small(), authors=["system:loop", "planner"])
    assert plan.state == "proposed"


def test_a_plan_that_waits_is_approved_when_it_is_proposed_again_under_a_new_envelope(
    armed_envelope,
):
    waiting = by_loop()
    assert waiting.state == "proposed"
    armed_envelope()
    again = by_loop()
    assert (again.id, again.state) == (waiting.id, "approved")


OUTSIDE = {
    "more GPUs than a plan may": ({"plan_gpus": 4}, {}, "8 GPUs move, at most 4"),
    "another tier": ({"tiers": ["training"]}, {}, "not for the tier inference"),
    "a step kind": ({"step_kinds": ["node.cordon"]}, {}, "does not allow node.assign_tier"),
    "what is lost": ({}, {"losses": ("3 GPU-hours of training",)}, "cannot be taken back"),
    "a tier at its floor": (
        {}, {"guards": (Guard(cluster=CLUSTER, tier="training", min_ready_gpus=24),)},
        "training is left at its floor",
    ),
    "a tier whose rest is unknown": ({}, {"promises": ()}, f"training in {CLUSTER} keeps is unkno"),
    "a workload at its floor": (
        {"step_kinds": [*KINDS, "workload.scale"]},
        {"steps": (*node_steps(), scale_step("chat-7b", 3, 2, wave=9))},
        "chat-7b is left at its floor",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OUTSIDE)
def test_what_it_does_not_cover_waits_for_a_person(armed_envelope, case):
    bounds, changes, words = OUTSIDE[case]
    made = armed_envelope(**bounds)
    document = small(**changes)
    assert words in "; ".join(outside(made, document, at=timezone.now()))
    assert by_loop(document).state == "proposed"
    assert Envelope.objects.get().used_gpus == 0


def test_a_plan_that_needs_two_approvals_is_not_approved_by_one_envelope(
    armed_envelope, monkeypatch
):
    rules = (ApprovalRule(title="all", approvals=2),)
    monkeypatch.setattr(quorum, "rules_in_force", lambda: rules)
    armed_envelope()
    assert by_loop().state == "proposed"


def test_it_covers_no_plan_that_could_begin_after_its_own_end(armed_envelope, settings):
    settings.PLAN_TTL_S = 3600
    armed_envelope(expires_at=timezone.now() + timedelta(minutes=30))
    assert by_loop().state == "proposed"


@pytest.mark.parametrize(
    ("opens", "closes", "hour", "open_then"),
    [
        (9, 17, 7, False), (9, 17, 8, True), (9, 17, 16, False),  # UTC+1 in winter
        (22, 6, 23, True), (22, 6, 12, False), (0, 0, 3, True),
    ],
)  # fmt: skip
def test_its_hours_are_local_and_may_pass_midnight(opens, closes, hour, open_then):
    row = Envelope(opens=time(opens), closes=time(closes), time_zone="Europe/Oslo")
    at = datetime(2026, 12, 1, hour, tzinfo=UTC)
    assert is_open(row, at) is open_then
    if not open_then:
        assert is_open(row, opens_at(row, at))


def test_a_plan_that_has_not_begun_when_the_hours_end_is_held_like_a_freeze(armed_envelope):
    made = armed_envelope()
    plan = by_loop()
    assert frozen_plan(plan) is None
    later = timezone.now() + timedelta(hours=2)
    Envelope.objects.update(opens=later.time(), closes=(later + timedelta(hours=1)).time())
    held = frozen_plan(plan)
    assert held.name == f"the hours of envelope {made.pk}"
    assert abs((held.until - later).total_seconds()) < 61


# --- what is taken from it --------------------------------------------------------------------


def test_two_plans_cannot_overspend_it(armed_envelope):
    armed_envelope(total_gpus=8)
    assert by_loop().state == "approved"
    assert by_loop(other_node(f"{CLUSTER}-h100-reserved-07")).state == "proposed"
    assert Envelope.objects.get().used_gpus == 8


def test_what_was_read_before_another_took_it_does_not_count(armed_envelope):
    stale = armed_envelope(total_gpus=8)
    waiting = services.propose_plan(small(), authors=["planner"])
    assert in_advance._take(Envelope.objects.get(), waiting, 8)
    assert stale.left_gpus == 8
    assert not in_advance._take(stale, waiting, 8)


@pytest.mark.parametrize("state", ["withdrawn", "expired", "void", "rehearsed"])
def test_a_plan_without_effect_gives_back_once(armed_envelope, state):
    armed_envelope()
    Plan.objects.filter(id=by_loop().id).update(state=state)
    assert return_unused() == 1
    assert return_unused() == 0
    assert Envelope.objects.get().used_gpus == 0


def test_a_failed_plan_gives_back_only_what_it_never_wrote(armed_envelope):
    armed_envelope()
    plan = by_loop()
    Plan.objects.filter(id=plan.id).update(state="failed")
    assert return_unused() == 0, "it is being cleared up"
    Execution.objects.update(finished_at=timezone.now())
    plan.steps.filter(index=0).update(prior={"unschedulable": False})
    assert return_unused() == 0
    plan.steps.update(prior=None)
    assert return_unused() == 1


# --- taking it back ---------------------------------------------------------------------------


def test_revoking_holds_at_once_and_withdraws_what_has_not_begun(armed_envelope, operator):
    made = armed_envelope()
    begun = by_loop()
    Plan.objects.filter(id=begun.id).update(state="executing")
    waiting = by_loop(other_node(f"{CLUSTER}-h100-reserved-07"))
    assert waiting.state == "approved"
    revoke_envelope(made.pk, by=operator, reason="an incident")
    waiting.refresh_from_db()
    assert (waiting.state, Plan.objects.get(id=begun.id).state) == ("withdrawn", "executing")
    assert f"envelope {made.pk} was revoked: an incident" in waiting.state_reason
    again = by_loop(other_node(f"{CLUSTER}-h100-reserved-08"))
    assert again.state == "proposed"
    with pytest.raises(EnvelopeClosed):
        revoke_envelope(made.pk, by=operator, reason="again")


def test_a_planner_may_not_revoke(armed_envelope):
    with pytest.raises(NotAllowed):
        revoke_envelope(armed_envelope().pk, by=person("planner"), reason="no")


# --- the checker ------------------------------------------------------------------------------


@pytest.fixture
def wrote(armed_envelope):
    """A plan that an envelope approved and that wrote."""
    armed_envelope()
    plan = by_loop()
    now = timezone.now()
    Execution.objects.filter(plan=plan).update(mode="real", started_at=now)
    Plan.objects.filter(id=plan.id).update(state="executing")
    Transition.objects.create(plan=plan, from_state="approved", to_state="executing", who="x",
                              at=timezone.now())  # fmt: skip
    record_audit(
        actor="system:executor",
        action="step.writing",
        object_kind="plan",
        object_id=str(plan.id),
        detail={"step": plan.spec.steps[0].key, "what": "cordon a", "dry_run": False},
    )
    return plan  # fmt: skip


def test_the_checker_accepts_a_plan_that_an_envelope_covers(wrote):
    assert check(read_history())["I3"].violations == ()


BROKEN = {
    "a smaller plan": ({"plan_gpus": 4}, "covers 4 GPUs a plan, and it moves 8"),
    "a smaller total": ({"total_gpus": 8, "used_gpus": 8}, ""),
    "another cluster": ({"clusters": ["elsewhere"]}, "does not cover the cluster"),
    "another tier": ({"tiers": ["training"]}, "does not cover the tier inference"),
    "another step": ({"step_kinds": ["node.cordon"]}, "does not cover the step kind"),
    "approved by its author": ({"author": "approver"}, "which its author approver approved"),
    "approved by nobody": ({"approved_by": ""}, "which nobody had approved"),
    "revoked before": ({"ended_at": datetime(2020, 1, 1, tzinfo=UTC)}, "had been revoked"),
    "expired before": ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "had expired"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_the_checker_finds_a_plan_that_its_envelope_does_not_cover(wrote, case):
    changes, words = BROKEN[case]
    Envelope.objects.update(**changes)
    found = "; ".join(check(read_history())["I3"].violations)
    assert words in found if words else not found


def test_the_checker_finds_an_envelope_that_was_overspent(wrote):
    history = read_history()
    small_total = [replace(e, total_gpus=4) for e in history.envelopes]
    found = check(replace(history, envelopes=small_total))["I3"].violations
    assert any("8 GPUs moved, and it allows 4" in words for words in found)


def test_the_checker_finds_a_person_among_the_authors(wrote):
    Plan.objects.update(authors=["system:loop", "planner"])
    found = "; ".join(check(read_history())["I3"].violations)
    assert "planner had a part in it" in found


# --- doors ------------------------------------------------------------------------------------


def test_the_page_proposes_approves_and_revokes(client, admin, approver, operator):
    client.force_login(admin)
    until = (timezone.now() + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")
    form = {
        "title": "by day", "cluster": [CLUSTER], "tier": ["inference", "training"],
        "kind": list(KINDS), "plan_gpus": "8", "total_gpus": "16", "opens": "00:00",
        "closes": "00:00", "time_zone": "UTC", "expires_at": until, "reason": "small",
    }  # fmt: skip
    client.post("/plans/envelopes/add", form)
    row = Envelope.objects.get()
    assert "nobody approves their own envelope" in client.get("/plans/envelopes/").content.decode()
    client.force_login(approver)
    client.post(f"/plans/envelopes/{row.pk}/approve", {"reason": "agreed"})
    plan = by_loop()
    page = client.get(f"/plans/{plan.id}/").content.decode()
    assert f"envelope {row.pk}</a> of admin, approved by approver" in page
    client.force_login(operator)
    assert "needs the right envelope.manage" in client.get("/plans/envelopes/").content.decode()
    client.post(f"/plans/envelopes/{row.pk}/revoke", {"reason": "incident"})
    row.refresh_from_db()
    assert (row.state, row.ended_by) == ("revoked", "operator")


def test_the_page_says_when_envelopes_are_off(client, approver, settings):
    settings.ENVELOPES = False
    client.force_login(approver)
    assert "INFRA_CONSOLE_ENVELOPES=1" in client.get("/plans/envelopes/").content.decode()


def test_the_api_does_the_same(client, admin, approver):
    client.force_login(admin)
    body = {
        "title": "by day", "clusters": [CLUSTER], "tiers": ["training"], "step_kinds": list(KINDS),
        "plan_gpus": 8, "total_gpus": 16, "reason": "small",
        "expires_at": (timezone.now() + timedelta(days=2)).isoformat(),
    }  # fmt: skip

    def post(path: str, document: dict) -> tuple[int, dict]:
        answer = client.post(f"/api/v1/envelopes{path}", document, content_type="application/json")
        return answer.status_code, answer.json()

    status, made = post("", body)
    assert (status, made["state"], made["opens"]) == (200, "proposed", "00:00:00")
    assert post("", body | {"clusters": []})[1]["code"] == "envelope-invalid"
    assert post(f"/{made['id']}/approve", {"reason": "x"})[1]["code"] == "own-envelope"
    client.force_login(approver)
    assert post(f"/{made['id']}/approve", {"reason": "x"})[1]["state"] == "armed"
    assert post("/999/revoke", {"reason": "x"})[0] == 404
    assert post(f"/{made['id']}/revoke", {"reason": "x"})[1]["state"] == "revoked"
    assert client.get("/api/v1/envelopes").json()["items"][0]["ended_by"] == "approver"


def test_the_command_does_the_same(admin, approver, capsys):
    until = (timezone.now() + timedelta(days=2)).isoformat()
    bounds = ["--cluster", CLUSTER, "--tier", "training", "--step-kind", "node.cordon",
              "--plan-gpus", "8", "--total-gpus", "8", "--until", until]  # fmt: skip
    call_command("envelopes", "propose", "by day", *bounds, "--as", "admin", "--reason", "small")
    number = str(Envelope.objects.get().pk)
    with pytest.raises(CommandError, match="nobody approves their own"):
        call_command("envelopes", "approve", number, "--as", "admin", "--reason", "x")
    call_command("envelopes", "approve", number, "--as", "approver", "--reason", "x")
    capsys.readouterr()
    call_command("envelopes", "list", "--json")
    assert json.loads(capsys.readouterr().out)[0]["state"] == "armed"


def test_an_envelope_that_is_used_up_or_expired_says_so(armed_envelope):
    made = armed_envelope(total_gpus=8)
    by_loop()
    made.refresh_from_db()
    assert envelopes.state_now(made, at=timezone.now()) == "used up"
    assert envelopes.state_now(made, at=timezone.now() + timedelta(days=8)) == "expired"
