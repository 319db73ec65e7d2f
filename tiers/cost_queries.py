"""What the fleet costs now, by model, tier, region and team, and the price book behind it."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from infra_console.fleet.models import PoolPrice
from infra_console.fleet.prices import Price, prices_in_force
from infra_console.telemetry.queries import read_instant
from infra_console.telemetry.series import Freshness
from tiers.core.costs import By, CostLot, CostRow, cost_table
from tiers.core.ledger_table import LotRow
from tiers.facts import FleetFacts
from tiers.ledger_queries import ledger_lots
from tiers.queries import clusters_in, current_facts, latest_observation

BYS: tuple[By, ...] = ("model", "tier", "region", "team")
MOST_HISTORY = 400


@dataclass(frozen=True, slots=True)
class PoolInBook:
    """One pool, its GPUs, its price in force and all its prices, newest first."""

    id: str
    purchase: str
    gpus: int
    price: Price
    history: list[PoolPrice]


@dataclass(frozen=True, slots=True)
class CostPage:
    rows: list[CostRow]
    total: CostRow | None
    pools: list[PoolInBook]
    tokens_problem: str


def cost_page(*, by: By, region: str = "", now: datetime) -> CostPage | None:
    """Costs of the scope; None before the first observation."""
    observation, facts = latest_observation(), current_facts()
    if observation is None or facts is None:
        return None
    clusters = clusters_in(region)
    seen = {c: v for c, v in observation.document["clusters"].items() if c in clusters}
    lots, prices = ledger_lots(seen), prices_in_force(facts.config, on=now.date())
    priced = [_cost_lot(facts, lot, prices) for lot in lots]
    tokens, problem = _tokens(facts, clusters)
    rows = cost_table(priced, tokens, by=by)
    everything = cost_table([_in_one(lot) for lot in priced], tokens, by="team")
    return CostPage(
        rows, next(iter(everything), None), _book(facts, clusters, lots, prices), problem
    )


def _cost_lot(facts: FleetFacts, lot: LotRow, prices: dict[str, Price]) -> CostLot:
    workload = facts.workloads.get(lot.workload)
    price = prices.get(lot.pool)
    return CostLot(
        cluster=lot.cluster,
        region=facts.region_of.get(lot.cluster, ""),
        pool=lot.pool,
        tier=lot.tier,
        state=lot.state,
        team=lot.owner,
        model=workload.model or workload.id if workload and lot.state == "serving" else "",
        gpus=lot.gpus,
        usd_per_gpu_hour=price.usd_per_gpu_hour if price else None,
    )


def _in_one(lot: CostLot) -> CostLot:
    return CostLot(
        lot.cluster, lot.region, lot.pool, lot.tier, lot.state, "everything", lot.model, lot.gpus,
        lot.usd_per_gpu_hour,
    )  # fmt: skip


def _tokens(
    facts: FleetFacts, clusters: list[str]
) -> tuple[dict[tuple[str, str], Decimal | None], str]:
    """Tokens a second by (cluster, model) where they are fresh, and what the source says else."""
    reading = read_instant("tokens_per_s", match={"cluster": clusters})
    found: dict[tuple[str, str], Decimal | None] = {}
    for series in reading.series:
        fresh = series.last is not None and reading.state is not Freshness.DOWN
        key = (series.labels.get("cluster", ""), series.labels.get("model_name", ""))
        found[key] = Decimal(str(round(series.last, 6))) if fresh and series.last else None
    return found, reading.error


def _book(
    facts: FleetFacts, clusters: list[str], lots: list[LotRow], prices: dict[str, Price]
) -> list[PoolInBook]:
    held = Counter[str]()
    for lot in lots:
        held[lot.pool] += lot.gpus
    history: dict[str, list[PoolPrice]] = {}
    for row in PoolPrice.objects.order_by("pool", "-valid_from")[:MOST_HISTORY]:
        history.setdefault(row.pool, []).append(row)
    return [
        PoolInBook(p.id, p.purchase, held[p.id], prices[p.id], history.get(p.id, []))
        for p in facts.config.pools
        if p.cluster in clusters
    ]
