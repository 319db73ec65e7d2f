"""The allocator: which pool runs how many groups of which workload, held for the whole horizon.

Objective, in US dollars over the horizon, as in the snapshot contract:
`capacity` (pools paid when used) + `moves` (loading and draining at the pool's rate, lost work of
stopped groups) + `shortfall` (demand at the chosen quantile that no group serves).

Method: local search from the current allocation by exchanges (start a group where there is room,
or in the place of the cheapest others; stop one that no longer pays), best gain first, until no
exchange gains more than `min_gain_usd` or the move limit is reached. The move price makes the
current allocation sticky; "no change is worth its price" is an ordinary result. `bound.py` proves
how far from the best possible the answer is. Regions share nothing but the limits: a workload's
demand belongs to a region, and moving demand is a route, not a move.

Limits: one allocation for all steps, whole nodes per tier (a node serves one tier), no blocks and
no gangs across pools.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tiers.core.bound import lower_bound_usd
from tiers.core.region_problem import Exchange, Key, RegionProblem
from tiers.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class GroupMove:
    """Groups of one workload started (positive) or stopped (negative) in one pool."""

    region: str
    pool: str
    workload: str
    groups: int
    gpus: int
    reason: str


@dataclass(frozen=True, slots=True)
class Allocation:
    """The answer, with its price, its proof and its reasons."""

    groups: dict[tuple[str, str], int]  # (pool, workload) -> groups, zeros left out
    moves: tuple[GroupMove, ...]
    capacity_usd: float
    moves_usd: float
    shortfall_usd: float
    reserved_usd: float  # already paid, printed apart
    usd_per_hour: float  # of the pools that are paid when used
    bound_usd: float
    gain_usd: float  # against keeping the current allocation
    unmet_floors: tuple[str, ...]
    refused: tuple[str, ...] = ()  # exchanges worth making that a limit forbids

    @property
    def objective_usd(self) -> float:
        return self.capacity_usd + self.moves_usd + self.shortfall_usd

    @property
    def gap(self) -> float | None:
        """objective/bound - 1, or None where the bound is zero."""
        return self.objective_usd / self.bound_usd - 1 if self.bound_usd > 0 else None


def allocate(snapshot: Snapshot, *, min_gain_usd: float = 1.0) -> Allocation:
    """Choose groups per (pool, workload). Deterministic.

    Args:
        snapshot: the fleet and its demand.
        min_gain_usd: an exchange must gain more than this over the horizon to be made.
    """
    problems = [RegionProblem.of(snapshot, region.id) for region in snapshot.regions]
    before = [p.cost() for p in problems]
    refused = tuple(_search(problems, snapshot, min_gain_usd).values())
    after = [p.cost() for p in problems]
    # Breaches of a floor are priced in the search alone; they are reported, not billed.
    capacity = sum(c.capacity_usd for c in after)
    return Allocation(
        groups={key: n for p in problems for key, n in p.groups().items() if n},
        moves=tuple(m for p in problems for m in _group_moves(p, snapshot)),
        capacity_usd=capacity,
        moves_usd=sum(c.moves_usd for c in after),
        shortfall_usd=sum(c.shortfall_usd for c in after),
        reserved_usd=sum(p.reserved_usd() for p in problems),
        usd_per_hour=capacity / (snapshot.steps * snapshot.step_s / 3600),
        bound_usd=lower_bound_usd(snapshot),
        gain_usd=sum(b.money_usd for b in before) - sum(a.money_usd for a in after),
        unmet_floors=tuple(text for p in problems for text in p.unmet_floors()),
        refused=refused,
    )


def _search(
    problems: list[RegionProblem], snapshot: Snapshot, min_gain_usd: float
) -> dict[Key, str]:
    """Make the best exchange of the whole fleet until none is worth it; what a limit refused.

    A refused exchange gives way to its region's next best, which may be smaller.
    """
    refused: dict[Key, str] = {}
    waiting = [p.exchanges(min_gain_usd=min_gain_usd) for p in problems]
    while any(waiting):
        chosen = max((i for i, w in enumerate(waiting) if w), key=lambda i: waiting[i][0].gain_usd)
        exchange = waiting[chosen].pop(0)
        if limit := _limit_reached(problems, problems[chosen], exchange, snapshot):
            wanted, _ = exchange.changes[0]
            refused.setdefault(wanted, f"{exchange.reason}: not made, {limit} is reached")
            continue
        problems[chosen].apply(exchange)
        waiting[chosen] = problems[chosen].exchanges(min_gain_usd=min_gain_usd)
    return refused


def _limit_reached(
    problems: list[RegionProblem], problem: RegionProblem, exchange: Exchange, snapshot: Snapshot
) -> str:
    """The limit that the exchange would break, or an empty string."""
    limits, made = snapshot.limits, problem.moves_made()
    problem.shift(exchange.changes)
    adds_moves = problem.moves_made() > made
    moves, usd_per_hour = sum(p.moves_made() for p in problems), _usd_per_hour(problems)
    problem.shift_back(exchange.changes)
    if adds_moves and moves > limits.max_moves:
        return "the move limit"
    budget = limits.budget_usd_per_hour
    over_budget = budget is not None and usd_per_hour > budget
    return "the budget" if over_budget and exchange.adds_paid_capacity else ""


def _usd_per_hour(problems: list[RegionProblem]) -> float:
    return sum(p.cost().capacity_usd / p.hours for p in problems)


def _group_moves(problem: RegionProblem, snapshot: Snapshot) -> Iterator[GroupMove]:
    reasons = problem.reasons
    for (pool, workload), now in sorted(problem.groups().items()):
        delta = now - problem.start.get((pool, workload), 0)
        if delta:
            yield GroupMove(
                region=problem.region,
                pool=pool,
                workload=workload,
                groups=delta,
                gpus=delta * problem.group_gpus(pool, workload),
                reason=reasons.get((pool, workload), "follows from another move"),
            )
