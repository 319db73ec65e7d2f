"""The frontier page: drawn from the last planned snapshot, its assumptions in the address."""

import pytest
from django.test import Client
from django.utils import timezone

from tests.people import person
from tests.tiers.core.frontier.fleets import serving_snapshot
from tiers import services
from tiers.core.allocate import allocate
from tiers.models import Cycle, CycleState, PlannedSnapshot, StandingPolicy
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


def test_a_point_shows_what_changes_by_tier_region_and_pool(viewer):
    planned()
    page = text(viewer, "/tiers/frontier/?point=1")
    assert all(f"<h3>By {what}</h3>" in page for what in ("tier", "region", "pool", "workload"))
    assert "r/H100/reserved" in page
    assert "disabled" in page  # a viewer may look at it and no more


def test_a_budget_leaves_only_what_it_buys_and_floors_stand_in_the_address(viewer):
    planned()
    plain = viewer.get("/tiers/frontier/chart").json()
    curve = next(t for t in plain["data"] if t.get("name") == "Frontier")
    budget = curve["x"][0]
    less = viewer.get(f"/tiers/frontier/chart?budget={budget}").json()
    assert next(t for t in less["data"] if t.get("name") == "Frontier")["x"] == [budget]
    assert less["layout"]["shapes"][0]["x0"] == budget
    floors = viewer.get("/tiers/frontier/chart?floor.chat=4").json()
    assert min(next(t for t in floors["data"] if t.get("name") == "Frontier")["x"]) > budget


@pytest.mark.parametrize("query", [f"floor.chat={'9' * 5000}", "point=²", f"point={'9' * 5000}"])
def test_numbers_that_no_page_wrote_change_nothing(viewer, query):
    planned()
    assert viewer.get(f"/tiers/frontier/?{query}").status_code == 200


def sent(monkeypatch):
    """What is asked of the workers."""
    asked = []
    monkeypatch.setattr(
        services.current_app, "send_task", lambda name, kwargs: asked.append(kwargs)
    )
    return asked


def test_a_point_becomes_a_plan_of_whoever_chose_it(
    client, monkeypatch, django_capture_on_commit_callbacks
):
    asked = sent(monkeypatch)
    client.force_login(person("planner"))
    form = {"ratio": "0.80000", "point": "1", "demand": "1.3", "floor.chat": "2", "keep": "once"}
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post("/tiers/frontier/choose", form)
    assert answer.url == "/tiers/frontier/?demand=1.3&floor.chat=2&point=1"
    (kwargs,) = asked
    assert kwargs["requested_by"] == "planner"
    choice = kwargs["chosen"]["choice"]
    assert choice["latency_ratio"] == 0.8
    assert (choice["what_if"]["demand"], choice["what_if"]["floors"]) == (1.3, {"chat": 2})
    assert not StandingPolicy.objects.exists()


def test_a_standing_point_is_shown_with_who_set_it_and_why_and_can_be_lifted(client, monkeypatch):
    sent(monkeypatch)
    planned()
    client.force_login(person("planner"))
    form = {"ratio": "0.8", "keep": "standing", "reason": ""}
    client.post("/tiers/frontier/choose", form)
    assert not StandingPolicy.objects.exists()  # nobody said why
    client.post("/tiers/frontier/choose", form | {"reason": "the launch"})
    page = text(client, "/tiers/frontier/")
    assert "p95 at most 0.80" in page
    assert "Set by planner" in page
    client.post("/tiers/frontier/lift", {"reason": "it is over"})
    page = text(client, "/tiers/frontier/")
    assert "None: cycles plan by forecast" in page
    assert "it is over" in page


@pytest.mark.parametrize("address", ["choose", "lift"])
def test_a_viewer_chooses_nothing(viewer, address):
    assert viewer.post(f"/tiers/frontier/{address}", {"ratio": "0.8"}).status_code == 403


@pytest.mark.parametrize("query", ["demand=x", "demand=nan", "slo=1e9", "point=-4", "point=99999"])
def test_an_odd_address_still_opens(viewer, query):
    planned()
    assert "You are here" in text(viewer, f"/tiers/frontier/?{query}")


def test_only_the_newest_snapshots_are_kept(db):
    for _ in range(KEPT + 3):
        planned()
    assert PlannedSnapshot.objects.count() == KEPT
