"""Proposing and deciding: who may, on what, and what stands afterwards."""

import json
import threading
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from infra_console.plans import services
from infra_console.plans.errors import (
    ArmingInvalid,
    AuthorMayNotApprove,
    NotAllowed,
    PlanChanged,
    PlanExpired,
    ReasonMissing,
    SpecInvalid,
    UnknownStepKind,
    WrongState,
)
from infra_console.plans.models import Approval, Arming, Execution, Outbox, Plan, Step
from infra_console.plans.queries import approval_state, find_plan
from infra_console.plans.safety import is_armed, is_killed
from infra_console.plans.spec import Budget, Guard, Lock, Precondition, StepSpec
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.specs import node_move, node_ref, node_steps, promise, spec
from tests.people import person


@pytest.fixture
def plan(db) -> Plan:
    return services.propose_plan(spec(), authors=["planner", "system:cycle"])


def approve(plan, user):
    return services.approve_plan(plan.id, by=user, plan_hash=plan.hash, reason="fits")


def test_an_approval_orders_the_execution_with_every_step(plan, approver):
    approved = approve(plan, approver)
    assert approved.state == "approved"
    assert [s.kind for s in Step.objects.filter(plan=plan)] == [s.kind for s in node_steps()]
    assert Execution.objects.get(plan=plan).started_at is None
    assert Outbox.objects.get(plan=plan).sent_at is None
    assert Approval.objects.get(plan=plan).plan_hash == plan.hash


@pytest.mark.parametrize("roles", [("admin",), ("approver", "planner")])
def test_an_author_never_approves_whatever_their_role(plan, roles):
    with pytest.raises(AuthorMayNotApprove):
        approve(plan, person(*roles, name="planner"))
    assert Plan.objects.get(id=plan.id).state == "proposed"
    assert not Outbox.objects.exists()


@pytest.mark.parametrize("role", ["viewer", "planner", "operator"])
def test_who_lacks_the_right_does_not_approve(plan, role):
    with pytest.raises(NotAllowed, match=r"plan\.approve"):
        approve(plan, person(role, name="somebody"))


def test_another_hash_is_refused(plan, approver):
    with pytest.raises(PlanChanged):
        services.approve_plan(plan.id, by=approver, plan_hash="0" * 64, reason="fits")


def test_a_document_changed_behind_the_hash_is_refused(plan, approver):
    document = plan.document | {"title": "something else"}
    Plan.objects.filter(id=plan.id).update(document=document)
    with pytest.raises(PlanChanged):
        approve(plan, approver)


def test_an_expired_plan_is_refused_and_swept(plan, approver):
    Plan.objects.filter(id=plan.id).update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(PlanExpired):
        approve(plan, approver)
    assert services.expire_due() == 1
    assert Plan.objects.get(id=plan.id).state == "expired"
    with pytest.raises(WrongState):
        approve(plan, approver)


@pytest.mark.parametrize("decide", [services.approve_plan, services.reject_plan])
@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_decision_without_a_reason_is_refused(plan, approver, decide, reason):
    with pytest.raises(ReasonMissing, match="Say why"):
        decide(plan.id, by=approver, plan_hash=plan.hash, reason=reason)
    assert Plan.objects.get(id=plan.id).state == "proposed"
    assert not Approval.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_who_becomes_an_author_while_approving_is_refused():
    """The row is read again under its lock: a proposal that is about to commit is waited for."""
    plan = services.propose_plan(spec(), authors=["planner"])
    user, refused = person("approver", name="late"), []

    def decide():
        try:
            approve(plan, user)
        except AuthorMayNotApprove as err:
            refused.append(err)
        finally:
            connection.close()

    thread = threading.Thread(target=decide)
    with transaction.atomic():
        Plan.objects.filter(id=plan.id).update(authors=["planner", "late"])
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
    thread.join()
    assert len(refused) == 1
    assert Plan.objects.get(id=plan.id).state == "proposed"


def test_a_second_decision_is_refused(plan, approver):
    approve(plan, approver)
    with pytest.raises(WrongState, match="approved"):
        services.reject_plan(plan.id, by=person("approver", name="other"), reason="late")


@pytest.mark.django_db(transaction=True)
def test_of_two_decisions_at_once_one_wins():
    plan = services.propose_plan(spec(), authors=["planner"])
    users = [person("approver", name=f"approver-{n}") for n in range(4)]
    won, refused = [], []
    ready = threading.Barrier(len(users))

    def decide(number, user):
        ready.wait()
        try:
            if number % 2:
                services.reject_plan(plan.id, by=user, plan_hash=plan.hash, reason="no")
            else:
                services.approve_plan(plan.id, by=user, plan_hash=plan.hash, reason="yes")
            won.append(user.username)
        except WrongState:
            refused.append(user.username)
        finally:
            connection.close()

    threads = [threading.Thread(target=decide, args=pair) for pair in enumerate(users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(refused)) == (1, 3)
    assert Approval.objects.filter(plan=plan).get().by == won[0]


def test_an_unknown_step_kind_is_refused_by_name(db):
    step = node_steps()[0].model_copy(update={"kind": "node.explode"})
    with pytest.raises(UnknownStepKind, match=r"node\.explode"):
        services.propose_plan(spec(steps=(step,)), authors=["planner"])
    assert not Plan.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": ()},
        {"steps": (*node_steps(), node_steps()[0])},
        {"locks": (Lock(cluster=CLUSTER, tier="training"),)},
    ],
)
def test_a_document_that_contradicts_itself_is_refused(db, changes):
    with pytest.raises(SpecInvalid):
        services.propose_plan(spec(**changes), authors=["planner"])


def test_the_same_moves_keep_the_plan_under_review(plan):
    again = services.propose_plan(spec(summary="newer words", gain_usd=115.0), authors=["b"])
    assert again.id == plan.id
    assert list(Plan.objects.filter(state="proposed")) == [plan]


def known_as(*uid: str) -> tuple[Precondition, ...]:
    facts = {"ready": True} | ({"uid": uid[0]} if uid else {})
    return (Precondition(target=node_ref(), facts=facts),)


def test_a_cycle_that_knows_no_uid_keeps_the_plan_and_one_that_knows_more_replaces_it(db):
    def propose(*uid: str) -> Plan:
        return services.propose_plan(spec(preconditions=known_as(*uid)), authors=["planner"])

    sure = propose("u1")
    assert propose() == sure
    assert propose("u2") != sure
    blind = propose()
    assert blind.number == sure.number + 1
    Plan.objects.update(state="withdrawn")
    blind = propose()
    assert propose("u1") != blind


@pytest.mark.parametrize(
    "changes",
    [
        {"gain_usd": 130.0},
        {"preconditions": (Precondition(target=node_ref(), facts={"uid": "other"}),)},
        {"moves": (node_move("eastus-h100-reserved-05"),)},
        {"guards": (Guard(cluster=CLUSTER, tier="training", min_ready_gpus=16),)},
        {"budgets": (Budget(cluster=CLUSTER, max_nodes=1),)},
        {"steps": tuple(node_steps())[:3]},
        {"promises": (promise(),)},
    ],
)
def test_another_gain_move_or_term_supersedes(plan, changes):
    newer = services.propose_plan(spec(**changes), authors=["b"])
    plan.refresh_from_db()
    assert (plan.state, plan.superseded_by, newer.number) == ("superseded", newer, plan.number + 1)


def test_plans_that_share_no_lock_stand_side_by_side(plan):
    steps = tuple(StepSpec(**{**s.model_dump(), "tier": "operational"}) for s in node_steps())
    lock = Lock(cluster=CLUSTER, tier="operational")
    other = services.propose_plan(
        spec(moves=(node_move("x"),), steps=steps, locks=(lock,)), authors=["b"]
    )
    proposed = Plan.objects.filter(state="proposed")
    assert {p.number for p in proposed} == {plan.number, other.number}


def test_the_same_moves_do_not_stand_beside_their_own_execution(plan, approver):
    approve(plan, approver)
    assert services.propose_plan(spec(), authors=["b"]).id == plan.id


def test_the_same_moves_may_be_proposed_again_once_they_were_carried_out(plan, approver):
    approve(plan, approver)
    Plan.objects.filter(id=plan.id).update(state="verifying")
    assert services.propose_plan(spec(), authors=["b"]).id == plan.id
    Execution.objects.filter(plan=plan).update(verified_at=timezone.now())
    again = services.propose_plan(spec(), authors=["b"])
    assert again.id != plan.id
    assert again.state == "proposed"


def test_withdrawing_needs_its_right(plan, approver):
    with pytest.raises(NotAllowed):
        services.withdraw_plan(plan.id, by=approver)
    assert services.withdraw_plan(plan.id, by=person("planner")).state == "withdrawn"


def test_what_is_missing_for_an_approval_is_said_in_full(plan):
    state = approval_state(plan, person("planner"))
    assert not state.allowed
    assert len(state.missing) == 2
    assert "plan.approve" in state.missing[0]
    assert approval_state(plan, person("approver")).allowed


def test_arming_needs_its_right_and_real_names(named_cluster, operator, approver):
    with pytest.raises(NotAllowed):
        services.arm(CLUSTER, "training", by=approver, hours=1)
    for cluster, tier, hours in (("x", "training", 1), (CLUSTER, "x", 1), (CLUSTER, "training", 0)):
        with pytest.raises(ArmingInvalid):
            services.arm(cluster, tier, by=operator, hours=hours)
    services.arm(CLUSTER, "training", by=operator, hours=2)
    assert is_armed(CLUSTER, "training")
    assert not is_armed(CLUSTER, "inference")
    services.disarm(CLUSTER, "training", by=operator)
    assert not is_armed(CLUSTER, "training")


def test_arming_ends_by_itself(named_cluster, operator):
    services.arm(CLUSTER, "training", by=operator, hours=1)
    Arming.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert not is_armed(CLUSTER, "training")


def test_the_kill_switch_is_turned_by_operators_alone(operator, approver):
    with pytest.raises(NotAllowed):
        services.engage_kill_switch(by=approver, reason="x")
    services.engage_kill_switch(by=operator, reason="smoke")
    assert is_killed()
    services.release_kill_switch(by=operator)
    assert not is_killed()


def test_the_command_lists_shows_and_decides(plan, approver):
    def run(*words):
        out = StringIO()
        call_command("plans", *words, stdout=out)
        return out.getvalue()

    assert json.loads(run("list", "--json"))[0]["hash"] == plan.hash
    assert json.loads(run("show", str(plan.id)))["document"]["schema"] == "plan/1"
    assert "approved" in run("approve", str(plan.number), "--as", "approver", "--reason", "fits")
    with pytest.raises(CommandError, match="approved"):
        run("reject", str(plan.number), "--as", "approver", "--reason", "late")
    with pytest.raises(CommandError, match="no plan"):
        run("show", "no-such-plan")
    assert find_plan("999") is None
