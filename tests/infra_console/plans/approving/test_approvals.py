"""How many approve, who takes back what until when, and what one may do alone."""

import threading
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.utils import DatabaseError
from django.utils import timezone

from infra_console.audit.models import AuditRow
from infra_console.fleet.config import ApprovalRule
from infra_console.plans import services
from infra_console.plans.approving import break_glass, quorum
from infra_console.plans.approving.comments import add_comment
from infra_console.plans.approving.quorum import DEFAULT_RULES, blast_radius, fits, quorum_of
from infra_console.plans.errors import (
    AlreadyDecided,
    AuthorMayNotApprove,
    CommentEmpty,
    MayNotRatify,
    NotAllowed,
    NothingToTakeBack,
    PlanError,
    PlanExpired,
    StartInvalid,
    TooLateToTakeBack,
    WrongState,
)
from infra_console.plans.executing import executor, sweep
from infra_console.plans.holding import outbox
from infra_console.plans.models import Approval, BreakGlass, Comment, Execution, Outbox, Plan, Step
from infra_console.plans.spec import Guard, Lock
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.specs import node_move, promise, scale_move, spec
from tests.people import person

TWO = (ApprovalRule(title="always two", approvals=2),)
AND_OPERATOR = (ApprovalRule(title="training", roles=("operator",), tiers=("training",)),)


def rules(monkeypatch, table):
    monkeypatch.setattr(quorum, "DEFAULT_RULES", table)


@pytest.fixture
def plan(db) -> Plan:
    return services.propose_plan(spec(), authors=["planner"])


@pytest.fixture
def other(db):
    return person("approver", name="other")


@pytest.fixture
def _undo(settings):
    settings.APPROVAL_UNDO_S = 30


def approve(plan, user, **words):
    return services.approve_plan(plan.id, by=user, plan_hash=plan.hash, reason="fits", **words)


def together(*acts):
    """Each act in a thread of its own, at once; what they raised."""
    refused, ready = [], threading.Barrier(len(acts))

    def run(act):
        ready.wait()
        try:
            act()
        except PlanError as err:
            refused.append(err)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refused


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({}, None),
        ({"moves": tuple(node_move(f"n{n}") for n in range(8))}, "training loses 48"),
        ({"moves": (scale_move("chat", 0, 64),)}, "64 GPUs"),
        ({"locks": tuple(Lock(cluster=c, tier="training") for c in "abc")}, "three clusters"),
        (
            {
                "moves": (node_move("n", "inference", "training"),),
                "guards": (Guard(cluster=CLUSTER, tier="inference", min_ready_gpus=48),),
                "promises": (promise(),),
            },
            "inference is left at its floor",
        ),
    ],
)
def test_the_blast_radius_decides_how_many_approve(changes, title):
    found = [rule.title for rule in DEFAULT_RULES if fits(rule, blast_radius(spec(**changes)))]
    assert any(title in found_title for found_title in found) if title else found == []


def test_a_gpu_that_one_workload_leaves_to_another_counts_once():
    moves = (scale_move("chat", 40, 0), scale_move("code", 0, 40), node_move())
    assert blast_radius(spec(moves=moves)).gpus == 40


def test_two_people_approve_where_a_rule_asks_for_two(plan, approver, other, monkeypatch):
    rules(monkeypatch, TWO)
    assert approve(plan, approver).state == "proposed"
    assert not Outbox.objects.exists()
    held = quorum_of(plan)
    assert (held.needed, held.approvers, held.words) == (2, ("approver",), "1 approval more")
    with pytest.raises(AlreadyDecided):
        approve(plan, approver)
    assert approve(plan, other).state == "approved"
    assert Outbox.objects.filter(plan=plan).count() == 1
    assert AuditRow.objects.filter(action="plan.approval_given").count() == 1


def test_the_command_says_what_is_missing_after_an_approval(plan, approver, monkeypatch):
    rules(monkeypatch, TWO)
    out = StringIO()
    words = ("approve", str(plan.number), "--as", "approver", "--reason", "fits")
    call_command("plans", *words, stdout=out)
    assert f"Plan {plan.number} is proposed, missing: 1 approval more." in out.getvalue()


def test_a_required_role_is_asked_for_until_an_approver_holds_it(plan, approver, monkeypatch):
    rules(monkeypatch, AND_OPERATOR)
    assert approve(plan, approver).state == "proposed"
    assert quorum_of(plan).words == "1 approval more, by somebody with the role operator"
    assert approve(plan, person("approver", "operator", name="both")).state == "approved"


def test_the_approval_of_who_became_an_author_does_not_count(plan, approver, other, monkeypatch):
    rules(monkeypatch, TWO)
    approve(plan, approver)
    services.propose_plan(spec(), authors=["approver"])
    assert approve(plan, other).state == "proposed"
    assert quorum_of(Plan.objects.get()).approvers == ("other",)


def test_the_fleet_file_replaces_the_table(named_cluster, plan):
    from infra_console.fleet.models import FleetSetting

    setting = FleetSetting.objects.get()
    rule = {"title": "three for us", "approvals": 3, "clusters": [CLUSTER]}
    FleetSetting.objects.update(document={**setting.document, "approvals": [rule]})
    assert quorum_of(plan).needed == 3


@pytest.mark.django_db(transaction=True)
def test_two_last_approvals_at_once_approve_once(monkeypatch):
    rules(monkeypatch, TWO)
    for _ in range(5):
        Plan.objects.filter(state="approved").update(state="withdrawn")
        plan = services.propose_plan(spec(), authors=["planner"])
        users = [person("approver", name=f"{plan.number}-{n}") for n in range(3)]
        approve(plan, users[0])
        refused = together(*(lambda p=plan, u=u: approve(p, u) for u in users[1:]))
        assert [type(err) for err in refused] == [WrongState]
        assert plan.approvals.count() == 2
        assert Execution.objects.filter(plan=plan).count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_the_last_approval_and_a_rejection_one_wins(monkeypatch):
    rules(monkeypatch, TWO)
    plan = services.propose_plan(spec(), authors=["planner"])
    users = [person("approver", name=f"approver-{n}") for n in range(3)]
    approve(plan, users[0])
    refused = together(
        lambda: approve(plan, users[1]),
        lambda: services.reject_plan(plan.id, by=users[2], plan_hash=plan.hash, reason="no"),
    )
    assert len(refused) == 1
    state = Plan.objects.get(id=plan.id).state
    assert (state == "approved") == Execution.objects.filter(plan=plan).exists()
    assert state in {"approved", "rejected"}


@pytest.mark.django_db(transaction=True)
def test_of_the_last_approval_and_the_expiry_one_wins(monkeypatch):
    plan = services.propose_plan(spec(), authors=["planner"])
    user = person("approver")
    # Both see it in time to act: the sweep by its clock, the approval by a clock a second behind.
    late = timezone.now()
    Plan.objects.filter(id=plan.id).update(expires_at=late + timedelta(milliseconds=150))
    threading.Event().wait(0.14)
    refused = together(lambda: approve(plan, user), services.expire_due)
    state = Plan.objects.get(id=plan.id).state
    assert state in {"approved", "expired", "proposed"}
    assert (state == "approved") == Outbox.objects.filter(plan=plan).exists()
    assert (state == "approved") == (not refused)
    assert all(isinstance(err, WrongState | PlanExpired) for err in refused)


@pytest.mark.usefixtures("_undo")
def test_the_order_is_not_sent_before_the_undo_is_over(plan, approver, monkeypatch):
    sent: list[str] = []
    for module in (outbox, sweep):
        monkeypatch.setattr(module, "send_execute", sent.append)
    approve(plan, approver)
    assert sweep.sweep() == 0
    outbox.send_waiting(plan.id)
    assert sent == []
    assert executor.execute(plan.id) == "worked"
    assert "starts not before" in Execution.objects.get(plan=plan).outcome
    assert Plan.objects.get(id=plan.id).state == "approved"
    Outbox.objects.update(not_before=timezone.now())
    assert sweep.sweep() == 1
    assert sent == [plan.id]


@pytest.mark.usefixtures("_undo")
def test_an_approval_taken_back_in_time_unmakes_the_order(plan, approver):
    approve(plan, approver)
    assert services.take_back_approval(plan.id, by=approver).state == "proposed"
    assert not (Outbox.objects.exists() or Execution.objects.exists() or Step.objects.exists())
    assert Approval.objects.get().taken_back_at is not None
    assert quorum_of(plan).approvers == ()
    plan.refresh_from_db()
    assert approve(plan, approver).state == "approved"


@pytest.mark.usefixtures("_undo")
def test_only_its_giver_takes_an_approval_back_and_only_in_time(plan, approver, other):
    approve(plan, approver)
    with pytest.raises(NothingToTakeBack):
        services.take_back_approval(plan.id, by=other)
    Outbox.objects.update(not_before=timezone.now())
    with pytest.raises(TooLateToTakeBack):
        services.take_back_approval(plan.id, by=approver)
    assert Approval.objects.get().taken_back_at is None
    assert Plan.objects.get(id=plan.id).state == "approved"


def test_an_approval_is_taken_back_while_others_are_missing(plan, approver, other, monkeypatch):
    rules(monkeypatch, TWO)
    approve(plan, approver)
    services.take_back_approval(plan.id, by=approver, reason="second thoughts")
    assert approve(plan, other).state == "proposed"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_undo")
def test_of_two_who_undo_and_begin_at_once_one_wins():
    from infra_console.plans.executing.executor import _Turn
    from infra_console.plans.holding.lease import acquire_lease
    from infra_console.plans.states import Mode

    user = person("approver")
    for _ in range(5):
        Plan.objects.exclude(state="proposed").update(state="withdrawn")
        plan = services.propose_plan(spec(), authors=["planner"])
        plan.refresh_from_db()
        approve(plan, user)
        turn = _Turn(plan.id, acquire_lease(plan.id), lambda _s: None)
        refused = together(
            lambda p=plan: services.take_back_approval(p.id, by=user),
            lambda t=turn: t._begin(Mode.DRY_RUN),
        )
        assert [type(err) for err in refused] == [WrongState]
        state = Plan.objects.get(id=plan.id).state
        assert state in {"proposed", "executing"}
        assert (state == "executing") == Execution.objects.filter(plan=plan).exists()
        Plan.objects.filter(id=plan.id).update(state="withdrawn")


def test_a_plan_starts_when_its_approver_says_and_before_it_expires(plan, approver, other):
    for at in (timezone.now() - timedelta(minutes=1), plan.expires_at + timedelta(seconds=1)):
        with pytest.raises(StartInvalid):
            approve(plan, approver, start_at=at)
    at = timezone.now() + timedelta(minutes=40)
    approve(plan, approver, start_at=at)
    assert Outbox.objects.get().not_before == at
    assert sweep.sweep() == 0
    assert services.take_back_approval(plan.id, by=approver).state == "proposed"


def test_the_glass_is_broken_by_who_may_and_never_by_an_author(plan, approver, monkeypatch):
    rules(monkeypatch, TWO)
    words = {"plan_hash": plan.hash, "reason": "outage"}
    with pytest.raises(NotAllowed, match=r"plan\.break_glass"):
        services.break_glass(plan.id, by=approver, **words)
    with pytest.raises(AuthorMayNotApprove):
        services.break_glass(plan.id, by=person("admin", name="planner"), **words)
    admin = person("admin")
    assert services.break_glass(plan.id, by=admin, **words).state == "approved"
    with pytest.raises(MayNotRatify):
        services.ratify(plan.id, by=admin, reason="mine")
    services.ratify(plan.id, by=approver, reason="I saw it too")
    assert BreakGlass.objects.get().ratified_by == "approver"
    assert break_glass.flag_unratified() == 0


def test_an_unratified_glass_is_told_to_the_audit_once_and_nothing_is_undone(plan):
    services.break_glass(plan.id, by=person("admin"), plan_hash=plan.hash, reason="outage")
    assert break_glass.flag_unratified() == 0
    BreakGlass.objects.update(ratify_before=timezone.now())
    assert (break_glass.flag_unratified(), break_glass.flag_unratified()) == (1, 0)
    assert AuditRow.objects.filter(action="plan.break_glass_unratified").count() == 1
    assert Plan.objects.get().state == "approved"
    services.ratify(plan.id, by=person("approver"), reason="late")
    assert AuditRow.objects.filter(action="plan.ratified").get().detail["late"] is True


def test_a_comment_is_kept_audited_and_never_changed(plan, approver):
    add_comment(plan.id, by=approver, text=" why tonight? ")
    assert Comment.objects.get().text == "why tonight?"
    assert AuditRow.objects.filter(action="plan.commented").exists()
    with pytest.raises(CommentEmpty):
        add_comment(plan.id, by=approver, text=" ")
    with pytest.raises(NotAllowed, match=r"plan\.comment"):
        add_comment(plan.id, by=person("viewer"), text="me too")
    with pytest.raises(DatabaseError, match="append-only"):
        Comment.objects.update(text="never said")
