"""What the tiers' pages show, over HTTP."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from tests.people import person
from tests.tiers.test_frontier_page import planned
from tiers import cycle as cycles
from tiers.adopting import keep_inventory
from tiers.core.fleet_state import FleetState
from tiers.core.inventory import FoundNode, Inventory
from tiers.models import FleetChange, PlacementCheck, WaitingWork

pytestmark = pytest.mark.usefixtures("fleet")
PAGES = ("ledger", "waiting", "handover", "prices", "places", "adoption", "frontier")


@pytest.fixture
def ask(client: Client):
    client.force_login(person("viewer"))

    def get(path: str) -> dict:
        answer = client.get(f"/api/v1/tiers/{path}")
        assert answer.status_code == 200, answer.content
        return answer.json()

    return get


@pytest.fixture
def seen(metrics, north, monkeypatch) -> datetime:
    """The fleet as one look leaves it."""
    now = datetime.now(UTC)
    metrics(now, 9.0)

    class Fixed:
        def read(self, _clusters):
            return FleetState({"north": north})

    monkeypatch.setattr(cycles, "fleet_reader", lambda *_, **__: Fixed())
    cycles.observe(now=now)
    return now


def test_before_anything_was_seen_nothing_is_told_and_nothing_is_zero(ask, metrics):
    metrics(datetime.now(UTC), 9.0)
    assert ask("ledger")["fleet"] is None
    assert ask("prices")["total"] is None
    assert ask("prices")["tokens_problem"] == "nothing was seen yet"
    assert ask("adoption")["found"] is None
    assert ask("frontier")["report"] is None
    assert ask("places") == {"items": [], "unchecked": ["north"]}
    assert ask("waiting") == {"items": []}


def test_the_ledger_sums_to_the_fleet(ask, seen):
    found = ask("ledger?by=tier")
    assert sum(found["totals"].values()) == found["fleet"] == 24
    assert {row["name"]: row["total"] for row in found["rows"]} == {"inference": 8, "training": 16}
    (idle,) = ask("ledger?state=free-usable")["lots"]
    assert (idle["node"], idle["gpus"]) == ("t2", 8)


def test_dollars_and_the_price_book_come_together(ask, seen):
    found = ask("prices?by=tier")
    assert float(found["total"]["usd"]) == 72.0
    (pool,) = found["pools"]
    assert (pool["id"], pool["usd_per_gpu_hour"]) == ("north/H100/reserved", 3.0)


def test_the_handover_tells_changes_since_an_hour_and_what_is_unknown_ahead(ask, seen):
    FleetChange.objects.create(
        at=seen, cluster="north", kind="ready", object="t1", words="the node is not Ready"
    )
    found = ask("handover")
    assert found["changes"][-1]["words"] == "the node is not Ready"
    assert "no forecast is in force" in str(found["unknown"])
    later = (seen + timedelta(seconds=-1)).isoformat().replace("+00:00", "")
    assert ask(f"handover?since={later}")["since"].startswith(later[:19])


def test_waiting_work_and_places_are_told_by_their_reasons(ask, seen):
    WaitingWork.objects.create(
        cluster="north", namespace="training", name="big", tier="training", gpus=64,
        reason="quota", words="the queue is full", since=seen, since_told=True,
    )  # fmt: skip
    PlacementCheck.objects.update_or_create(
        cluster="north", defaults={"at": seen, "rows": [{"name": "chat", "obstacles": []}]}
    )
    (work,) = ask("waiting?tier=training")["items"]
    assert (work["words"], work["gpus"]) == ("the queue is full", 64)
    assert ask("places")["items"][0]["rows"] == [{"name": "chat", "obstacles": []}]


def test_the_adoptions_proposal_and_the_frontier_come_whole(ask):
    resources = {"nvidia.com/gpu": 8}
    node = FoundNode(cluster="prod", name="n1", resources=resources, labels={"agentpool": "a100"})
    now = datetime.now(UTC)
    keep_inventory(Inventory(taken_at=now, source="prometheus", nodes=(node,)), by="rosa")
    look = ask("adoption")
    assert look["looked_by"] == "rosa"
    assert look["found"]["uses"][0]["gpus"] == 8
    assert 'schema = "fleet/1"' in look["proposal"]
    planned()
    found = ask("frontier?demand=1.5")
    assert found["assumptions"]["demand"] == 1.5
    assert found["report"]["points"]


@pytest.mark.parametrize("page", PAGES)
def test_every_page_needs_the_right_to_view_and_is_described(client, page):
    client.force_login(person(name="nobody"))
    assert client.get(f"/api/v1/tiers/{page}").status_code == 403
    client.force_login(person("viewer", name="viewer"))
    described = client.get("/api/v1/openapi.json").json()["paths"][f"/api/v1/tiers/{page}"]
    assert set(described) == {"get"}
    assert described["get"]["responses"]["200"]["content"]["application/json"]["schema"]
