"""Ruin and recreate: take a few workloads that share a pool off it, let each reply anew, keep the
result if it is cheaper.

After Schrimpf et al., "Record breaking optimization results using the ruin and recreate
principle" (2000). Larger groups mostly reply first, because small ones still fit into what they
leave. While they reply, GPUs bear a random share of their price (`work.prices`, the duals of the
column master), so that nobody takes scarce room for little; what is kept is judged without it.
Random numbers come from a generator of our own with a given seed: the same snapshot gives the same
plan.
"""

import numpy as np

from tiers.core.allocator.arrays import Facts, Floats, Ints
from tiers.core.allocator.compiled import compiled, inlined
from tiers.core.allocator.paths import Work, hold, reply, workload_usd

FEW = 7  # workloads taken off at once, at most


@inlined
def _random(state: Ints) -> float:
    """Uniform in [0, 1): the middle bits of a 64-bit linear congruential generator (Knuth)."""
    state[0] = state[0] * 6364136223846793005 + 1442695040888963407
    return float((state[0] >> 24) & 0xFFFFFFFF) / 4294967296.0


@inlined
def _fits(f: Facts, work: Work, wanted: Ints, w: int) -> bool:
    """Whether a wanted plan of the workload has whole nodes for it in every step."""
    pools, _, steps = wanted.shape
    for p in range(pools):
        for t in range(steps):
            nodes = 0
            for z in range(f.tiers):
                gpus = work.held[p, z, t]
                if z == f.tier[w]:
                    gpus += f.gpus[p, w] * wanted[p, w, t]
                nodes += -(-gpus // f.gpus_per_node[p])
            if nodes > f.nodes[p]:
                return False
    return True


@compiled
def build(f: Facts, work: Work, order: Ints, wanted: Ints, plan: Ints) -> None:
    """Give each workload in order the plan it wants where that still fits, else its best reply."""
    for w in order:
        if _fits(f, work, wanted, w):
            for p in range(plan.shape[0]):
                for t in range(plan.shape[2]):
                    plan[p, w, t] = wanted[p, w, t]
        else:
            reply(f, work, plan, w)
        hold(f, plan, w, work.held, 1)


@inlined
def _choose(f: Facts, plan: Ints, chosen: Ints, order: Ints, state: Ints) -> int:
    """A random workload and others that hold one of its pools, mostly the largest groups first."""
    pools, workloads, steps = plan.shape
    chosen[0] = int(_random(state) * workloads)
    p = int(_random(state) * pools)
    for _ in range(pools):
        if f.gpus[p, chosen[0]] > 0 and f.nodes[p] > 0:
            break
        p = (p + 1) % pools
    wanted, found = 2 + int(_random(state) * (FEW - 1)), 1
    for i in range(workloads):  # a part of a shuffle: as far as it is looked at
        j = i + int(_random(state) * (workloads - i))
        order[i], order[j] = order[j], order[i]
        holds = False
        for t in range(steps):
            holds = holds or plan[p, order[i], t] > 0
        if holds and order[i] != chosen[0]:
            chosen[found] = order[i]
            found += 1
        if found == wanted:
            break
    if _random(state) < 0.3:
        return found
    for i in range(1, found):
        j = i
        while j > 0 and f.gpus[p, chosen[j]] > f.gpus[p, chosen[j - 1]]:
            chosen[j], chosen[j - 1] = chosen[j - 1], chosen[j]
            j -= 1
    return found


@compiled
def improve(
    f: Facts,
    work: Work,
    plan: Ints,
    prices: Floats,
    rounds: int,
    state: Ints,
    usd: Floats,
    kept: Ints,
    chosen: Ints,
    order: Ints,
) -> None:
    """Better the plan for so many rounds; `work.held` is what it holds.

    Args:
        prices: (P, T) of a GPU, of which a random share is borne while replying.
        usd: (W,) what each workload costs now; kept up to date.
        kept, chosen, order: room: (FEW + 1, P, T), (FEW + 1,), (W,) with 0..W-1.
    """
    pools, _, steps = plan.shape
    for _ in range(rounds):
        found = _choose(f, plan, chosen, order, state)
        share = 1.5 * _random(state)
        before = after = 0.0
        for p in range(pools):
            for t in range(steps):
                work.prices[p, t] = prices[p, t] * share
        for i in range(found):
            w = chosen[i]
            before += usd[w]
            hold(f, plan, w, work.held, -1)
            for p in range(pools):
                for t in range(steps):
                    kept[i, p, t] = plan[p, w, t]
                    plan[p, w, t] = 0
        for i in range(found):
            w = chosen[i]
            reply(f, work, plan, w)
            hold(f, plan, w, work.held, 1)
            after += workload_usd(f, plan, w)
        for i in range(found):
            w = chosen[i]
            if after > before + 1e-9:
                hold(f, plan, w, work.held, -1)
                for p in range(pools):
                    for t in range(steps):
                        plan[p, w, t] = kept[i, p, t]
                hold(f, plan, w, work.held, 1)
            else:
                usd[w] = workload_usd(f, plan, w)


def seeded(seed: int) -> Ints:
    """The state of the search's own generator."""
    return np.array([seed * 2654435761 + 88172645463325252], dtype=np.int64)
