"""The page's part on routes: now beside proposed, flows on the map, and who may press what."""

from datetime import timedelta

import pytest
from django.utils import timezone

from infra_console.fleet.models import Region
from infra_console.fleet.services import apply_fleet_config
from regions import services
from regions.models import Drain, RouteLook
from tests.people import person
from tests.tiers.factories import fleet_config

pytestmark = pytest.mark.django_db


@pytest.fixture
def planner(client, monkeypatch):
    apply_fleet_config(fleet_config(), by="tester")
    Region.objects.create(id="south", place="south", latitude=-1, longitude=9, jurisdiction="XX")
    monkeypatch.setattr(services, "_send", lambda row_id: None)
    client.force_login(person("planner"))
    return client


def seen(age_s=5, then=None, rps=10.0, **document):
    at = timezone.now() - timedelta(seconds=age_s)
    route = {
        "id": "n", "cluster": "north", "origin": "north", "model": "chat", "residency": "anywhere",
        "rps": rps, "now": {"north": 60, "south": 40}, "then": then, "owners": [], "unmet": "",
    }  # fmt: skip
    found = {"routes": [route], "models": [{"model": "chat", "reason": "because"}]}
    return RouteLook.objects.create(asked_at=at, seen_at=at, document=found | document)


def part(client):
    answer = client.get("/regions/", headers={"HX-Request": "true", "HX-Target": "routes"})
    return answer.content.decode()


def lines(client):
    data = client.get("/regions/chart").json()["data"]
    return [(t["text"], t["line"]["dash"]) for t in data if t["mode"] == "lines"]


def test_weights_now_stand_beside_those_proposed_and_flows_are_arcs(planner):
    seen(then={"north": 90, "south": 10})
    text = part(planner)
    assert "south 40 %" in text and "<strong>10 %</strong>" in text and "chat: because" in text
    assert lines(planner) == [
        ("north → south: 4.0 requests/s, flows now", "solid"),
        ("north → south: 1.0 requests/s, proposed", "dot"),
    ]


def test_an_old_look_is_said_to_be_old_and_draws_nothing(planner):
    seen(age_s=3600)
    assert "This look is old" in part(planner)
    assert lines(planner) == []


def test_unknown_requests_are_no_flow_of_zero(planner):
    seen(rps=None)
    assert "unknown" in part(planner)
    assert lines(planner) == []


def test_lost_and_drained_regions_are_told_by_shape_and_word(planner):
    seen(lost=["south"])
    Drain.objects.create(region="north", by="dee", at=timezone.now(), reason="works")
    data = planner.get("/regions/chart").json()["data"]
    rings = {t["name"]: t["marker"]["symbol"] for t in data if t["name"] in ("lost", "drained")}
    # The map's regions come from the domain that observes them.
    assert rings["drained"] == "triangle-up-open"
    text = part(planner)
    assert "south is lost" in text and "north drained by dee" in text


def test_who_may_propose_asks_drains_and_opens(planner):
    assert planner.post("/regions/routes/propose").status_code == 302
    assert RouteLook.objects.get().asked_by == "planner"
    assert "a worker looks at every cluster" in part(planner)
    planner.post("/regions/routes/drain", {"region": "north", "reason": "works"})
    assert Drain.objects.get().by == "planner"
    assert planner.post("/regions/routes/drain", {"region": "atlantis"}).status_code == 404
    planner.post("/regions/routes/open", {"region": "north"})
    assert not Drain.objects.exists()


def test_a_viewer_sees_why_the_buttons_are_not_theirs(planner):
    planner.force_login(person("viewer"))
    assert "needs the right plan.propose" in part(planner)
    assert planner.post("/regions/routes/propose").status_code == 403
