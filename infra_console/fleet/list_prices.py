"""Prices for pools from a cloud's list of instance prices.

The list has the columns cloud, region, sku, as_of, usd_per_hour, spot_usd_per_hour, gpu_model,
gpu_count and usd_per_gpu_hour, one row a price or a change of price. A pool takes the cheapest SKU
per GPU in its region with its GPU type, eight GPUs to the machine where there is such a one. A
list price is what on-demand costs: reserved pools are left alone unless asked for, and a spot pool
is priced only where the list knows spot prices.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from infra_console.fleet.config import PoolConfig
from infra_console.fleet.errors import TableInvalid
from infra_console.fleet.tables import PriceRow

COLUMNS = frozenset(
    {"cloud", "region", "sku", "as_of", "usd_per_hour", "spot_usd_per_hour", "gpu_model",
     "gpu_count"}
)  # fmt: skip
WHOLE_MACHINE_GPUS = 8


@dataclass(frozen=True, slots=True)
class ListPrice:
    cloud: str
    region: str
    sku: str
    as_of: date
    gpu_model: str
    gpus: Decimal
    usd_per_hour: Decimal | None
    spot_usd_per_hour: Decimal | None

    def per_gpu(self, purchase: str) -> Decimal | None:
        usd = self.spot_usd_per_hour if purchase == "spot" else self.usd_per_hour
        return None if usd is None else (usd / self.gpus).quantize(Decimal("0.0001"))


def is_list(rows: Sequence[Mapping[str, str]]) -> bool:
    """Whether a table is a price list rather than a price book."""
    return bool(rows) and set(rows[0]) >= COLUMNS


def list_prices(rows: Iterable[Mapping[str, str]], *, name: str) -> list[ListPrice]:
    """The rows that tell which GPU they are about, and how many.

    Raises:
        TableInvalid: a number or a date cannot be read.
    """
    found = []
    for number, row in enumerate(rows, start=1):
        if not row["gpu_model"] or not row["gpu_count"]:
            continue
        try:
            found.append(
                ListPrice(
                    cloud=row["cloud"],
                    region=row["region"],
                    sku=row["sku"],
                    as_of=date.fromisoformat(row["as_of"]),
                    gpu_model=row["gpu_model"],
                    gpus=Decimal(row["gpu_count"]),
                    usd_per_hour=_decimal(row["usd_per_hour"]),
                    spot_usd_per_hour=_decimal(row["spot_usd_per_hour"]),
                )
            )
        except (ValueError, InvalidOperation) as err:
            raise TableInvalid(name, f"row {number}: {err}") from err
    return [price for price in found if price.gpus > 0]


def book_rows(
    pools: Iterable[tuple[PoolConfig, str]],
    prices: Sequence[ListPrice],
    *,
    cloud: str = "",
    regions: Mapping[str, str] | None = None,
    reserved_too: bool = False,
) -> tuple[list[PriceRow], dict[str, str]]:
    """Price rows for pools, and why each other pool has none.

    Args:
        pools: each pool with its region's id.
        cloud: the only cloud to read; empty means any.
        regions: the list's name of a region where it is not the id.
        reserved_too: price reserved pools at list price as well.
    """
    rows: list[PriceRow] = []
    left: dict[str, str] = {}
    for pool, region in pools:
        listed = (regions or {}).get(region, region)
        own = [p for p in prices if p.region == listed and cloud in {"", p.cloud}]
        if pool.purchase == "reserved" and not reserved_too:
            left[pool.id] = "a contract price is not a list price"
        elif not own:
            left[pool.id] = f"the list has no region {listed}"
        elif not (fitting := [p for p in own if p.gpu_model in _names(pool)]):
            left[pool.id] = f"the list has no {pool.gpu_type} in {listed}"
        elif not (priced := [p for p in fitting if p.per_gpu(pool.purchase) is not None]):
            left[pool.id] = f"the list has no {pool.purchase} price for {pool.gpu_type}"
        else:
            rows += _history(pool, priced)
    return rows, left


def _history(pool: PoolConfig, prices: Sequence[ListPrice]) -> list[PriceRow]:
    """Every price of the SKU that is cheapest by its newest price."""
    whole = [p for p in prices if p.gpus == WHOLE_MACHINE_GPUS] or list(prices)
    newest: dict[str, ListPrice] = {}
    for price in sorted(whole, key=lambda p: p.as_of):
        newest[price.sku] = price
    best = min(newest.values(), key=lambda p: (p.per_gpu(pool.purchase) or 0, p.sku))
    return [
        PriceRow(
            pool=pool.id,
            usd_per_gpu_hour=usd,
            valid_from=p.as_of,
            source=f"{p.cloud} list price, {p.sku}, {p.region}",
        )
        for p in whole
        if p.sku == best.sku and (usd := p.per_gpu(pool.purchase)) is not None
    ]


def _names(pool: PoolConfig) -> set[str]:
    return {pool.gpu_type, f"{pool.gpu_type}-{round(pool.gpu_memory_gib)}GB"}


def _decimal(text: Any) -> Decimal | None:
    return Decimal(text) if text else None
