"""The allocator: which pool runs how many groups of which workload, step by step.

Objective, in US dollars over the horizon, as in the snapshot contract:
`capacity` (pools paid when used) + `moves` (loading and draining at the pool's rate, lost work of
stopped groups) + `shortfall` (demand at the chosen quantile that no group serves). Floors come
before money and are not billed.

Method, region by region (`tiers.core.allocator`): a linear relaxation that proves a lower bound;
whole plans of single workloads combined by column generation; then ruin and recreate. The price of
a move makes the current allocation sticky; "no change is worth its price" is an ordinary result.
Regions share nothing but the limits: a workload's demand belongs to a region, and moving demand is
a route, not a move. docs/allocator.md has the figures and the roads not taken.

Limits: whole nodes per tier (a node serves one tier), groups of a tier packed as if their sizes
divided a node; no blocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tiers.core.allocator.arrays import Ints, Region
from tiers.core.allocator.dwell import dwell_lines, solved_with_dwell, with_dwell
from tiers.core.allocator.explain import GroupMove, group_moves, refused, unmet_floors, unserved
from tiers.core.allocator.fallback import Fallback, fallbacks
from tiers.core.allocator.held import Held, least_gain
from tiers.core.allocator.limits import CENT, moves_of, usd_per_hour, within
from tiers.core.allocator.relaxation import relaxed
from tiers.core.allocator.solve import solve
from tiers.core.region_problem import Key, RegionProblem
from tiers.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Allocation:
    """The answer, with its price, its proof and its reasons."""

    steps: tuple[dict[Key, int], ...]  # by step: (pool, workload) -> groups, zeros left out
    moves: tuple[GroupMove, ...]  # to be made now
    later: tuple[GroupMove, ...]  # planned for later steps
    capacity_usd: float
    moves_usd: float
    shortfall_usd: float
    reserved_usd: float  # already paid, printed apart
    usd_per_hour: float  # of the pools that are paid when used, on average
    bound_usd: float
    gain_usd: float  # against keeping the current allocation
    unmet_floors: tuple[str, ...]
    refused: tuple[str, ...] = ()  # moves worth making that a limit forbids
    unserved: tuple[str, ...] = ()  # demand that nobody serves, and what would
    held: tuple[Held, ...] = ()  # what stays by its dwell or for too small a gain
    fallbacks: tuple[Fallback, ...] = ()  # where growth may fail

    @property
    def groups(self) -> dict[Key, int]:
        """What is to run now."""
        return self.steps[0]

    @property
    def objective_usd(self) -> float:
        return self.capacity_usd + self.moves_usd + self.shortfall_usd

    @property
    def gap(self) -> float | None:
        """objective/bound - 1, or None where the bound is zero."""
        return self.objective_usd / self.bound_usd - 1 if self.bound_usd > 0 else None


@dataclass(frozen=True, slots=True)
class _Money:
    capacity_usd: float = 0.0
    moves_usd: float = 0.0
    shortfall_usd: float = 0.0

    @property
    def total(self) -> float:
        return self.capacity_usd + self.moves_usd + self.shortfall_usd


def allocate(snapshot: Snapshot, *, min_gain_usd: float = 0.0) -> Allocation:
    """Choose groups per (pool, workload) and step. Deterministic.

    Args:
        snapshot: the fleet and its demand.
        min_gain_usd: what a group that changes its place must gain over the horizon, and a region
            as a whole to be changed at all; half of it for one that only starts or stops. The
            snapshot's own counts where it is larger.
    """
    min_gain_usd = max(min_gain_usd, snapshot.limits.min_gain_usd)
    regions = [Region.of(RegionProblem.of(snapshot, region.id)) for region in snapshot.regions]
    bounds = [0.0] * len(regions)
    free: list[Ints] = []

    def solved(fee_usd: float, mark_up: float) -> list[Ints]:
        plans = []
        for i, region in enumerate(regions):
            priced = _priced(region, min_gain_usd / 2 + fee_usd, mark_up)
            plan, bound = solved_with_dwell(priced, solve)
            plans.append(plan)
            if priced is region:
                bounds[i] = bound
        if not free:
            free.extend(plan.copy() for plan in plans)
        return plans

    limits = snapshot.limits
    plans, limit = within(
        [with_dwell(r) for r in regions],
        solved,
        max_moves=limits.max_moves,
        budget=limits.budget_usd_per_hour,
    )
    for i, region in enumerate(regions):
        kept = [*plans[:i], _worth(region, plans[i], min_gain_usd), *plans[i + 1 :]]
        if _affordable(regions, plans, kept, limits.budget_usd_per_hour):
            plans = kept
    held = [
        line
        for region, plan in zip(regions, plans, strict=True)
        for line in (*_dwelling(region, plan), *_too_little(region, plan, min_gain_usd))
    ]
    return _answer(snapshot, regions, plans, free, bounds, limit, tuple(held))


def _priced(region: Region, fee_usd: float, mark_up: float) -> Region:
    """The region with a fee on every move and paid capacity so much dearer."""
    if not fee_usd and not mark_up:
        return region
    facts = region.facts
    may_run = facts.gpus > 0
    priced = facts._replace(
        start=facts.start + fee_usd * may_run,
        stop=facts.stop + fee_usd * may_run,
        capacity=facts.capacity * (1 + mark_up),
    )
    return replace(region, facts=priced)


def _affordable(
    regions: list[Region], plans: list[Ints], kept: list[Ints], budget: float | None
) -> bool:
    """Whether keeping what runs now in a region breaks no budget that the plan keeps."""
    if budget is None:
        return True
    return usd_per_hour(regions, kept) <= max(budget, usd_per_hour(regions, plans)) + CENT


def _gain_of(region: Region, plan: Ints) -> float:
    """US dollars that the plan gains over what runs now."""
    return _money(region, region.held()).total - _money(region, plan).total


def _worth(region: Region, plan: Ints, min_gain_usd: float) -> Ints:
    """The plan, or what runs now where that is worth as much and no floor asks for a change."""
    held = region.held()
    floors = len(unmet_floors(region, plan)) < len(unmet_floors(region, held))
    return plan if floors or _gain_of(region, plan) >= min_gain_usd else held


def _dwelling(region: Region, plan: Ints) -> Iterator[Held]:
    if region.problem.dwelling:
        yield from dwell_lines(region, solve(region)[0], plan)


def _too_little(region: Region, plan: Ints, min_gain_usd: float) -> Iterator[Held]:
    """Where nothing changes, what a change would gain that is worth its price alone."""
    if min_gain_usd and not moves_of(region, plan).any():
        gain = _gain_of(region, solve(with_dwell(region))[0])
        if gain > CENT:
            yield least_gain(region.problem.region, gain, min_gain_usd)


def _money(region: Region, plan: Ints) -> _Money:
    facts = region.facts
    moves = moves_of(region, plan)
    started, stopped = np.maximum(0, moves).sum(axis=2), np.maximum(0, -moves).sum(axis=2)
    missing = np.maximum(0.0, facts.demand - np.einsum("pw,pwt->wt", facts.units, plan))
    return _Money(
        capacity_usd=float((facts.capacity * plan.sum(axis=2)).sum()),
        moves_usd=float((facts.start * started + facts.stop * stopped).sum()),
        shortfall_usd=float((missing * facts.shortfall[:, None]).sum()),
    )


def _bound(region: Region, plan: Ints, known: float) -> float:
    """A bound without the floors where the plan cannot keep them."""
    if known and not unmet_floors(region, plan):
        return known
    return relaxed(region, rounded=True, floors=not unmet_floors(region, plan))[0]


def _answer(
    snapshot: Snapshot,
    regions: list[Region],
    plans: list[Ints],
    free: list[Ints],
    bounds: list[float],
    limit: str,
    held: tuple[Held, ...],
) -> Allocation:
    pairs = list(zip(regions, plans, strict=True))
    money = [_money(region, plan) for region, plan in pairs]
    kept = [_money(region, region.held()) for region in regions]
    moves = [move for region, plan in pairs for move in group_moves(region, plan)]
    capacity = sum(m.capacity_usd for m in money)
    return Allocation(
        steps=tuple(
            {key: n for region, plan in pairs for key, n in region.groups(plan, step).items()}
            for step in range(snapshot.steps)
        ),
        moves=tuple(move for move in moves if move.step == 0),
        later=tuple(move for move in moves if move.step),
        capacity_usd=capacity,
        moves_usd=sum(m.moves_usd for m in money),
        shortfall_usd=sum(m.shortfall_usd for m in money),
        reserved_usd=sum(region.problem.reserved_usd() for region in regions),
        usd_per_hour=capacity / (snapshot.steps * snapshot.step_s / 3600),
        bound_usd=sum(_bound(r, plan, b) for (r, plan), b in zip(pairs, bounds, strict=True)),
        gain_usd=sum(k.total for k in kept) - sum(m.total for m in money),
        unmet_floors=tuple(text for r, plan in pairs for text in unmet_floors(r, plan)),
        refused=tuple(
            text
            for (region, plan), wanted in zip(pairs, free, strict=True)
            for text in (refused(region, wanted, plan, limit) if limit else ())
        ),
        unserved=tuple(text for region, plan in pairs for text in unserved(region, plan, limit)),
        held=held,
        fallbacks=tuple(found for region, plan in pairs for found in fallbacks(region, plan)),
    )
