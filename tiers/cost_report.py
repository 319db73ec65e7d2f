"""The report's section on money: what the ledger's GPU-hours cost, and a million tokens."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from infra_console.fleet.prices import Price, prices_in_force
from infra_console.reports.sections import Column, Period, Section, table
from infra_console.telemetry.queries import read_range
from infra_console.telemetry.series import Array, Reading
from tiers.core.costs import AT_WORK, IDLE
from tiers.facts import FleetFacts
from tiers.ledger_periods import Spent, ledger_begins, spent
from tiers.queries import current_facts

ENOUGH = 0.5  # of a period must be known before a mean of it says anything
TITLE = "Cost and cost per million tokens"
MONEY = ("work", "idle", "out")
COSTS = (
    Column(title="Tier"), Column(title="GPU-hours", format="count"),
    Column(title="Cost", format="usd", unit="USD"),
    Column(title="of it idle", format="usd", unit="USD"),
    Column(title="out of use", format="usd", unit="USD"),
    Column(title="GPU-hours without a price", format="count"),
)  # fmt: skip
TOKENS = (
    Column(title="Model"), Column(title="Serving", format="usd", unit="USD/h"),
    Column(title="Tokens/s", format="number"),
    Column(title="USD per million tokens", format="usd"),
    Column(title="Tokens measured", format="percent"),
)  # fmt: skip


def costs(period: Period) -> Section:
    """What the ledger's GPU-hours cost, by tier, and a million tokens by model."""
    facts = current_facts()
    if facts is None:
        return Section(
            key="costs",
            title=TITLE,
            missing=("no fleet is configured",),
        )
    begun = ledger_begins()
    start = max(period.start, begun) if begun else period.end
    hours = (period.end - start).total_seconds() / 3600
    lots = spent(start=start, end=period.end) if hours > 0 else []
    prices = prices_in_force(facts.config, on=period.end.date())
    tokens = read_range(
        "tokens_per_s", start=period.start, end=period.end, step_s=period.step_s,
        match={"cluster": list(facts.cluster_ids)},
    )  # fmt: skip
    missing = [] if hours >= period.hours else [
        f"the ledger knows {max(0.0, hours):.1f} of the period's {period.hours:.0f} hours"
    ]  # fmt: skip
    missing += [f"tokens: {tokens.error}"] if tokens.error else []
    by_model = _token_rows(facts, lots, prices, tokens, hours)
    if uncounted := [row[0] for row in by_model if row[2] is None]:
        missing.append(f"tokens of {', '.join(uncounted)}: less than half of the period is counted")
    return Section(
        key="costs", title=TITLE,
        sentences=("Prices are those in force at the end; what has no price is in no sum.",),
        tables=(
            table("By tier", COSTS, _cost_rows(lots, prices), empty="The ledger is empty."),
            table("By model", TOKENS, by_model,
                  empty="No model served in this period."),
        ),
        missing=tuple(missing),
    )  # fmt: skip


def _usd(lot: Spent, prices: Mapping[str, Price]) -> float | None:
    price = prices.get(lot.pool)
    rate: Decimal | None = price.usd_per_gpu_hour if price else None
    return None if rate is None else lot.gpu_hours * float(rate)


def _cost_rows(lots: Sequence[Spent], prices: Mapping[str, Price]) -> list[tuple[Any, ...]]:
    """GPU-hours and money of each tier. A tier of which nothing has a price has no sums."""
    hours: dict[str, float] = defaultdict(float)
    unpriced: dict[str, float] = defaultdict(float)
    sums: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(("all", *MONEY), 0.0))
    for lot in lots:
        tier = lot.tier or "no tier"
        hours[tier] += lot.gpu_hours
        usd = _usd(lot, prices)
        if usd is None:
            unpriced[tier] += lot.gpu_hours
            continue
        group = "work" if lot.state in AT_WORK else "idle" if lot.state in IDLE else "out"
        sums[tier]["all"] += usd
        sums[tier][group] += usd
    return [(tier, hours[tier], *_money(sums.get(tier)), unpriced[tier]) for tier in sorted(hours)]


def _money(sums: Mapping[str, float] | None) -> tuple[float | None, ...]:
    return tuple(None if sums is None else sums[name] for name in ("all", *MONEY[1:]))


def _token_rows(
    facts: FleetFacts, lots: Sequence[Spent], prices: Mapping[str, Price], tokens: Reading,
    hours: float,
) -> list[tuple[Any, ...]]:  # fmt: skip
    """Each model's price of a million tokens, where both money and tokens are known."""
    usd: dict[str, float | None] = {}
    for lot in lots:
        workload = facts.workloads.get(lot.workload)
        if workload is None or lot.state != "serving":
            continue
        model = workload.model or workload.id
        cost, so_far = _usd(lot, prices), usd.get(model, 0.0)
        usd[model] = None if cost is None or so_far is None else so_far + cost
    rows = []
    for model, total in sorted(usd.items()):
        rate, known = _token_rate(tokens, model)
        an_hour = None if total is None or hours <= 0 else total / hours
        each = None if an_hour is None or not rate else an_hour * 1e6 / (3600 * rate)
        rows.append((model, an_hour, rate, each, known))
    return rows


def _token_rate(tokens: Reading, model: str) -> tuple[float | None, float]:
    """Mean tokens a second where every cluster with the model is known, and how much that is."""
    found = tokens.select(model_name=model)
    if not found:
        return None, 0.0
    total: Array = np.sum([s.values for s in found], axis=0)
    known = float((~np.isnan(total)).mean())
    return (float(np.nanmean(total)) if known >= ENOUGH else None), known
