"""Where growth may fail: the pool that would take it instead."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from tiers.core.allocator.arrays import Ints, Region
from tiers.core.allocator.explain import counted
from tiers.core.allocator.limits import moves_of, nodes_used


@dataclass(frozen=True, slots=True)
class Fallback:
    """Groups that a pool may not provide, and the pool with room for them; "" where none has."""

    step: int
    region: str
    pool: str
    workload: str
    groups: int
    probability: float
    fallback: str
    fallback_groups: int

    def words(self) -> str:
        text = (
            f"{counted(self.groups)} of {self.workload} to start on {self.pool}, which provides "
            f"with a probability of {self.probability:.0%}; else "
        )
        if not self.fallback:
            return text + "no other pool has room"
        return text + f"{counted(self.fallback_groups)} on {self.fallback}"


def fallbacks(region: Region, plan: Ints) -> Iterator[Fallback]:
    """One for each start in a pool whose provision is said to be uncertain."""
    moves = moves_of(region, plan)
    for p, pool in enumerate(region.pools):
        chance = region.problem.pools[pool].provision_probability
        if chance is None or chance >= 1 or region.problem.pools[pool].purchase == "reserved":
            continue
        for w, workload in enumerate(region.workloads):
            for step in range(plan.shape[2]):
                if (groups := int(moves[p, w, step])) > 0:
                    found, n = _instead(region, plan, p, w, step, groups)
                    yield Fallback(
                        step, region.problem.region, pool, workload, groups, chance, found, n
                    )


def _instead(region: Region, plan: Ints, p: int, w: int, step: int, groups: int) -> tuple[str, int]:
    """The first pool, of those named or else by price, with whole nodes for as many units."""
    facts, pool = region.facts, region.problem.pools[region.pools[p]]
    able = [q for q in range(len(region.pools)) if q != p and facts.gpus[q, w] > 0]
    if pool.fallbacks:
        places = [region.pools.index(name) for name in pool.fallbacks if name in region.pools]
        able = [q for q in places if q in able]
    else:
        able.sort(key=lambda q: (facts.capacity[q, w] / facts.units[q, w], q))
    for q in able:
        needed = ceil(groups * facts.units[p, w] / facts.units[q, w] - 1e-9)
        other = plan.copy()
        other[p, w, step:] -= other[p, w, step:].clip(max=groups)
        other[q, w, step:] += needed
        within = (other[:, w, step:].sum(axis=0) <= facts.ceiling[w]).all()
        if within and (nodes_used(region, other)[q, step:] <= facts.nodes[q]).all():
            return region.pools[q], needed
    return "", 0
