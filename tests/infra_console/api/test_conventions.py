"""One way in, one form of error, one kind of page."""

import pytest
from django.test import Client

from infra_console.api.pagination import write_cursor
from tests.people import person
from tests.plan_specs import plan_row

pytestmark = pytest.mark.django_db
PROBLEM = "application/problem+json"


def test_without_signing_in_the_answer_is_a_problem_that_says_how(client):
    answer = client.get("/api/v1/plans")
    assert (answer.status_code, answer["Content-Type"]) == (401, PROBLEM)
    assert answer["WWW-Authenticate"] == "Bearer"
    assert "token" in answer.json()["detail"]


def test_a_browser_session_and_a_token_both_open_the_api(client, caller):
    client.force_login(person("viewer", name="browser"))
    assert client.get("/api/v1/plans").status_code == 200
    assert caller("viewer", scopes=["view"]).get("/api/v1/plans").status_code == 200


def test_a_made_up_token_opens_nothing():
    stranger = Client(headers={"Authorization": "Bearer ic_made-up"})
    assert stranger.get("/api/v1/plans").status_code == 401


def test_a_browser_write_without_csrf_is_refused():
    client = Client(enforce_csrf_checks=True)
    client.force_login(person("approver"))
    plan = plan_row(1)
    body = {"hash": plan.hash}
    answer = client.post(f"/api/v1/plans/{plan.id}/approve", body, "application/json")
    assert answer.status_code == 403
    plan.refresh_from_db()
    assert plan.state == "proposed"


def test_a_token_does_no_more_than_its_scopes_even_for_an_admin(caller):
    plan = plan_row(1)
    reader = caller("admin", scopes=["view"])
    body = {"hash": plan.hash}
    answer = reader.post(f"/api/v1/plans/{plan.id}/approve", body, "application/json")
    assert answer.status_code == 403
    assert answer.json()["right"] == "plan.approve"


def test_unknown_addresses_and_unreadable_bodies_are_problems_too(caller):
    viewer = caller("viewer", "approver", scopes=["view", "plan.approve"])
    missing = viewer.get("/api/v1/plans/00000000-0000-0000-0000-000000000000")
    assert (missing.status_code, missing["Content-Type"]) == (404, PROBLEM)
    plan = plan_row(1)
    broken = viewer.post(f"/api/v1/plans/{plan.id}/approve", {}, "application/json")
    assert (broken.status_code, broken["Content-Type"]) == (422, PROBLEM)
    assert broken.json()["errors"][0]["path"].endswith("hash")


def test_pages_follow_each_other_by_cursor_and_new_rows_move_nothing(caller):
    viewer = caller("viewer", scopes=["view"])
    for number in range(1, 6):
        plan_row(number)
    first = viewer.get("/api/v1/plans?limit=2").json()
    plan_row(6)
    second = viewer.get(f"/api/v1/plans?limit=2&cursor={first['next_cursor']}").json()
    third = viewer.get(f"/api/v1/plans?limit=2&cursor={second['next_cursor']}").json()
    pages = [[item["number"] for item in page["items"]] for page in (first, second, third)]
    assert pages == [[5, 4], [3, 2], [1]]
    assert third["next_cursor"] == ""


@pytest.mark.parametrize("cursor", ["nonsense", "////", write_cursor(1)[:-4]])
def test_a_cursor_that_we_never_gave_out_is_refused(caller, cursor):
    answer = caller("viewer", scopes=["view"]).get(f"/api/v1/plans?cursor={cursor}")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad-cursor")


def test_the_openapi_document_describes_the_endpoints_and_needs_sign_in(client, caller):
    assert client.get("/api/v1/openapi.json").status_code == 401
    document = caller("viewer", scopes=["view"]).get("/api/v1/openapi.json").json()
    assert {"/api/v1/plans", "/api/v1/tiers/summary", "/api/v1/fleet/regions"} <= set(
        document["paths"]
    )


def test_an_unexpected_failure_is_a_problem_without_its_inner_words(caller, monkeypatch, caplog):
    def fail(**_: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr("infra_console.plans.http.api.plans_page", fail)
    answer = caller("viewer", scopes=["view"]).get("/api/v1/plans")
    assert (answer.status_code, answer["Content-Type"]) == (500, PROBLEM)
    assert "secret" not in answer.content.decode()
    assert "a secret detail" in caplog.text


@pytest.mark.parametrize(
    "address", ["/?region=%00", "/api/v1/plans?region=a%00", "/plans/?tier=%00"]
)
def test_a_nul_in_an_address_is_refused_not_asked_of_the_database(client, address):
    client.force_login(person("viewer"))
    answer = client.get(address)
    assert (answer.status_code, answer.json()["code"]) == (400, "nul")


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_a_nul_in_a_body_is_refused(client, kind):
    plan = plan_row(7)
    client.force_login(person("approver"))
    body = {"application/json": '{"hash": "x", "reason": "a\\u0000b"}'}.get(kind, "reason=a%00b")
    answer = client.post(f"/plans/{plan.id}/reject", body, content_type=kind)
    assert (answer.status_code, answer.json()["code"]) == (400, "nul")
    plan.refresh_from_db()
    assert plan.state == "proposed"
