"""Where the budget and the move limit both bind: what runs now, less few and dear groups.

From what runs now every stop is one move and makes every step cheaper alike, so stopping the
dearest groups first brings the hour's cost down by as much as so many moves can. Floors hold.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from tiers.core.allocator.arrays import Ints, Region
from tiers.core.allocator.paths import workload_usd

CENT = 0.01
_Stop = tuple[float, float, int, int, int]  # USD per hour, loss, region, pool, workload


def fewest_stops(regions: Sequence[Region], max_moves: int, budget: float) -> list[Ints]:
    """What runs now less at most `max_moves` groups: enough for the budget, or the dearest."""
    plans = [region.held() for region in regions]
    for _ in range(max_moves):
        excess = _usd_now(regions, plans) - budget
        found = list(_stops(regions, plans))
        if excess <= CENT or not found:
            break
        enough = [stop for stop in found if stop[0] >= excess - CENT]
        # One stop that suffices is the one of least loss; else the dearest goes first.
        best = min(enough, key=lambda s: (s[1], s[2:])) if enough else max(found)
        plans[best[2]][best[3], best[4]] -= 1
    return plans


def _stops(regions: Sequence[Region], plans: Sequence[Ints]) -> Iterator[_Stop]:
    """Every paid group above its floor."""
    for number, (region, plan) in enumerate(zip(regions, plans, strict=True)):
        facts, rates = region.facts, region.paid_usd_per_hour
        for p, w in zip(*np.nonzero((rates > 0) & (plan[:, :, 0] > 0)), strict=True):
            if plan[:, w, 0].sum() > facts.floor[w]:
                before = workload_usd(facts, plan, w)
                plan[p, w] -= 1
                loss = workload_usd(facts, plan, w) - before
                plan[p, w] += 1
                yield float(rates[p, w]), float(loss), number, int(p), int(w)


def _usd_now(regions: Sequence[Region], plans: Sequence[Ints]) -> float:
    pairs = zip(regions, plans, strict=True)
    return float(sum((r.paid_usd_per_hour * plan[:, :, 0]).sum() for r, plan in pairs))
