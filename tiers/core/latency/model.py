"""Latency of a served model against its number of replicas, by formula.

`occupancy` says how many sequences decode and how long a request waits for a place, `prompts` how
long it then takes to its first token; both are mixed over equally likely occupancies. The answer is
a steady state under Poisson arrivals: for planning, beside the event simulation that it is checked
against (docs/latency.md has the grid and the errors).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tiers.core.latency.mix import Floats, Mix
from tiers.core.latency.occupancy import Occupancy, occupancy, saturation_rps
from tiers.core.latency.prompts import arrival_instants, first_token, inflow, iterations
from tiers.core.simulate.arrivals import Lengths
from tiers.core.simulate.serving import ServingCosts

NODES = 7
QUANTILE = 0.95
# Beyond this share of saturation no steady state is reached within the hours that a plan is for.
STABLE_SHARE = 0.995
RARE = 1e-5  # share of requests that wait below which the wait moves no quantile
_EDGES = np.concatenate([[0.0], np.geomspace(1e-3, 1e4, 4000)])


@dataclass(frozen=True, slots=True)
class ServiceLatency:
    """Seconds; infinite where the service is not stable.

    `itl` is the time between two tokens of a request, `e2e` until its last token; `decoding` the
    mean sequences of one replica, `waits` the share of requests that wait for a place.
    """

    ttft_p50_s: float
    ttft_p95_s: float
    itl_p95_s: float
    itl_mean_s: float
    e2e_p95_s: float
    decoding: float
    waits: float
    load: float


def service_latency(
    costs: ServingCosts, lengths: Lengths, *, rate_rps: float, replicas: int
) -> ServiceLatency:
    """Latency of `replicas` behind one queue at `rate_rps` requests/s of the whole service.

    Args:
        costs: what an iteration of one replica costs, and where it is full.
        lengths: prompts and outputs in tokens.
        rate_rps: requests/s, not negative.
        replicas: at least one.
    """
    mix = _mix(lengths)
    load = rate_rps / (replicas * saturation_rps(costs, mix))
    if load >= STABLE_SHARE:
        inf = float("inf")
        return ServiceLatency(inf, inf, inf, inf, inf, inf, 1.0, load)
    rate_rps = max(rate_rps, 1e-6)
    state = occupancy(costs, mix, rate_rps=rate_rps, replicas=replicas, nodes=NODES)
    stream = inflow(lengths, mix, rate_rps=rate_rps / replicas, replicas=replicas)
    ttft, gaps, whole = np.zeros((3, len(_EDGES) - 1))
    gap_mean = 0.0
    for decoding in state.decoding:
        met = iterations(costs, stream, decoding)
        times, weights = first_token(costs, stream, met, arrival_instants(replicas))
        ttft += _histogram(times, weights) / NODES
        gaps += _histogram(met.seconds, met.chunk_law) / NODES
        iteration_s = float(met.seconds @ met.chunk_law)
        gap_mean += iteration_s / NODES
        ends = float(times @ weights) / weights.sum() + (mix.output_nodes - 1) * iteration_s
        whole += _histogram(ends, np.full(len(ends), 1 / len(ends))) / NODES
    return ServiceLatency(
        ttft_p50_s=_quantile(ttft, 0.5, state),
        ttft_p95_s=_quantile(ttft, QUANTILE, state),
        itl_p95_s=_quantile(gaps, QUANTILE, None),
        itl_mean_s=gap_mean,
        e2e_p95_s=_quantile(whole, QUANTILE, state),
        decoding=state.mean,
        waits=state.waits,
        load=load,
    )


@lru_cache(maxsize=256)
def _mix(lengths: Lengths) -> Mix:
    return Mix.of(lengths)


def _histogram(values: Floats, weights: Floats) -> Floats:
    """Shares `(n,)` over the time grid."""
    found = np.histogram(np.clip(values, 0.0, _EDGES[-1]), bins=_EDGES, weights=weights)[0]
    return np.asarray(found / weights.sum())


def _quantile(shares: Floats, quantile: float, state: Occupancy | None) -> float:
    """Quantile of a time, after the wait for a place where there is one."""
    upto = np.concatenate([[0.0], np.cumsum(shares) / shares.sum()])
    if state is None or state.waits < RARE:
        return float(np.interp(quantile, upto, _EDGES))
    middles = (_EDGES[1:] + _EDGES[:-1]) / 2

    def below(seconds: float) -> float:
        over = np.maximum(0.0, seconds - middles) / state.wait_mean_s
        waited = float(shares @ (1 - np.exp(-over)))
        return (1 - state.waits) * float(np.interp(seconds, _EDGES, upto)) + state.waits * waited

    low, high = 0.0, _EDGES[-1]
    while high - low > 1e-4 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < quantile else (low, middle)
    return float(high)
