"""A chosen point of the frontier as what a plan follows.

What is kept of a point is not its groups, which age with the demand, but what was chosen: the
largest p95 over its objective, under which assumptions, and at most for how much an hour. Each
cycle asks the frontier anew which groups that takes, step by step, and gives the allocator the
demand that exactly these groups serve at `units_per_group`. Whole nodes, moves and the other tiers
stay the allocator's business; money, floors and limits hold as before.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np

from tiers.core.frontier.cells import Cell, cells_of, stacks_of
from tiers.core.frontier.curves import Ints
from tiers.core.frontier.exact import Frontier, frontier_of
from tiers.core.frontier.what_if import WhatIf
from tiers.core.snapshot import DemandStep, Snapshot

SAME_RATIO = 5e-6  # ratios are shown and kept with five digits


@dataclass(frozen=True, slots=True)
class Choice:
    """The largest p95 over its objective that is wanted, under which assumptions.

    `budget_usd_per_hour` bounds the serving GPUs at their list price, as the page shows them.
    """

    latency_ratio: float
    what_if: WhatIf = field(default_factory=WhatIf)
    budget_usd_per_hour: float | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """From what `document` gave."""
        return cls(**{**document, "what_if": WhatIf(**document["what_if"])})

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "what_if": asdict(replace(self.what_if, floors={})) | {
            "floors": dict(self.what_if.floors)}}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Followed:
    """The snapshot to plan from; `ratio` is what can be had, `words` say when it is not the
    choice."""

    snapshot: Snapshot
    ratio: float | None
    words: str = ""


def follow(snapshot: Snapshot, choice: Choice) -> Followed:
    """The snapshot in which each cell asks for the groups that the choice takes."""
    assumed = choice.what_if.apply(snapshot)
    ratio, words = _within_reach(frontier_of(assumed, listed=True), choice)
    planned = choice.what_if.planned(snapshot)
    if ratio is None:
        return Followed(planned, None, words)
    stacks = stacks_of(replace(choice.what_if, lost="").apply(snapshot))
    demand = {w: dict(by_region) for w, by_region in planned.demand.items()}
    for cell in cells_of(planned, stacks, snapshot.quantile):
        asked = demand[cell.workload][cell.region]
        demand[cell.workload][cell.region] = _asked(cell, asked, snapshot.quantile, ratio)
    return Followed(planned.model_copy(update={"demand": demand}), ratio, words)


def _within_reach(found: Frontier, choice: Choice) -> tuple[float | None, str]:
    """The chosen ratio, or the least that the fleet and the budget allow."""
    if not len(found):
        return None, f"no allocation is stable: {found.stopped_by}"
    budget = choice.budget_usd_per_hour
    paid = found.ratio if budget is None else found.ratio[found.usd_per_hour <= budget + 0.01]
    if not len(paid):
        return float(found.ratio[0]), "the budget buys no steady state: the cheapest is kept"
    least = float(paid[-1])
    if least <= choice.latency_ratio + SAME_RATIO:
        return max(least, choice.latency_ratio + SAME_RATIO), ""
    why = "the fleet" if least <= float(found.ratio[-1]) else "the budget"
    return least, f"{why} allows {least:.2f} × the objective, not {choice.latency_ratio:.2f}"


def _asked(
    cell: Cell, steps: tuple[DemandStep, ...], quantile: float, ratio: float
) -> tuple[DemandStep, ...]:
    return tuple(_lifted(cell, step, step.at(quantile), ratio) for step in steps)


def _lifted(cell: Cell, step: DemandStep, demand: float, ratio: float) -> DemandStep:
    """The demand that the needed groups serve at their rated units."""
    if demand <= 0:
        return step
    factor = _needed(cell, demand, ratio) * cell.units / demand
    return DemandStep(**{name: value * factor for name, value in step.model_dump().items()})


def _needed(cell: Cell, demand: float, ratio: float) -> int:
    """The least groups whose ratio, and that of every larger number, is within the bound."""
    groups: Ints = np.arange(1, max(1, cell.most) + 1)
    found = cell.curve.at(groups, np.asarray(demand / (groups * cell.units), dtype=np.float64))
    worst = np.maximum.accumulate(found[::-1])[::-1]
    reached = np.flatnonzero(worst <= ratio + 1e-9)
    return int(groups[reached[0]] if len(reached) else groups[-1])
