"""Whether a source has loaded the rules that the fleet needs: asked seldom, remembered, shown."""

import json
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from infra_console.telemetry import health
from infra_console.telemetry.models import SourceHealth
from infra_console.telemetry.queries import forget_cached
from infra_console.telemetry.rules import needed_rules
from tests.infra_console.telemetry.liar import body, liar
from tests.infra_console.telemetry.test_connection import ONE
from tests.infra_console.telemetry.test_data_sources import declare, fleet
from tests.people import person

__all__ = ["fleet"]
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh(settings):
    settings.SOURCE_NETWORKS = frozenset({"private", "loopback"})
    settings.PROMETHEUS_URL = ""
    forget_cached()
    yield
    forget_cached()


def told(tier_key: str, *, status: int = 200):
    """A source that answers, and tells the rules of this key."""
    rules = [
        {"name": name, "query": expr, "labels": {}, "type": "recording"}
        for name, expr in needed_rules(tier_key)
    ]
    alert = {"name": "Down", "query": "up == 0", "type": "alerting"}
    found = {"status": "success", "data": {"groups": [{"name": "g", "rules": [*rules, alert]}]}}

    def answer(handler, server) -> None:
        asked = server.asked[-1].path
        if asked.startswith("/api/v1/rules"):
            body(json.dumps(found).encode(), status=status)(handler, server)
        else:
            body(ONE)(handler, server)

    return answer


def asked(server) -> int:
    return sum(a.path.startswith("/api/v1/rules") for a in server.asked)


def test_rules_of_another_key_are_told_on_the_page_and_asked_for_every_ten_minutes(fleet, client):
    now = timezone.now()
    with liar(told("acme.io/tier")) as server:
        declare(fleet, id="file", url=server.url, clusters=["a"])
        health.watch_sources(now=now)
        health.watch_sources(now=now + timedelta(minutes=9))
        assert asked(server) == 1
        health.watch_sources(now=now + timedelta(minutes=10))
        assert asked(server) == 2
    client.force_login(person("viewer"))
    page = client.get(reverse("sources:index")).content.decode()
    assert "are not those of this fleet: cluster_tier:gpus_allocatable:sum" in page
    assert "manage.py recording_rules" in page
    (item,) = client.get("/api/v1/sources").json()["items"]
    assert item["rules"].endswith("(its tier key is infra-console.dev/tier)")


@pytest.mark.parametrize(("key", "status"), [("infra-console.dev/tier", 200), ("x.io/y", 404)])
def test_the_right_rules_and_a_source_that_tells_none_raise_nothing(fleet, client, key, status):
    with liar(told(key, status=status)) as server:
        declare(fleet, id="file", url=server.url, clusters=["a"])
        health.watch_sources(now=timezone.now())
    row = SourceHealth.objects.get()
    assert (row.problem, row.rules) == ("", "")
    client.force_login(person("viewer"))
    assert "what this fleet needs" not in client.get(reverse("sources:index")).content.decode()
