"""Why each move is made, which price or constraint asks for it, and what happens without it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tiers.core.allocator.arrays import Ints, Region
from tiers.core.allocator.limits import moves_of, nodes_used
from tiers.core.allocator.paths import workload_usd


@dataclass(frozen=True, slots=True)
class GroupMove:
    """Groups of one workload started (positive) or stopped (negative) in one pool as a step begins.

    Those of step 0 are to be made at once; later ones are planned, and planned anew before then.
    """

    region: str
    pool: str
    workload: str
    groups: int
    gpus: int
    reason: str
    step: int = 0


def group_moves(region: Region, plan: Ints) -> Iterator[GroupMove]:
    """Every move of the plan with its reason, in order of step, pool and workload."""
    moves = moves_of(region, plan)
    for step in range(plan.shape[2]):
        for p, w in zip(*np.nonzero(moves[:, :, step]), strict=True):
            groups = int(moves[p, w, step])
            reason = _start if groups > 0 else _stop
            yield GroupMove(
                region=region.problem.region,
                pool=region.pools[p],
                workload=region.workloads[w],
                groups=groups,
                gpus=groups * int(region.facts.gpus[p, w]),
                reason=reason(region, plan, moves, int(p), int(w), step),
                step=step,
            )


def _start(region: Region, plan: Ints, moves: Ints, p: int, w: int, step: int) -> str:
    facts, groups = region.facts, int(moves[p, w, step])
    served = float(facts.units[:, w] @ plan[:, w, step])
    peak = float(facts.demand[w, step:].max())
    text = (
        f"Start {counted(groups)} of {region.workloads[w]} on {region.pools[p]} "
        f"({groups * int(facts.gpus[p, w])} GPUs){_when(region, step)}: demand reaches {peak:.1f} "
        f"units and {served:.1f} are served with it"
    )
    given = _stopped_beside(region, moves, p, w, step)
    if given:
        text += ", in the place of " + ", ".join(f"{counted(n)} of {v}" for v, n in given)
    return f"{text}; without it: {_without(region, plan, p, w, step, -groups)}"


def _stop(region: Region, plan: Ints, moves: Ints, p: int, w: int, step: int) -> str:
    facts, groups = region.facts, -int(moves[p, w, step])
    text = (
        f"Stop {counted(groups)} of {region.workloads[w]} on {region.pools[p]}{_when(region, step)}"
    )
    started = [region.workloads[v] for v in np.flatnonzero(moves[p, :, step] > 0) if v != w]
    elsewhere = [region.pools[q] for q in np.flatnonzero(moves[:, w, step] > 0) if q != p]
    if nodes_used(region, plan)[p, step] >= facts.nodes[p] and started:
        return (
            f"{text}: every node of the pool is in use and {', '.join(started)} is worth more "
            f"there; without it: no room for {', '.join(started)}"
        )
    if elsewhere:
        text += f": it is served from {', '.join(elsewhere)} instead"
    else:
        text += f": the demand forecast no longer needs its {groups * int(facts.gpus[p, w])} GPUs"
    return f"{text}; without it: {_without(region, plan, p, w, step, groups)}"


def _without(region: Region, plan: Ints, p: int, w: int, step: int, groups: int) -> str:
    """What the workload alone would cost more were this one move left out."""
    facts = region.facts
    other = plan.copy()
    other[p, w, step:] = np.maximum(0, other[p, w, step:] + groups)
    usd = workload_usd(facts, other, w) - workload_usd(facts, plan, w)
    short = np.maximum(0.0, facts.demand[w] - facts.units[:, w] @ other[:, w])
    hours = (plan.shape[2] - step) * region.problem.step_hours
    breached = int(np.max(facts.floor[w] - other[:, w].sum(axis=0), initial=0))
    if groups < 0 and breached > 0:
        return f"{region.workloads[w]} is {counted(breached)} below its floor"
    if groups < 0:
        return f"up to {short.max():.1f} units unserved, {_dearer(usd)} over {hours:g} h"
    return f"{_dearer(usd)} over {hours:g} h"


def _dearer(usd: float) -> str:
    whole = round(usd)
    if whole == 0:
        return "within a dollar of the same"
    return f"${abs(whole):,} {'more' if whole > 0 else 'less'}"


def _stopped_beside(
    region: Region, moves: Ints, p: int, w: int, step: int
) -> list[tuple[str, int]]:
    """Groups of others that the pool lets go in the same step and that start nowhere else."""
    gone: Counter[str] = Counter()
    for v in np.flatnonzero(moves[p, :, step] < 0):
        net = int(moves[:, v, step].sum())
        if v != w and net < 0:
            gone[region.workloads[v]] = min(-int(moves[p, v, step]), -net)
    return sorted(gone.items())


def unmet_floors(region: Region, plan: Ints) -> list[str]:
    """Workloads below their floor in some step, with the least that would help."""
    least = plan.sum(axis=0).min(axis=1)
    return [
        f"{region.problem.region}: {name} has {least[w]} groups, floor {region.facts.floor[w]}; "
        "no pool has room for it: lower the floor or add GPUs of a type it can run on"
        for w, name in enumerate(region.workloads)
        if least[w] < region.facts.floor[w]
    ]


def unserved(region: Region, plan: Ints, limit: str = "") -> list[str]:
    """Demand that stays unserved: what binds it, and the least costly way to serve it.

    `limit` is the one that bound the plan, which no region sees by itself.
    """
    facts = region.facts
    short = np.maximum(0.0, facts.demand - np.einsum("pw,pwt->wt", facts.units, plan))
    return [
        _unserved(region, plan, int(w), short[w], limit)
        for w in np.flatnonzero(short.max(axis=1) > 1e-6)
    ]


def _unserved(region: Region, plan: Ints, w: int, short: Ints, limit: str) -> str:
    facts, name = region.facts, region.workloads[w]
    usd = float(short.sum() * facts.shortfall[w])
    text = (
        f"{region.problem.region}: up to {short.max():.1f} units of {name} stay unserved "
        f"(${usd:,.0f}): "
    )
    able = [p for p in range(len(region.pools)) if facts.gpus[p, w] > 0]
    if not able:
        return text + "no pool may run it; add GPUs of a type it can run on, or let it use spot"
    step = int(np.argmax(short))
    if plan[:, w, step].sum() >= facts.ceiling[w]:
        return text + f"its ceiling of {facts.ceiling[w]} groups binds; raise the ceiling"
    options = [_one_more(region, plan, p, w, short) for p in able]
    worth = [
        (price, p) for price, p in options if price < 0 and _has_room(region, plan, p, w, short)
    ]
    if limit and worth:
        return text + _limit_binds(region, w, min(worth), limit)
    price, p = min(options)
    group = f"{counted(1)} on {region.pools[p]} ({int(facts.gpus[p, w])} GPUs)"
    room = facts.nodes[p] * facts.gpus_per_node[p] - (facts.gpus[p] @ plan[p, :, step])
    if room >= facts.gpus[p, w]:
        return text + f"one more {group} costs ${price:,.0f} more than it would serve"
    return text + (
        f"pool {region.pools[p]} is full; the least costly relief is room for {group}, worth "
        f"${-price:,.0f} over {region.problem.hours:g} h" if price < 0 else
        f"pool {region.pools[p]} is full and room for {group} would not pay"
    )  # fmt: skip


def _has_room(region: Region, plan: Ints, p: int, w: int, short: Ints) -> bool:
    """Whether the pool's whole nodes hold one group more in the steps that lack one."""
    other = plan.copy()
    other[p, w, short > 0] += 1
    return bool((nodes_used(region, other)[p] <= region.facts.nodes[p]).all())


def _limit_binds(region: Region, w: int, option: tuple[float, int], limit: str) -> str:
    """The least costly relaxation of a limit: what one group more takes of it, and is worth."""
    price, p = option
    rate = float(region.paid_usd_per_hour[p, w])
    takes = {
        "the budget": f"{rate:,.2f} USD an hour more",
        "the move limit": "one move more",
    }.get(limit, f"one move and {rate:,.2f} USD an hour more")
    return (
        f"{limit} binds; the least costly relaxation is {takes}, for {counted(1)} on "
        f"{region.pools[p]}, worth ${-price:,.0f} over {region.problem.hours:g} h"
    )


def _one_more(region: Region, plan: Ints, p: int, w: int, short: Ints) -> tuple[float, int]:
    other = plan.copy()
    other[p, w, short > 0] += 1
    usd = workload_usd(region.facts, other, w) - workload_usd(region.facts, plan, w)
    return float(usd), p


def refused(region: Region, wanted: Ints, plan: Ints, limit: str) -> Iterator[str]:
    """Starts that the plan without the limit makes and this one does not."""
    starts = (np.maximum(0, moves_of(region, made)).sum(axis=2) for made in (wanted, plan))
    missing = next(starts) - next(starts)
    for p, w in zip(*np.nonzero(missing > 0), strict=True):
        yield (
            f"Start {counted(int(missing[p, w]))} of {region.workloads[w]} on {region.pools[p]}: "
            f"not made, {limit} is reached"
        )


def _when(region: Region, step: int) -> str:
    return f" in {step * region.problem.step_hours:g} h" if step else ""


def counted(groups: int) -> str:
    return f"{groups} group" if groups == 1 else f"{groups} groups"
