"""The data sources over HTTP: how they are, and nothing that is secret."""

import pytest
from pydantic import SecretStr

from infra_console.telemetry import services
from infra_console.telemetry.queries import forget_cached
from tests.infra_console.telemetry.test_data_sources import basic, fleet
from tests.people import person

__all__ = ["fleet"]


@pytest.fixture(autouse=True)
def _fresh(settings):
    settings.SOURCE_NETWORKS = frozenset({"private", "loopback"})
    settings.PROMETHEUS_URL = ""
    forget_cached()
    yield
    forget_cached()


def test_sources_come_with_health_and_budget_and_without_secrets(fleet, client):
    made = basic(max_series_per_min=700, headers={"X-Scope-OrgID": "canary-tenant"},
                 secrets={"password": SecretStr("canary-password")})  # fmt: skip
    services.save_source(made, by=person("admin"), new=True)
    client.force_login(person("viewer"))
    answer = client.get("/api/v1/sources")
    found = answer.json()
    (source,) = found["items"]
    assert (source["id"], source["clusters"], source["budget"]) == ("main", ["a"], "700 series")
    assert source["problem"] is None
    assert found["unread"] == ["b"]
    assert "canary" not in answer.content.decode()
    seen = client.get("/api/v1/sources/freshness").json()
    assert seen["state"] == "down"
    assert seen["errors"] == {"main": "does not answer"}
    assert seen["clusters"] == [{"cluster": "a", "state": "down", "age_s": None, "doubts": []}]


@pytest.mark.parametrize("path", ["", "/freshness"])
def test_both_need_the_right_to_view(fleet, client, path):
    assert client.get(f"/api/v1/sources{path}").status_code == 401
    client.force_login(person())
    assert client.get(f"/api/v1/sources{path}").status_code == 403
