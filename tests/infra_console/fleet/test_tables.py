"""Imported tables: CSV and YAML alike, whole or not at all, each mistake with its row."""

import gzip
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from infra_console.audit.models import AuditRow
from infra_console.fleet.errors import TableInvalid
from infra_console.fleet.imports import import_prices
from infra_console.fleet.models import PoolPrice, Reservation
from infra_console.fleet.tables import PriceRow, ReservationRow, read_table

CSV = b"id,start,end,gpus,pool\nr-1,2026-01-01,2027-01-01T00:00:00Z,64,fra/H100\n"
YAML = b"- {id: r-1, start: 2026-01-01, end: 2027-01-01T00:00:00Z, gpus: 64, pool: fra/H100}\n"


@pytest.mark.parametrize(
    ("data", "name"), [(CSV, "c.csv"), (YAML, "c.yaml"), (gzip.compress(CSV, mtime=0), "c.csv.gz")]
)
def test_csv_and_yaml_say_the_same(data, name):
    (row,) = read_table(data, name=name, row=ReservationRow)
    assert row == ReservationRow(
        id="r-1", start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2027, 1, 1, tzinfo=UTC),
        gpus=64, pool="fra/H100",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"id,start,end,gpus\nr,2026-01-02,2026-01-01,8\n", "row 1.*end must be after start"),
        (b"id,start,end,gpus\nr,2026-01-02,2026-02-01,-8\n", "row 1: gpus"),
        (b"id,start,end,gpus\nr,soon,2026-02-01,8\n", "row 1"),
        (b"id,start,end,gpus,seats\nr,2026-01-02,2026-02-01,8,3\n", "seats"),
        (b"id,start,end,gpus\n", "holds no rows"),
        (b"id,start,end\nr,2026-01-02,2026-02-01,8\n", "columns"),
        (b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_a_mistake_is_named_with_its_row(data, words):
    with pytest.raises(TableInvalid, match=words):
        read_table(data, name="c.csv", row=ReservationRow)


def test_a_gzip_bomb_is_refused_without_unpacking_it():
    with pytest.raises(TableInvalid, match="larger than 8 MiB"):
        read_table(gzip.compress(b"0" * 2**26), name="c.csv.gz", row=ReservationRow)


PRICES = "pool,usd_per_gpu_hour,valid_from,source"
BROKEN = gzip.compress(CSV, mtime=0)[:14] + b"\xff" * 40


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (
            f"{PRICES.replace(',', ';')}\nfra/H100;2,50;2026-01-01;x\n".encode(),
            "p.csv",
            "semicolon",
        ),
        (f'{PRICES}\nfra/H100,"2,50",2026-01-01,x\n'.encode(), "p.csv", "usd_per_gpu_hour"),
        (f"{PRICES},usd_per_gpu_hour\nf,2.5,2026-01-01,x,9\n".encode(), "p.csv", "more than once"),
        (f"{PRICES}\nf,NaN,2026-01-01,x\n".encode(), "p.csv", "usd_per_gpu_hour"),
        (f"{PRICES}\nf\0,2.5,2026-01-01,x\n".encode(), "p.csv", "NUL"),
        (f"{PRICES}\n{'f' * 200_000},2.5,2026-01-01,x\n".encode(), "p.csv", "not CSV"),
        (BROKEN, "p.csv.gz", "no text"),
        (b"- {pool: f, valid_from: 2026-13-45, usd_per_gpu_hour: 2, source: x}", "p.yaml", "YAML"),
        (b"[" * 1_000, "p.yaml", "not YAML"),
        (
            b'- {pool: "f\\0", usd_per_gpu_hour: 2, valid_from: 2026-01-01, source: x}',
            "p.yaml",
            "NUL",
        ),
    ],
)
def test_a_price_file_that_may_mean_something_else_is_refused(data, name, words):
    with pytest.raises(TableInvalid, match=words):
        read_table(data, name=name, row=PriceRow)


def test_a_byte_order_mark_is_no_part_of_the_first_column():
    data = f"{PRICES}\nfra/H100,2.50,2026-01-01,contract\n".encode("utf-8-sig")
    (row,) = read_table(data, name="p.csv", row=PriceRow)
    assert (row.pool, row.usd_per_gpu_hour) == ("fra/H100", Decimal("2.50"))


def test_yes_is_no_number_of_gpus():
    with pytest.raises(TableInvalid, match="gpus"):
        read_table(YAML.replace(b"64", b"yes"), name="c.yaml", row=ReservationRow)


@pytest.mark.django_db
def test_the_command_replaces_the_list_and_a_bad_file_changes_nothing(tmp_path):
    file = tmp_path / "c.csv"
    file.write_bytes(CSV)
    call_command("reservations_import", str(file))
    assert Reservation.objects.get().source == "c.csv"
    assert AuditRow.objects.filter(action="reservations.imported").count() == 1
    file.write_bytes(CSV + CSV.splitlines()[1] + b"\n")
    with pytest.raises(CommandError, match=r"more than once.*stays as it was"):
        call_command("reservations_import", str(file))
    file.write_bytes(CSV.replace(b"r-1", b"r-2"))
    call_command("reservations_import", str(file))
    assert [r.id for r in Reservation.objects.all()] == ["r-2"]


@pytest.mark.django_db
def test_prices_are_decimals_keep_their_history_and_are_written_once():
    text = (
        b"pool,usd_per_gpu_hour,valid_from,source\n"
        b"fra/H100,3.10,2026-01-01,contract\nfra/H100,2.95,2026-03-01,contract\n"
    )
    rows = read_table(text, name="p.csv", row=PriceRow)
    for changed in (2, 0):
        assert import_prices(rows, source="p.csv", by="admin", now=timezone.now()) == changed
    newest = PoolPrice.objects.filter(pool="fra/H100").first()
    assert (newest.valid_from, newest.usd_per_gpu_hour) == (date(2026, 3, 1), Decimal("2.95"))
