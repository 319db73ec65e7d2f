"""How many sequences a service holds, and how long a request waits for a place.

With prompt load r = rate x prompt tokens x seconds a token (per replica), an iteration with n
decoding sequences takes T(n) = (base + n x per_sequence) / (1 - r) on average: prompts fill what
decoding leaves. A sequence stays for `output` iterations, so n sequences leave at n / (output x
T(n)) a second: a birth-death process whose stationary law is a product, insensitive to the
distribution of outputs (Kelly 1979, "Reversibility and Stochastic Networks", symmetric queues). At
most `places` run on a replica, by batch size or cache; from there on requests wait.

Prompts make the process burstier: a prompt of P tokens stops all decoding for P x seconds a token,
in which x P/E[P], x = r/(1 - r), fewer sequences end. An arrival thus counts as 1 + x P/E[P], and
the law is that of clumps of `φ = (1 + E(1 + x P/E[P])²) / 2` sequences (its variance to first
order). Requests of unequal size count likewise against the cache. The wait of those that wait is
exponential; its mean lies between heavy traffic with φ and without it, and is taken half way:
φ / (2 drift), where the drift is that of a full service that reads prompts as they arrive.
"""

from dataclasses import dataclass

import numpy as np

from tiers.core.latency.mix import Floats, Mix
from tiers.core.simulate.serving import ServingCosts

# Sequences beyond the places that the law is followed to, as a multiple of the places.
_REACH = 8


@dataclass(frozen=True, slots=True)
class Occupancy:
    """Sequences of one replica at equally likely nodes `(k,)`, and the wait for a place.

    `waits` is the share of requests that wait, `wait_mean_s` their mean wait.
    """

    decoding: Floats
    mean: float
    waits: float
    wait_mean_s: float


def places(costs: ServingCosts, mix: Mix) -> float:
    """Sequences that a replica holds at once: its batch, or what its cache has room for.

    A request that does not fit waits while half its size stands empty, on average.
    """
    by_cache = costs.kv_tokens / mix.footprint - 0.5 * (1 + mix.footprint_cv2)
    return max(1.0, min(float(costs.max_batch), by_cache))


def saturation_rps(costs: ServingCosts, mix: Mix) -> float:
    """Requests/s that one replica completes when all its places are taken."""
    held = places(costs, mix)
    iteration_s = costs.base_s + held * costs.per_sequence_s
    return held / (
        mix.output_mean * iteration_s + held * mix.prompt_mean * costs.per_prompt_token_s
    )


def occupancy(
    costs: ServingCosts, mix: Mix, *, rate_rps: float, replicas: int, nodes: int
) -> Occupancy:
    """The stationary law of a stable service; `rate_rps` is of the whole service."""
    held, rate = places(costs, mix), rate_rps / replicas
    prompt_load = rate * mix.prompt_mean * costs.per_prompt_token_s
    slower = prompt_load / (1 - prompt_load)
    clump = 0.5 * (1 + (1 + slower) ** 2 + slower**2 * mix.prompt_cv2)
    by_cache = held < costs.max_batch
    waiting_clump = clump + (mix.footprint_cv2 if by_cache else 0.0)
    running = _law(costs, mix, rate, replicas, held, clump)
    bound = _law(costs, mix, rate, replicas, held, waiting_clump)
    full = int(np.ceil(replicas * held / waiting_clump))
    sequences = np.arange(len(running)) * clump / replicas
    return Occupancy(
        decoding=np.minimum(_nodes(running, nodes) * clump / replicas, held),
        mean=float(running @ sequences),
        waits=float(bound[full:].sum()),
        wait_mean_s=waiting_clump / 2 / _drift_rps(costs, mix, rate_rps, replicas),
    )


def _drift_rps(costs: ServingCosts, mix: Mix, rate_rps: float, replicas: int) -> float:
    """How much faster a full service empties than it fills, at the prompts that arrive now."""
    most = saturation_rps(costs, mix)
    prompts_at_most = most * mix.prompt_mean * costs.per_prompt_token_s
    return (replicas * most - rate_rps) / (1 - prompts_at_most)


def _law(
    costs: ServingCosts, mix: Mix, rate: float, replicas: int, held: float, clump: float
) -> Floats:
    """Probabilities of 0, 1, 2 … clumps of sequences in the whole service."""
    count = np.arange(1, int(_REACH * replicas * held / clump) + 20)
    running = np.minimum(count * clump / replicas, held)
    prompt_load = rate * mix.prompt_mean * costs.per_prompt_token_s
    iteration_s = (costs.base_s + running * costs.per_sequence_s) / (1 - prompt_load)
    leaving = np.minimum(count, replicas * held / clump) / (mix.output_mean * iteration_s)
    logs = np.concatenate([[0.0], np.cumsum(np.log(rate * replicas / clump / leaving))])
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum())


def _nodes(law: Floats, nodes: int) -> Floats:
    """Equally likely counts `(nodes,)` in clumps, each clump spread evenly about its count."""
    shares = (np.arange(nodes) + 0.5) / nodes
    edges = np.maximum(0.0, np.arange(len(law) + 1) - 0.5)
    return np.asarray(np.interp(shares, np.append(0.0, np.cumsum(law)), edges))
