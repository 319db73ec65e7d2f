"""The frontier page: drawn from the last planned snapshot, its assumptions in the address."""

import pytest
from django.test import Client
from django.utils import timezone

from tests.people import person
from tests.tiers.core.frontier.fleets import serving_snapshot
from tiers.core.allocate import allocate
from tiers.models import Cycle, CycleState, PlannedSnapshot
from tiers.snapshots import KEPT, keep_snapshot

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(client: Client) -> Client:
    client.force_login(person("viewer"))
    return client


def planned() -> None:
    snapshot = serving_snapshot().model_copy(update={"taken_at": timezone.now()})
    cycle = Cycle.objects.create(
        started_at=timezone.now(), state=CycleState.DONE, requested_by="system:cycle"
    )
    keep_snapshot(cycle, snapshot, allocate(snapshot))


def text(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_before_any_cycle_the_page_says_where_it_comes_from(viewer):
    assert "No frontier yet" in text(viewer, "/tiers/frontier/")
    assert "No cycle has planned" in viewer.get("/tiers/frontier/chart").json()["problem"]


def test_the_page_tells_where_the_fleet_sits_and_what_points_cost(viewer):
    planned()
    page = text(viewer, "/tiers/frontier/")
    assert "You are here" in page
    # Two groups of chat at a demand of 14 on 5 each: a queue without end is no number.
    assert "not stable" in page
    assert "Point 0" in page
    assert "default shape for chat" in page


def test_a_chosen_point_says_what_would_change(viewer):
    planned()
    page = text(viewer, "/tiers/frontier/?point=1")
    assert "What point 1 would change" in page
    assert "+4" in page  # two groups of two GPUs now, four then


def test_assumptions_of_the_address_move_the_frontier(viewer):
    planned()
    plain = viewer.get("/tiers/frontier/chart").json()
    more = viewer.get("/tiers/frontier/chart?demand=1.3").json()
    curve = [next(t for t in f["data"] if t.get("name") == "Frontier") for f in (plain, more)]
    assert min(curve[1]["y"]) > min(curve[0]["y"])
    assert "demand=1.3" in curve[1]["customdata"][0]["href"]
    lost = viewer.get("/tiers/frontier/chart?lost=r").json()
    assert lost["data"] == []
    assert "No allocation is stable" in lost["problem"]


@pytest.mark.parametrize("query", ["demand=x", "demand=nan", "slo=1e9", "point=-4", "point=99999"])
def test_an_odd_address_still_opens(viewer, query):
    planned()
    assert "You are here" in text(viewer, f"/tiers/frontier/?{query}")


def test_only_the_newest_snapshots_are_kept(db):
    for _ in range(KEPT + 3):
        planned()
    assert PlannedSnapshot.objects.count() == KEPT
