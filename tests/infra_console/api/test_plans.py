"""Plans over HTTP."""

from datetime import timedelta

import pytest
from django.utils import timezone

from infra_console.plans.models import FreezeWindow
from tests.plan_specs import plan_row

pytestmark = pytest.mark.django_db
JSON = "application/json"


def test_a_plan_comes_whole_with_its_document_and_history(caller):
    plan = plan_row(4)
    found = caller("viewer", scopes=["view"]).get(f"/api/v1/plans/{plan.id}").json()
    assert found["document"]["schema"] == "plan/1"
    assert found["hash"] == plan.hash
    assert [t["to_state"] for t in found["transitions"]] == ["proposed"]
    assert found["settlement"] is None


def test_an_approval_by_hash_takes_effect_and_orders_the_steps(caller):
    plan = plan_row(4)
    approver = caller("approver", scopes=["plan.approve", "view"])
    body = {"hash": plan.hash, "reason": "seen"}
    found = approver.post(f"/api/v1/plans/{plan.id}/approve", body, JSON).json()
    assert found["state"] == "approved"
    assert found["approvals"][0]["by"] == "approver"
    assert len(found["steps"]) == len(plan.spec.steps)


def test_an_approval_names_its_start_and_is_taken_back_before_it(caller):
    plan = plan_row(4)
    approver = caller("approver", scopes=["plan.approve", "view"])
    address, body = f"/api/v1/plans/{plan.id}", {"hash": plan.hash, "reason": "seen"}
    refused = approver.post(f"{address}/approve", body | {"start_at": "2001-01-01T00:00"}, JSON)
    assert (refused.status_code, refused.json()["code"]) == (422, "start-invalid")
    body |= {"start_at": (plan.expires_at - timedelta(minutes=1)).isoformat()}
    found = approver.post(f"{address}/approve", body, JSON).json()
    assert found["state"] == "approved"
    assert found["quorum"] == {
        "needed": 1, "approvers": ["approver"], "missing": 0, "roles_missing": [], "rules": [],
    }  # fmt: skip
    found = approver.post(f"{address}/take-back", {}, JSON).json()
    assert (found["state"], found["quorum"]["missing"]) == ("proposed", 1)
    assert found["approvals"][0]["taken_back_at"]


def test_a_comment_needs_its_scope_and_comes_with_the_plan(caller):
    plan = plan_row(4)
    address = f"/api/v1/plans/{plan.id}/comments"
    refused = caller("viewer", scopes=["view"]).post(address, {"text": "hm"}, JSON)
    assert refused.status_code == 403
    planner = caller("planner", scopes=["plan.comment"])
    found = planner.post(address, {"text": "why tonight?"}, JSON).json()
    assert [(c["by"], c["text"]) for c in found["comments"]] == [("planner", "why tonight?")]
    assert planner.post(address, {"text": " "}, JSON).status_code == 422


def test_a_glass_is_broken_and_ratified_by_two_people(caller):
    plan = plan_row(4)
    address, body = f"/api/v1/plans/{plan.id}", {"hash": plan.hash, "reason": "outage"}
    admin = caller("admin", scopes=["plan.break_glass", "plan.approve"])
    assert admin.post(f"{address}/break-glass", body, JSON).json()["state"] == "approved"
    own = admin.post(f"{address}/ratify", {"reason": "mine"}, JSON)
    assert (own.status_code, own.json()["code"]) == (409, "may-not-ratify")
    approver = caller("approver", scopes=["plan.approve"])
    assert approver.post(f"{address}/ratify", {"reason": "seen"}, JSON).status_code == 200


def test_a_freeze_is_told_and_overridden_with_a_reason(caller):
    FreezeWindow.objects.create(
        name="launch", kind="deny", cron="* * * * *", minutes=60, time_zone="UTC",
        made_by="admin", made_at=timezone.now(),
    )  # fmt: skip
    plan = plan_row(4)
    address = f"/api/v1/plans/{plan.id}"
    admin = caller("admin", scopes=["view", "freeze.manage"])
    assert "launch" in admin.get(address).json()["frozen"]
    assert admin.post(f"{address}/override-freeze", {}, JSON).status_code == 422
    found = admin.post(f"{address}/override-freeze", {"reason": "outage"}, JSON).json()
    assert found["frozen"] == ""


@pytest.mark.parametrize(
    ("roles", "name", "digits", "code"),
    [
        (("planner", "approver"), "planner", None, "author-may-not-approve"),
        (("approver",), "approver", "0" * 64, "plan-changed"),
    ],
)
def test_refusals_say_which_rule_and_change_nothing(caller, roles, name, digits, code):
    plan = plan_row(4, author="planner")
    someone = caller(*roles, name=name, scopes=["plan.approve"])
    body = {"hash": digits or plan.hash, "reason": "seen"}
    answer = someone.post(f"/api/v1/plans/{plan.id}/approve", body, JSON)
    assert (answer.status_code, answer.json()["code"]) == (409, code)
    plan.refresh_from_db()
    assert plan.state == "proposed"


def test_a_decision_without_a_reason_is_a_problem(caller):
    plan = plan_row(4)
    approver = caller("approver", scopes=["plan.approve"])
    answer = approver.post(f"/api/v1/plans/{plan.id}/approve", {"hash": plan.hash}, JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, "reason-missing")


def test_a_rejection_ends_the_review_and_a_second_decision_is_refused(caller):
    plan = plan_row(4)
    approver = caller("approver", scopes=["plan.approve", "plan.reject"])
    body = {"hash": plan.hash, "reason": "not tonight"}
    assert (
        approver.post(f"/api/v1/plans/{plan.id}/reject", body, JSON).json()["state"] == "rejected"
    )
    again = approver.post(f"/api/v1/plans/{plan.id}/approve", body, JSON)
    assert (again.status_code, again.json()["code"]) == (409, "wrong-state")


def test_the_list_filters_by_group_of_states(caller):
    plan_row(1, state="settled")
    plan_row(2)
    viewer = caller("viewer", scopes=["view"])
    numbers = [p["number"] for p in viewer.get("/api/v1/plans?show=review").json()["items"]]
    assert numbers == [2]
    assert viewer.get("/api/v1/plans?show=everything").status_code == 422


@pytest.mark.django_db(transaction=True)
def test_an_approval_holds_while_the_broker_is_away(caller, monkeypatch, caplog):
    def away(_plan_id: object) -> None:
        raise ConnectionRefusedError("no broker")

    monkeypatch.setattr("infra_console.plans.holding.orders.send_waiting", away)
    plan = plan_row(4)
    approver = caller("approver", scopes=["plan.approve"])
    body = {"hash": plan.hash, "reason": "seen"}
    answer = approver.post(f"/api/v1/plans/{plan.id}/approve", body, JSON)
    assert (answer.status_code, answer.json()["state"]) == (200, "approved")
    assert "no broker" in caplog.text
