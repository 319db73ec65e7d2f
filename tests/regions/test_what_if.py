"""The page's question: what if this region goes?"""

import pytest

from infra_console.fleet.models import Region
from infra_console.fleet.services import apply_fleet_config
from regions import what_if as asked
from regions.core.spill import Load
from tests.observations import observed, service
from tests.people import person
from tests.tiers.factories import fleet_config
from tiers.region_loads import region_loads

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(client):
    apply_fleet_config(fleet_config(), by="tester")
    client.force_login(person("viewer"))
    return client


def page(client, query):
    answer = client.get(f"/regions/{query}", headers={"HX-Request": "true", "HX-Target": "what-if"})
    return answer.content.decode()


def test_loads_are_what_was_seen_and_what_ready_groups_serve(viewer):
    observed(workloads={"chat": service(0.6)})
    (load,) = region_loads()
    workload = next(w for w in fleet_config().workloads if w.id == "chat")
    assert load.region == "north"
    assert load.rps == 12.5
    assert load.room_rps == 2 * min(workload.units_per_group.values())


@pytest.mark.parametrize("seen", [{"age_s": 3600}, {"reachable": False}])
def test_old_or_unreachable_numbers_count_as_unknown(viewer, seen):
    observed(workloads={"chat": service(0.6)}, **seen)
    (load,) = region_loads()
    assert (load.rps, load.room_rps) == (None, None)


def test_the_page_says_who_would_serve_and_what_is_left(viewer, monkeypatch):
    here = Region.objects.get(id="north")
    Region.objects.create(
        id="south", place="south", latitude=-1, longitude=9, jurisdiction=here.jurisdiction
    )
    loads = [Load("north", "chat", 12.0, 20.0), Load("south", "chat", 5.0, 10.0)]
    monkeypatch.setattr(asked, "_loads", lambda: loads)
    text = page(viewer, "?lost=north&rule=jurisdiction")
    assert "10.0 requests/s served" in text
    assert "7.0 requests/s for chat from north: the lawful regions are full" in text
    assert "100 %" in text
    Region.objects.filter(id="south").update(jurisdiction="XX")
    text = page(viewer, "?lost=north&rule=jurisdiction")
    assert "12.0 requests/s for chat from north: no lawful region serves the model" in text


def test_while_nothing_is_known_nothing_is_said_to_be_served(viewer, monkeypatch):
    monkeypatch.setattr(asked, "_loads", lambda: [Load("north", "chat", None, 20.0)])
    text = page(viewer, "?lost=north&rule=anywhere")
    assert "Nothing can be said" in text
    assert "0.0 requests/s" not in text
    assert "Unknown and not counted: 1" in text


def test_words_that_are_none_of_ours_ask_nothing(viewer):
    observed(workloads={"chat": service(0.6)})
    text = page(viewer, "?lost=atlantis&rule=whatever")
    assert "requests/s served" not in text
    assert 'value="jurisdiction" selected' in text
