"""The exchanges that one region offers: groups started and stopped together, with their gain."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tiers.core.region_problem import Change, Key, RegionProblem


@dataclass(frozen=True, slots=True)
class Exchange:
    """Groups started and stopped together, and what that gains over the horizon."""

    changes: tuple[Change, ...]
    gain_usd: float
    reason: str
    adds_paid_capacity: bool


def exchanges(problem: RegionProblem, *, min_gain_usd: float) -> list[Exchange]:
    """Those that gain more than this, the best first; ties go to the first in name order."""
    found = (e for e in (*_starts(problem), *_stops(problem)) if e.gain_usd > min_gain_usd)
    return sorted(found, key=lambda e: -e.gain_usd)


def _starts(problem: RegionProblem) -> Iterator[Exchange]:
    for w in sorted(problem.workloads):
        if problem.total_groups(w) >= problem.workloads[w].ceiling_groups:
            continue
        if problem.workload_usd(w) <= 0:
            continue  # nothing to win: its demand is served and its floor held
        for p in sorted(problem.pools):
            if problem.eligible(p, w):
                for groups in _batches(problem, p, w):
                    if exchange := _start(problem, p, w, groups):
                        yield exchange


def _batches(problem: RegionProblem, pool_id: str, workload_id: str) -> list[int]:
    """One group, or as many as fill a node: a node that changes tier pays off only whole."""
    room = problem.workloads[workload_id].ceiling_groups - problem.total_groups(workload_id)
    per_node = problem.pools[pool_id].gpus_per_node // problem.group_gpus(pool_id, workload_id)
    return sorted({1, min(max(1, per_node), room)})


def _start(problem: RegionProblem, pool_id: str, workload_id: str, groups: int) -> Exchange | None:
    """Start groups, stopping the cheapest groups in their way."""
    key = (pool_id, workload_id)
    changes: list[Change] = [(key, groups)]
    before = problem.price({key})
    problem.shift_key(key, groups)
    gain = before - problem.price({key})
    while not problem.fits(pool_id):
        victims = problem.cheapest_victims(pool_id, exclude=workload_id)
        if victims is None:
            problem.shift_back(changes)
            return None
        for victim, price in victims:
            problem.shift_key(victim, -1)
            changes.append((victim, -1))
            gain -= price
    for rehomed, saved in _rehome(problem, {k[1] for k, delta in changes if delta < 0}):
        changes.append((rehomed, 1))
        gain += saved
    reason = _start_reason(problem, key, changes, gain)
    problem.shift_back(changes)
    return Exchange(tuple(changes), gain, reason, problem.pools[pool_id].paid_when_used)


def _rehome(problem: RegionProblem, stopped: set[str]) -> Iterator[tuple[Key, float]]:
    """Start stopped workloads again where another pool has room and it pays."""
    for key in sorted((p, w) for p in problem.pools for w in stopped if problem.eligible(p, w)):
        while problem.total_groups(key[1]) < problem.workloads[key[1]].ceiling_groups:
            before = problem.price({key})
            problem.shift_key(key, 1)
            saved = before - problem.price({key})
            if saved <= 0 or not problem.fits(key[0]):
                problem.shift_key(key, -1)
                break
            yield key, saved


def _stops(problem: RegionProblem) -> Iterator[Exchange]:
    for key in sorted(problem.x):
        pool, workload = problem.pools[key[0]], problem.workloads[key[1]]
        if problem.x[key] and problem.total_groups(key[1]) > workload.floor_groups:
            reason = (
                f"Stop 1 group of {workload.id} on {pool.id}: the demand forecast no longer "
                f"needs its {problem.group_gpus(*key)} GPUs"
            )
            yield Exchange(((key, -1),), -problem.stop_price(key), reason, False)


def _start_reason(problem: RegionProblem, key: Key, changes: list[Change], gain_usd: float) -> str:
    workload = problem.workloads[key[1]]
    peak = max(problem.demand[key[1]], default=0.0)
    text = (
        f"Start {_groups(changes[0][1])} of {workload.id} on {key[0]} "
        f"({changes[0][1] * problem.group_gpus(*key)} GPUs): "
        f"demand reaches {peak:.1f} units and {problem.units(key[1]):.1f} are served with it; "
        f"worth ${gain_usd:,.0f} over {problem.hours:g} h"
    )
    net: Counter[str] = Counter()
    for (_, w), delta in changes[1:]:
        net[w] -= delta
    stopped = {w: n for w, n in net.items() if n > 0}
    if stopped:
        text += ", in the place of " + ", ".join(
            f"{_groups(n)} of {w}" for w, n in sorted(stopped.items())
        )
    return text


def _groups(count: int) -> str:
    return f"{count} group" if count == 1 else f"{count} groups"
