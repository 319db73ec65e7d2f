"""The prices page: money by group, unknown said, imports by those who may; the planner's price."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from infra_console.fleet.models import PoolPrice
from infra_console.fleet.services import apply_fleet_config
from tests.observations import observed
from tests.people import person
from tests.tiers.factories import fleet_config, fleet_document
from tiers import cycle as cycles
from tiers.core.fleet_state import FleetState
from tiers.cost_queries import cost_page
from tiers.facts import fleet_facts
from tiers.ledger_keep import Extras, keep_ledger
from tiers.models import CycleState

pytestmark = pytest.mark.usefixtures("fleet")
HTMX = {"HX-Request": "true", "HX-Target": "costs"}
CSV = b"pool,usd_per_gpu_hour,valid_from,source\nnorth/H100/reserved,2.50,2020-01-01,contract 7\n"


@pytest.fixture
def kept(north):
    observed()
    keep_ledger(
        fleet_facts(fleet_config()), FleetState({"north": north}), Extras(), now=timezone.now()
    )


def test_dollars_an_hour_by_model_sum_to_the_fleet(kept, metrics):
    metrics(timezone.now(), 5.0)
    page = cost_page(by="model", now=timezone.now())
    assert {r.name: r.usd for r in page.rows} == {"chat": Decimal(24), "": Decimal(48)}
    assert page.total.usd == Decimal(72)
    assert page.rows[1].usd_per_million_tokens is None  # no token counter is recorded here


def test_an_imported_price_is_in_force_with_its_source_and_date(client, kept, metrics):
    metrics(timezone.now(), 5.0)
    client.force_login(person("admin"))
    client.post("/tiers/prices/import", {"file": SimpleUploadedFile("p.csv", CSV)})
    text = client.get("/tiers/prices/", headers=HTMX).content.decode()
    assert "2.5000" in text
    assert "contract 7" in text
    assert "2020-01-01" in text
    assert cost_page(by="tier", now=timezone.now()).total.usd == Decimal(60)


def test_a_pool_without_a_price_is_called_unknown(client, kept, metrics):
    metrics(timezone.now(), 5.0)
    row = fleet_document()["pools"][0]
    del row["usd_per_gpu_hour"]
    apply_fleet_config(fleet_config(pools=[row]), by="tester")
    client.force_login(person("viewer"))
    text = client.get("/tiers/prices/", headers=HTMX).content.decode()
    assert "unknown" in text
    assert "24 without a price" in text
    assert "needs the right fleet.manage" in text
    assert client.post("/tiers/prices/import").status_code == 403


def test_a_cluster_with_an_unpriced_pool_is_not_planned_on(monkeypatch, metrics, north):
    row = fleet_document()["pools"][0]
    del row["usd_per_gpu_hour"]
    apply_fleet_config(fleet_config(pools=[row]), by="tester")
    now = datetime.now(UTC)
    metrics(now, 19.0)
    monkeypatch.setattr(cycles, "_look", lambda *_, **__: (FleetState({"north": north}), Extras()))
    cycle = cycles.run_cycle(by="x", now=now, load_model=lambda: (None, "none"))
    assert cycle.state == CycleState.FROZEN
    assert "the price of pool north/H100/reserved is unknown" in cycle.verdict


def test_the_planner_counts_with_the_price_in_force():
    PoolPrice.objects.create(
        pool="north/H100/reserved", valid_from=timezone.now().date() - timedelta(days=1),
        usd_per_gpu_hour=Decimal("1.25"), source="c", imported_at=timezone.now(), imported_by="a",
    )  # fmt: skip
    assert cycles._facts().config.pools[0].usd_per_gpu_hour == 1.25
