"""What binds the regions together: so many moves, and a budget per hour.

A plan that breaks a limit is solved anew with a fee on every move, or a mark-up on paid capacity,
just high enough (by bisection); what is still too much is then undone group by group, the least
loss first. Undoing every start and then every stop leads back to what runs now, so the move limit
can always be kept; the budget can as far as floors and the move limit leave it. Where both bind, no
stop is undone that the budget needs; the last resort is what runs now less the dearest groups.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tiers.core.allocator.arrays import Ints, Region
from tiers.core.allocator.last_resort import fewest_stops
from tiers.core.allocator.paths import workload_usd

HALVINGS = 5
DEAREST_MARK_UP = 64.0
DEAREST_MOVE_USD = 4096.0
CENT = 0.01
Solve = Callable[[float, float], list[Ints]]  # (fee per move, mark-up) -> a plan per region


def moves_of(region: Region, plan: Ints) -> Ints:
    """(P, W, T): groups started (positive) or stopped as each step begins."""
    return np.diff(plan, axis=2, prepend=region.facts.current[:, :, None])


def count_moves(regions: Sequence[Region], plans: Sequence[Ints]) -> int:
    pairs = zip(regions, plans, strict=True)
    return int(sum(np.abs(moves_of(region, plan)).sum() for region, plan in pairs))


def usd_per_hour(regions: Sequence[Region], plans: Sequence[Ints]) -> float:
    """Paid capacity of the fleet in its dearest step."""
    rates = [
        (region.paid_usd_per_hour[:, :, None] * plan).sum(axis=(0, 1))
        for region, plan in zip(regions, plans, strict=True)
    ]
    return float(np.max(np.sum(rates, axis=0), initial=0.0)) if rates else 0.0


def within(
    regions: Sequence[Region], solve: Solve, *, max_moves: int, budget: float | None
) -> tuple[list[Ints], str]:
    """Plans that keep the limits, and which limit bound: "the move limit", "the budget" or ""."""
    plans, bound, mark_up = solve(0.0, 0.0), "", 0.0
    if budget is not None and usd_per_hour(regions, plans) > budget + CENT:
        bound = "the budget"

        def too_dear(made: list[Ints]) -> bool:
            return usd_per_hour(regions, made) > budget + CENT

        mark_up, plans = _priced(lambda price: solve(0.0, price), too_dear, DEAREST_MARK_UP)
        _trim_budget(regions, plans, budget)
    if count_moves(regions, plans) > max_moves:
        bound = "the budget or the move limit" if bound else "the move limit"

        def too_many(made: list[Ints]) -> bool:
            return count_moves(regions, made) > max_moves

        _, plans = _priced(lambda fee: solve(fee, mark_up), too_many, DEAREST_MOVE_USD)
        _trim_moves(regions, plans, max_moves, budget)
        if budget is not None and usd_per_hour(regions, plans) > budget + CENT:
            bound = "the budget or the move limit"
            plans = _nearer(regions, plans, fewest_stops(regions, max_moves, budget))
    return plans, bound


def _nearer(regions: Sequence[Region], plans: list[Ints], resort: list[Ints]) -> list[Ints]:
    """The last resort where it costs less an hour and no floor suffers."""

    def below_floors(made: Sequence[Ints]) -> int:
        return sum(
            int(np.maximum(0, region.facts.floor[:, None] - plan.sum(axis=0)).sum())
            for region, plan in zip(regions, made, strict=True)
        )

    better = usd_per_hour(regions, resort) < usd_per_hour(regions, plans)
    return resort if better and below_floors(resort) <= below_floors(plans) else plans


def _priced(
    solve: Callable[[float], list[Ints]], over: Callable[[list[Ints]], bool], highest: float
) -> tuple[float, list[Ints]]:
    """The highest price tried whose plan still breaks the limit, and that plan, to be trimmed: it
    keeps more of what is worth having than the next one that needs no trimming."""
    low, high, best = 0.0, highest, solve(0.0)
    for _ in range(HALVINGS):
        middle = high / 8 if low == 0.0 else (low * high) ** 0.5
        tried = solve(middle)
        if over(tried):
            low, best = middle, tried
        else:
            high = middle
    return low, best


@dataclass(frozen=True, slots=True, order=True)
class _Undo:
    """One group more or fewer in some steps, and what that loses for each move or USD it saves."""

    loss_each: float
    region: int
    p: int
    w: int
    first: int
    after: int
    sign: int

    def apply(self, plan: Ints) -> None:
        plan[self.p, self.w, self.first : self.after] += self.sign


def _trim_moves(
    regions: Sequence[Region], plans: list[Ints], max_moves: int, budget: float | None
) -> None:
    options = [
        _move_undos(i, r, plan) for i, (r, plan) in enumerate(zip(regions, plans, strict=True))
    ]
    while count_moves(regions, plans) > max_moves:
        best = _first_undo(regions, plans, options, budget)
        if best is None:
            return
        best.apply(plans[best.region])
        options[best.region] = _move_undos(best.region, regions[best.region], plans[best.region])


def _first_undo(
    regions: Sequence[Region],
    plans: list[Ints],
    options: Sequence[Sequence[_Undo]],
    budget: float | None,
) -> _Undo | None:
    """The least loss that the budget bears; where it bears none, the least paid capacity."""
    if budget is None:
        return min((o[0] for o in options if o), default=None)
    allowed = max(budget, usd_per_hour(regions, plans)) + CENT
    sorted_options = sorted(undo for found in options for undo in found)
    costs = []
    for undo in sorted_options:
        usd = _usd_after(regions, plans, undo)
        if usd <= allowed:
            return undo
        costs.append((usd, undo))
    return min(costs)[1] if costs else None


def _usd_after(regions: Sequence[Region], plans: list[Ints], undo: _Undo) -> float:
    plan = plans[undo.region]
    undo.apply(plan)
    usd = usd_per_hour(regions, plans)
    plan[undo.p, undo.w, undo.first : undo.after] -= undo.sign
    return usd


def _move_undos(number: int, region: Region, plan: Ints) -> list[_Undo]:
    """Starts and stops that could be undone, the least loss for each move saved first."""
    moves = moves_of(region, plan)
    found = []
    steps = plan.shape[2]
    for p, w, t in zip(*np.nonzero(moves), strict=True):
        sign = -1 if moves[p, w, t] > 0 else 1
        back = np.flatnonzero(moves[p, w, t + 1 :] * moves[p, w, t] < 0)
        after = int(t + 1 + back[0]) if len(back) else steps
        saved = 2 if len(back) else 1
        undo = _undo(number, region, plan, (int(p), int(w)), (int(t), after), sign, saved)
        if undo is not None:
            found.append(undo)
    return sorted(found)


def _undo(
    number: int,
    region: Region,
    plan: Ints,
    cell: tuple[int, int],
    span: tuple[int, int],
    sign: int,
    saved: float,
) -> _Undo | None:
    """The change if it is allowed: never below zero, and where it adds, in whole free nodes."""
    (p, w), (first, after) = cell, span
    before = workload_usd(region.facts, plan, w)
    plan[p, w, first:after] += sign
    allowed = sign < 0 or _fits(region, plan, p, w)
    loss = workload_usd(region.facts, plan, w) - before
    allowed = allowed and bool((plan[p, w, first:after] >= 0).all())
    plan[p, w, first:after] -= sign
    return _Undo(loss / saved, number, p, w, first, after, sign) if allowed else None


def _fits(region: Region, plan: Ints, p: int, w: int) -> bool:
    """Whole nodes by tier, and the workload's ceiling."""
    return bool(
        (nodes_used(region, plan)[p] <= region.facts.nodes[p]).all()
        and (plan[:, w].sum(axis=0) <= region.facts.ceiling[w]).all()
    )


def nodes_used(region: Region, plan: Ints) -> Ints:
    """(P, T) whole nodes, each serving one tier."""
    facts = region.facts
    gpus = facts.gpus[:, :, None] * plan
    used = np.zeros((plan.shape[0], plan.shape[2]), dtype=np.int64)
    for tier in range(facts.tiers):
        held = gpus[:, facts.tier == tier].sum(axis=1)
        used += -(-held // facts.gpus_per_node[:, None])
    return used


def _trim_budget(regions: Sequence[Region], plans: list[Ints], budget: float) -> None:
    """Stop paid groups in the dearest step, the least loss for each USD first; floors hold."""
    while usd_per_hour(regions, plans) > budget + CENT:
        rates = [
            (r.paid_usd_per_hour[:, :, None] * plan).sum(axis=(0, 1))
            for r, plan in zip(regions, plans, strict=True)
        ]
        step = int(np.argmax(np.sum(rates, axis=0)))
        found = [
            undo
            for i, (region, plan) in enumerate(zip(regions, plans, strict=True))
            for p, w in zip(
                *np.nonzero((region.facts.capacity > 0) & (plan[:, :, step] > 0)), strict=True
            )
            if plan[:, w, step].sum() > region.facts.floor[w]
            for undo in [_cheapest_span(i, region, plan, int(p), int(w), step)]
            if undo is not None
        ]
        if not found:
            return
        best = min(found)
        best.apply(plans[best.region])


def _cheapest_span(
    number: int, region: Region, plan: Ints, p: int, w: int, step: int
) -> _Undo | None:
    """One group fewer around the step, for as long as is cheapest."""
    steps = plan.shape[2]
    spans = {(step, step + 1), (step, steps), (0, step + 1), (0, steps)}
    usd = float(region.paid_usd_per_hour[p, w])
    tried = (_undo(number, region, plan, (p, w), span, -1, usd) for span in sorted(spans))
    return min((undo for undo in tried if undo is not None), default=None)
