"""Minimum dwell: groups that changed a short while ago are not stopped again in this plan.

A stop of such groups costs more than all that a plan could save, and less than a floor: so only a
floor asks for it, or the budget, which trims what is cheapest. The whole plan holds them; its later
steps are planned anew before their time, when the dwell may be over.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from tiers.core.allocator.arrays import FLOOR_BREACH_USD, Ints, Region
from tiers.core.allocator.explain import counted
from tiers.core.allocator.held import Held
from tiers.core.allocator.paths import workload_usd

Solve = Callable[[Region], tuple[Ints, float]]


def solved_with_dwell(region: Region, solve: Solve) -> tuple[Ints, float]:
    """The plan that lets dwelling groups run, and the bound of the region without their dwell."""
    plan, bound = solve(region)
    if not stopped_early(region, plan).any():
        return plan, bound
    return solve(with_dwell(region))[0], bound


def with_dwell(region: Region) -> Region:
    """The region in which stopping what dwells outweighs all but floors."""
    mask, facts = _mask(region), region.facts
    if not mask.any():
        return region
    held = region.held()
    all_usd = sum(workload_usd(facts, held, w) % FLOOR_BREACH_USD for w in range(mask.shape[1]))
    fee_usd = min(all_usd + 1.0, FLOOR_BREACH_USD / 10)
    return replace(region, facts=facts._replace(stop=facts.stop + fee_usd * mask))


def stopped_early(region: Region, plan: Ints) -> Ints:
    """(P, W): dwelling groups that the plan stops in some step."""
    missing = region.facts.current - plan.min(axis=2, initial=np.iinfo(np.int64).max)
    return np.where(_mask(region), np.maximum(0, missing), 0)


def dwell_lines(region: Region, free: Ints, plan: Ints) -> Iterator[Held]:
    """What the dwell keeps running, and what stops in spite of it.

    Args:
        free: the plan without any dwell.
    """
    wanted, made = stopped_early(region, free), stopped_early(region, plan)
    for p, w in zip(*np.nonzero(np.maximum(wanted, made)), strict=True):
        key = region.pools[p], region.workloads[w]
        dwell = region.problem.dwelling[key]
        since = f"changed {minutes(dwell.changed_s_ago)} ago, dwell {minutes(dwell.dwell_s)}"
        if (kept := int(wanted[p, w] - made[p, w])) > 0:
            yield _line(region, f"held: {key[1]} on {key[0]} {since}; {counted(kept)} would stop")
        if (gone := int(made[p, w])) > 0:
            yield _line(
                region,
                f"{counted(gone)} of {key[1]} on {key[0]} stop within the dwell ({since}): a floor "
                "or a limit asks for it",
            )


def _line(region: Region, words: str) -> Held:
    return Held(region.problem.region, "dwell", words)


def minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min"


def _mask(region: Region) -> Ints:
    keys = region.problem.dwelling
    rows = [[(p, w) in keys for w in region.workloads] for p in region.pools]
    return np.array(rows, dtype=np.int64).reshape(region.shape[:2]) * (region.facts.gpus > 0)
