"""Which price is in force for each pool, and where it comes from. An unknown price is None."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from infra_console.fleet.config import FleetConfig
from infra_console.fleet.models import PoolPrice

FLEET_FILE = "fleet file"


@dataclass(frozen=True, slots=True)
class Price:
    """A pool's price. `valid_from` is None for the fleet file's, which has no date."""

    usd_per_gpu_hour: Decimal | None
    source: str
    valid_from: date | None = None


def prices_in_force(config: FleetConfig, *, on: date) -> dict[str, Price]:
    """Each pool's price on a day: the book's newest that has begun, else the fleet file's."""
    book: dict[str, Price] = {}
    for row in PoolPrice.objects.filter(valid_from__lte=on).order_by("valid_from"):
        book[row.pool] = Price(row.usd_per_gpu_hour, row.source, row.valid_from)
    return {p.id: book.get(p.id) or _stated(p.usd_per_gpu_hour) for p in config.pools}


def _stated(usd: float | None) -> Price:
    # The file's figure as its author wrote it: str gives the shortest text of a float.
    return Price(None, "") if usd is None else Price(Decimal(str(usd)), FLEET_FILE)


def priced_fleet(config: FleetConfig, *, on: date) -> FleetConfig:
    """The fleet file with the prices in force, as the planner counts with them."""
    prices: Mapping[str, Price] = prices_in_force(config, on=on)
    pools = []
    for pool in config.pools:
        usd = prices[pool.id].usd_per_gpu_hour
        update = {"usd_per_gpu_hour": None if usd is None else float(usd)}
        pools.append(pool.model_copy(update=update))
    return config.model_copy(update={"pools": tuple(pools)})
