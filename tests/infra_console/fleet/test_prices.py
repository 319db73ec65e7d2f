"""Prices in force, and pools priced from a cloud's list."""

import json
from datetime import date
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from infra_console.fleet.imports import import_prices
from infra_console.fleet.list_prices import book_rows, list_prices
from infra_console.fleet.models import PoolPrice
from infra_console.fleet.prices import priced_fleet, prices_in_force
from infra_console.fleet.services import apply_fleet_config
from infra_console.fleet.tables import PriceRow, read_csv_rows
from tests.tiers.factories import fleet_config, fleet_document

HEADER = (
    "cloud,region,sku,as_of,usd_per_hour,spot_usd_per_hour,gpu_model,gpu_count,usd_per_gpu_hour\n"
)
LIST = (
    HEADER
    + "azure,north,ND_H100,2026-01-01,98.32,,H100,8.0,12.29\n"
    + "azure,north,ND_H100,2026-06-01,88.488,,H100,8.0,11.061\n"
    + "azure,north,NC_H100,2026-06-01,6.98,,H100,1.0,6.98\n"
    + "azure,north,ND_flex,2026-06-01,50,,,,\n"
    + "gcp,north,a3,2026-06-01,96.0,20.0,H100,8.0,12.0\n"
).encode()
POOL = "north/H100/reserved"


def pool(**changes):
    return fleet_config(pools=[{**fleet_document()["pools"][0], **changes}]).pools[0]


def placed(pool, **options):
    prices = list_prices(read_csv_rows(LIST, name="l.csv"), name="l.csv")
    return book_rows([(pool, "north")], prices, **options)


def test_a_pool_takes_the_history_of_the_cheapest_whole_machine():
    rows, left = placed(pool(purchase="on_demand"))
    assert [(r.valid_from, r.usd_per_gpu_hour) for r in rows] == [
        (date(2026, 1, 1), Decimal("12.2900")), (date(2026, 6, 1), Decimal("11.0610")),
    ]  # fmt: skip
    assert rows[0].source == "azure list price, ND_H100, north"
    assert left == {}


def test_spot_is_priced_only_where_the_list_knows_spot():
    rows, _ = placed(pool(purchase="spot"))
    assert [r.usd_per_gpu_hour for r in rows] == [Decimal("2.5000")]
    _, left = placed(pool(purchase="spot"), cloud="azure")
    assert left == {POOL: "the list has no spot price for H100"}


def test_reserved_pools_keep_their_contract_price_unless_asked():
    _, left = placed(pool())
    assert left == {POOL: "a contract price is not a list price"}
    assert placed(pool(), reserved_too=True)[0]


@pytest.mark.django_db
def test_the_price_in_force_is_the_newest_that_has_begun_else_the_files():
    config = fleet_config()
    assert prices_in_force(config, on=date(2026, 5, 1))[POOL].usd_per_gpu_hour == Decimal("3.0")
    rows = [
        PriceRow(pool=POOL, usd_per_gpu_hour=usd, valid_from=day, source="contract")
        for usd, day in (("2.9", date(2026, 1, 1)), ("2.5", date(2026, 6, 1)))
    ]
    import_prices(rows, source="p.csv", by="admin", now=timezone.now())
    for day, usd in ((date(2025, 12, 31), 3.0), (date(2026, 5, 31), 2.9), (date(2026, 6, 1), 2.5)):
        assert priced_fleet(config, on=day).pools[0].usd_per_gpu_hour == usd


@pytest.mark.django_db
def test_a_pool_without_any_price_is_unknown_not_free():
    row = fleet_document()["pools"][0]
    del row["usd_per_gpu_hour"]
    config = fleet_config(pools=[row])
    apply_fleet_config(config, by="tester")
    assert prices_in_force(config, on=date(2026, 1, 1))[POOL].usd_per_gpu_hour is None
    assert priced_fleet(config, on=date(2026, 1, 1)).pools[0].usd_per_gpu_hour is None


@pytest.mark.django_db
def test_the_command_reads_a_price_list_and_says_what_it_could_not_price(tmp_path, capsys):
    apply_fleet_config(fleet_config(), by="tester")
    file = tmp_path / "latest.csv"
    file.write_bytes(LIST)
    call_command("prices_import", str(file), "--json", "--dry-run")
    told = json.loads(capsys.readouterr().out)
    assert told["not_priced"] == {POOL: "a contract price is not a list price"}
    assert not PoolPrice.objects.exists()
    call_command("prices_import", str(file), "--reserved-at-list", "--cloud", "azure")
    assert PoolPrice.objects.count() == 2
    file.write_text("pool,usd_per_gpu_hour,valid_from,source\np,free,2026-01-01,x\n")
    with pytest.raises(CommandError, match="row 1: usd_per_gpu_hour"):
        call_command("prices_import", str(file))
