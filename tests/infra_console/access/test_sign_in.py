"""Signing in and out, and what people without a right see."""

import pytest

from infra_console.access.services import create_demo_users
from tests.people import person

pytestmark = pytest.mark.django_db


def test_a_page_sends_anonymous_people_to_sign_in_and_back(client):
    create_demo_users({"viewer": "a-long-password"})
    answer = client.get("/plans/?region=uksouth")
    assert answer.status_code == 302
    form = {"username": "viewer", "password": "a-long-password"}
    back = client.post(answer["Location"], form)
    assert back["Location"] == "/plans/?region=uksouth"


def test_a_wrong_password_says_so_and_names_no_reason(client):
    create_demo_users({"viewer": "a-long-password"})
    answer = client.post("/login", {"username": "viewer", "password": "wrong"})
    assert "Name or password is wrong" in answer.content.decode()


def test_signing_in_never_leads_to_another_site(client):
    create_demo_users({"viewer": "a-long-password"})
    form = {"username": "viewer", "password": "a-long-password", "next": "https://evil.example/"}
    assert client.post("/login", form)["Location"] == "/"


def test_signing_out_is_a_post(client):
    client.force_login(person("viewer"))
    assert client.get("/logout").status_code == 405
    client.post("/logout")
    assert client.get("/").status_code == 302


def test_somebody_without_a_role_is_told_which_one_they_need(client):
    client.force_login(person())
    answer = client.get("/")
    assert answer.status_code == 403
    assert "needs the right view (role viewer)" in answer.content.decode()
