"""The regions over HTTP: where they are, how far, where a request would go, weights, drains."""

from datetime import timedelta

import pytest
from django.utils import timezone

from infra_console.audit.models import AuditRow
from regions import services
from regions.core.spill import Load
from regions.models import Drain, RouteLook
from regions.services import import_matrix
from tests.people import person

pytestmark = pytest.mark.usefixtures("named_fleet")
BASE = "/api/v1/regions"
MATRIX = "source,eastus,westus2,uksouth\neastus,,68,76\nwestus2,67,,138\nuksouth,75,139,\n"


@pytest.fixture
def viewer(client):
    client.force_login(person("viewer"))
    return client


@pytest.fixture
def planner(client, monkeypatch):
    monkeypatch.setattr(services, "_send", lambda row_id: None)
    client.force_login(person("planner"))
    return client


@pytest.fixture
def loads(settings):
    settings.REGION_LOADS = "tests.regions.test_api.three_loads"


def three_loads():
    return [Load(r, "chat", 5.0, 20.0) for r in ("eastus", "westus2", "uksouth")]


def look(**document):
    at = timezone.now() - timedelta(seconds=5)
    route = {
        "id": "n", "cluster": "eastus", "origin": "eastus", "model": "chat",
        "residency": "anywhere", "rps": 10.0, "now": {"eastus": 60, "westus2": 40},
        "then": {"eastus": 90, "westus2": 10}, "owners": ["argocd"], "unmet": "",
    }  # fmt: skip
    found = {"routes": [route], "models": [{"model": "chat", "reason": "nearer"}], "notes": ["n"]}
    return RouteLook.objects.create(asked_at=at, seen_at=at, document=found | document)


def test_the_topology_says_what_is_known_and_nothing_more(viewer):
    found = viewer.get(f"{BASE}/topology").json()
    assert found["looked_at"] is None
    assert [r["id"] for r in found["items"]] == ["eastus", "uksouth", "westus2"]
    east = found["items"][0]
    assert (east["clusters"], east["lost"], east["drained"], east["rps"]) == (
        ["eastus"], None, False, None,
    )  # fmt: skip
    look(lost=["uksouth"])
    Drain.objects.create(region="eastus", by="dee", at=timezone.now(), reason="works")
    items = viewer.get(f"{BASE}/topology").json()["items"]
    assert [(r["lost"], r["drained"]) for r in items] == [
        (False, True), (True, False), (False, False),
    ]  # fmt: skip


def test_round_trips_carry_origin_and_age(viewer):
    found = viewer.get(f"{BASE}/round-trips").json()
    assert len(found["items"]) == 6
    assert {(t["origin"], t["age_s"]) for t in found["items"]} == {("estimate", None)}
    measured = timezone.now() - timedelta(days=2)
    import_matrix(MATRIX, source="azure", measured_at=measured, by="ada")
    found = viewer.get(f"{BASE}/round-trips").json()
    way = next(t for t in found["items"] if (t["source"], t["target"]) == ("eastus", "uksouth"))
    assert (way["ms"], way["origin"]) == (76, "matrix")
    assert way["age_s"] == pytest.approx(2 * 86_400, rel=0.01)
    assert (found["counts"]["matrix"], found["imported_from"]) == (6, "azure")


def test_a_decision_names_every_regions_reason(viewer, loads):
    asked = {"origin": "uksouth", "model": "chat", "residency": "US"}
    import_matrix(MATRIX, source="azure", measured_at=timezone.now(), by="ada")
    look(lost=[])
    found = viewer.get(f"{BASE}/decision", asked).json()
    assert found["refusal"] is None and found["lost_seen_at"] is not None
    assert found["choice"]["region"] == "eastus"
    assert found["choice"]["network_ms"] == pytest.approx(75 + 12)
    why = {c["region"]: c["why_not"] for c in found["candidates"]}
    assert "where the request may not be served" in why["uksouth"]
    assert any("taken as idle" in note for note in found["notes"])
    Drain.objects.create(region="eastus", by="dee", at=timezone.now(), reason="works")
    look(lost=["westus2"])
    found = viewer.get(f"{BASE}/decision", asked).json()
    assert found["choice"] is None
    assert "eastus: drained" in found["refusal"]["reason"]
    assert "westus2: no news of it yet" in found["refusal"]["reason"]
    unsaid = viewer.get(f"{BASE}/decision", {**asked, "residency": ""}).json()
    assert unsaid["refusal"]["code"] == "residency-unknown"
    assert viewer.get(f"{BASE}/decision", {**asked, "origin": "mars"}).status_code == 404
    assert viewer.get(f"{BASE}/decision", {**asked, "model": "no"}).status_code == 404


def test_what_a_lost_region_would_do(viewer, loads):
    found = viewer.get(f"{BASE}/what-if", {"lost": "eastus", "rule": "anywhere"}).json()
    assert found["lost"] == "eastus"
    assert sum(r["then_rps"] for r in found["receivers"]) == pytest.approx(15)
    assert viewer.get(f"{BASE}/what-if", {"lost": "mars"}).status_code == 404


def test_weights_are_those_of_the_newest_look(viewer):
    assert viewer.get(f"{BASE}/weights").json()["seen_at"] is None
    look()
    found = viewer.get(f"{BASE}/weights").json()
    (route,) = found["items"]
    assert route["shares"][0] == {"region": "eastus", "now_percent": 60, "proposed_percent": 90}
    assert (found["is_old"], found["reasons"], found["plan"]) == (False, {"chat": "nearer"}, None)


def test_drains_and_proposals_need_the_right_and_are_audited(planner):
    json = {"content_type": "application/json"}
    assert planner.put(f"{BASE}/drains/mars", {"reason": "x"}, **json).status_code == 404
    assert planner.put(f"{BASE}/drains/eastus", {"reason": " "}, **json).status_code == 422
    answer = planner.put(f"{BASE}/drains/eastus", {"reason": "works"}, **json)
    assert answer.json()["by"] == "planner"
    assert [d["region"] for d in planner.get(f"{BASE}/drains").json()["items"]] == ["eastus"]
    assert planner.delete(f"{BASE}/drains/eastus").status_code == 204
    assert planner.post(f"{BASE}/weights/propose").status_code == 202
    assert RouteLook.objects.get().asked_by == "planner"
    actions = [row.action for row in AuditRow.objects.order_by("seq")]
    assert actions[-3:] == ["regions.drained", "regions.opened", "regions.routes_asked"]
    planner.force_login(person("viewer"))
    assert planner.put(f"{BASE}/drains/eastus", {"reason": "works"}, **json).status_code == 403
    assert planner.post(f"{BASE}/weights/propose").status_code == 403
