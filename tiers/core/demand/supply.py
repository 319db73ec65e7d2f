"""The GPUs of one region and type over the next hours, as a band.

After t hours, with n ordinary, s spot and b broken nodes of g GPUs and the calendar's changes R(t):

    expected = supply + R - g (n pf + s (1 - (1 - pf)(1 - ps))) + g b pr,   p = 1 - exp(-rate t)

`low` takes the losses that 95 % of cases stay below and the repairs that 95 % exceed (binomial,
node by node), `high` the other ends; never below nothing. Nodes are taken to fail alone: a rack
or a zone that goes is a drill, not this band. What fails and is repaired within the hours shown
counts as failed.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tiers.core.demand.rates import Rates

RARE = 0.05


@dataclass(frozen=True, slots=True)
class SupplyNow:
    """GPUs of one region and type by what may become of them."""

    gpus: int
    spot_gpus: int
    broken_gpus: int
    gpus_per_node: int = 8


@dataclass(frozen=True, slots=True)
class Coming:
    """GPUs that come (positive) or go at one time, by the calendar."""

    at: datetime
    gpus: int
    why: str


@dataclass(frozen=True, slots=True)
class SupplyStep:
    at: datetime
    low: float
    expected: float
    high: float


def supply_band(
    now_gpus: SupplyNow,
    rates: Rates,
    calendar: Iterable[Coming],
    *,
    now: datetime,
    step: timedelta,
    steps: int,
) -> list[SupplyStep]:
    """The band at each of `steps` times after now."""
    changes = list(calendar)
    return [_at(now_gpus, rates, changes, now, now + step * (i + 1)) for i in range(steps)]


def _at(
    held: SupplyNow, rates: Rates, changes: Sequence[Coming], now: datetime, at: datetime
) -> SupplyStep:
    hours = (at - now).total_seconds() / 3600
    size = held.gpus_per_node
    fails, taken, mended = (
        1 - math.exp(-rate.per_hour * hours) for rate in (rates.failures, rates.spot, rates.repairs)
    )
    goes = 1 - (1 - fails) * (1 - taken)
    plain, spot = held.gpus - held.spot_gpus, held.spot_gpus
    base = held.gpus + sum(c.gpus for c in changes if c.at <= at)
    nodes = (_nodes(plain, size), _nodes(spot, size), _nodes(held.broken_gpus, size))

    def lost(q: float) -> int:
        return binomial_quantile(nodes[0], fails, q) + binomial_quantile(nodes[1], goes, q)

    low: float = base - size * lost(1 - RARE) + size * binomial_quantile(nodes[2], mended, RARE)
    high: float = base - size * lost(RARE) + size * binomial_quantile(nodes[2], mended, 1 - RARE)
    expected = base - plain * fails - spot * goes + held.broken_gpus * mended
    low, high = min(low, expected), max(high, expected)  # rare losses: none in 95 % of cases
    return SupplyStep(at, max(0.0, low), max(0.0, expected), max(0.0, high))


def _nodes(gpus: int, size: int) -> int:
    return math.ceil(gpus / size)


def binomial_quantile(n: int, p: float, q: float) -> int:
    """The least k such that at most k of n happen with a chance of at least q."""
    if p <= 0.0 or p >= 1.0:
        return n if p >= 1.0 else 0
    here, there, upto = math.log(p), math.log1p(-p), 0.0
    for k in range(n):
        ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        upto += math.exp(ways + k * here + (n - k) * there)
        if upto >= q - 1e-12:
            return k
    return n
