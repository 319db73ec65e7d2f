"""Health says which part is away, to anybody."""

import pytest

from infra_console.api import health


def test_the_process_answers_without_a_database(client):
    assert client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.django_db
def test_ready_when_database_and_broker_answer(client, broker_url):
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["checks"] == {"database": True, "broker": True}


@pytest.mark.django_db
def test_not_ready_names_the_part_that_is_away(client, settings):
    settings.BROKER_URL = "redis://127.0.0.1:1/0"
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"] == {"database": True, "broker": False}


@pytest.mark.django_db
def test_health_tells_nothing_about_where_things_are(client, monkeypatch):
    monkeypatch.setattr(health, "_database_answers", lambda: False)
    assert "://" not in client.get("/readyz").content.decode()
