"""What GPUs cost an hour, at work and not, and what a million tokens cost. Money is Decimal.

usd_per_hour of a group = Σ over its lots gpus × usd_per_gpu_hour of the lot's pool.
usd_per_million_tokens = 10⁶ × usd_per_hour / (3600 × tokens/s), where tokens are prompt and output
together, and a model's tokens in a cluster are divided over the GPUs that serve it there. `loaded`
adds each group's share of what its (cluster, tier) pays for GPUs that do nothing, in proportion to
what the group pays there. A price or a rate that is unknown makes its sums unknown, never lower.

Worked example: 8 GPUs at 3 USD serve 1,000 tokens/s: 24 USD an hour, 3.6 million tokens an hour,
6.67 USD a million; with 8 more GPUs free in the tier, 48 USD an hour and 13.33 USD a million.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

By = Literal["model", "tier", "region", "team"]
AT_WORK = frozenset({"serving", "training", "operational"})
IDLE = frozenset({"idle-allocated", "free-usable"})
STRANDED = frozenset({"free-stranded"})
ZERO = Decimal(0)
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class CostLot:
    """GPUs of one pool in one state. `usd_per_gpu_hour` None is unknown."""

    cluster: str
    region: str
    pool: str
    tier: str
    state: str
    team: str
    model: str
    gpus: int
    usd_per_gpu_hour: Decimal | None


@dataclass(frozen=True, slots=True)
class CostRow:
    """One group. Money is USD an hour; `unpriced_gpus` are in none of the sums, which are then
    "at least". Token prices are None where there are no tokens or something is unknown."""

    name: str
    gpus: int
    unpriced_gpus: int
    usd: Decimal
    usd_idle: Decimal
    usd_stranded: Decimal
    usd_out: Decimal
    tokens_per_s: Decimal | None
    usd_per_million_tokens: Decimal | None
    usd_per_million_tokens_loaded: Decimal | None

    @property
    def partial(self) -> bool:
        return self.unpriced_gpus > 0


@dataclass(slots=True)
class _Sum:
    gpus: int = 0
    unpriced: int = 0
    usd: Decimal = ZERO
    idle: Decimal = ZERO
    stranded: Decimal = ZERO
    out: Decimal = ZERO
    serving: Decimal = ZERO
    extra: Decimal = ZERO
    tokens: Decimal | None = None
    unknown_tokens: bool = False
    shares: dict[tuple[str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))


def cost_table(
    lots: Sequence[CostLot],
    tokens_per_s: Mapping[tuple[str, str], Decimal | None],
    *,
    by: By,
) -> list[CostRow]:
    """Costs by group, dearest first.

    Args:
        tokens_per_s: by (cluster, model); a missing pair and None are unknown.
    """
    serving = _gpus_serving(lots)
    sums: dict[str, _Sum] = defaultdict(_Sum)
    for lot in lots:
        _add(sums[getattr(lot, by)], lot, tokens_per_s, serving)
    _load(sums, lots)
    rows = [_row(name, total) for name, total in sums.items()]
    return sorted(rows, key=lambda row: (-row.usd, not row.name, row.name))


def _gpus_serving(lots: Iterable[CostLot]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = defaultdict(int)
    for lot in lots:
        if lot.state == "serving" and lot.model:
            found[lot.cluster, lot.model] += lot.gpus
    return found


def _add(
    total: _Sum,
    lot: CostLot,
    tokens_per_s: Mapping[tuple[str, str], Decimal | None],
    serving: Mapping[tuple[str, str], int],
) -> None:
    total.gpus += lot.gpus
    if lot.state == "serving" and lot.model:
        rate = tokens_per_s.get((lot.cluster, lot.model))
        total.unknown_tokens |= rate is None
        share = (rate or ZERO) * lot.gpus / serving[lot.cluster, lot.model]
        total.tokens = (total.tokens or ZERO) + share
    if lot.usd_per_gpu_hour is None:
        total.unpriced += lot.gpus
        return
    usd = lot.gpus * lot.usd_per_gpu_hour
    total.usd += usd
    total.idle += usd if lot.state in IDLE else ZERO
    total.stranded += usd if lot.state in STRANDED else ZERO
    total.out += usd if lot.state not in AT_WORK | IDLE | STRANDED else ZERO
    if lot.state == "serving":
        total.serving += usd
        total.shares[lot.cluster, lot.tier] += usd


def _load(sums: Mapping[str, _Sum], lots: Iterable[CostLot]) -> None:
    """Each group's share of what does nothing in the (cluster, tier) where it serves."""
    nothing: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for lot in lots:
        if lot.state not in AT_WORK and lot.usd_per_gpu_hour is not None:
            nothing[lot.cluster, lot.tier] += lot.gpus * lot.usd_per_gpu_hour
    paid: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for total in sums.values():
        for place, usd in total.shares.items():
            paid[place] += usd
    for total in sums.values():
        for place, usd in total.shares.items():
            if paid[place]:
                total.extra += nothing[place] * usd / paid[place]


def _row(name: str, total: _Sum) -> CostRow:
    known = total.tokens is not None and not total.unknown_tokens
    tokens = total.tokens if known else None
    priced = total.unpriced == 0
    return CostRow(
        name=name,
        gpus=total.gpus,
        unpriced_gpus=total.unpriced,
        usd=total.usd,
        usd_idle=total.idle,
        usd_stranded=total.stranded,
        usd_out=total.out,
        tokens_per_s=tokens,
        usd_per_million_tokens=_per_million(total.serving, tokens) if priced else None,
        usd_per_million_tokens_loaded=(
            _per_million(total.serving + total.extra, tokens) if priced else None
        ),
    )


def _per_million(usd_per_hour: Decimal, tokens_per_s: Decimal | None) -> Decimal | None:
    if not tokens_per_s:
        return None
    return 1_000_000 * usd_per_hour / (HOUR_S * tokens_per_s)
