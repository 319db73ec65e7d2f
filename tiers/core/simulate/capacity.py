"""An operator's load test in simulation: how much one replica serves within its objective."""

from dataclasses import dataclass

import numpy as np

from tiers.core.simulate.arrivals import Lengths, poisson_requests
from tiers.core.simulate.errors import SloOutOfReach
from tiers.core.simulate.serving import Service, ServingCosts


@dataclass(frozen=True)
class OperatingPoint:
    """What a service looks like at one constant load, after its warm-up.

    Rates are requests/s of the whole service; latencies in seconds; `busy` and `kv_usage` are mean
    shares (0 to 1) over replicas, `running` and `waiting` mean requests of the service.
    """

    rate_rps: float
    replicas: int
    ttft_s: tuple[float, ...]
    ttft_p95_s: float
    busy: float
    kv_usage: float
    running: float
    waiting: float

    def within(self, seconds: float) -> float:
        """Share of requests whose first token came within `seconds`; NaN without requests."""
        if not self.ttft_s:
            return float("nan")
        return float(np.searchsorted(self.ttft_s, seconds, side="right")) / len(self.ttft_s)


def measure(
    costs: ServingCosts,
    lengths: Lengths,
    *,
    rate_rps: float,
    replicas: int,
    seed: int,
    warm_s: float = 120.0,
    measure_s: float = 600.0,
    step_s: float = 5.0,
) -> OperatingPoint:
    """Run a service at a constant rate and look at it every `step_s` after the warm-up.

    Requests count by their arrival after the warm-up; those still unserved at the end are left out,
    which flatters a point beyond saturation (its `waiting` says so).
    """
    rng = np.random.default_rng(seed)
    service = Service(costs, max_replicas=replicas)
    for _ in range(replicas):
        service.add_replica()
    trace = poisson_requests(rng, lengths, rate_rps, 0.0, warm_s + measure_s)
    service.advance(warm_s, trace.between(0.0, warm_s))
    busy_before = float(service.arrays.busy_s.sum())
    ttft: list[float] = []
    looks: list[tuple[float, float, float]] = []
    for until in np.arange(warm_s + step_s, warm_s + measure_s + step_s / 2, step_s):
        done = service.advance(float(until), trace.between(service.now_s, float(until)))
        ttft += done.ttft_s[done.arrival_s > warm_s].tolist()
        kv = float(service.arrays.kv_held.mean()) / costs.kv_tokens
        looks.append((kv, service.running, service.waiting))
    busy = float(service.arrays.busy_s.sum()) - busy_before
    kv_usage, running, waiting = np.mean(looks, axis=0).tolist()
    return OperatingPoint(
        rate_rps=rate_rps,
        replicas=replicas,
        ttft_s=tuple(sorted(ttft)),
        ttft_p95_s=float(np.quantile(ttft, 0.95)) if ttft else float("nan"),
        busy=busy / (measure_s * replicas),
        kv_usage=kv_usage,
        running=running,
        waiting=waiting,
    )


def highest_rate_rps(
    costs: ServingCosts,
    lengths: Lengths,
    *,
    slo_ttft_p95_s: float,
    seed: int,
    replicas: int = 1,
    measure_s: float = 1800.0,
    tolerance: float = 0.02,
) -> float:
    """The highest constant rate, in requests/s of the whole service, that meets the objective.

    Bisection between a rate that meets `slo_ttft_p95_s` and one that does not, to a relative width
    of `tolerance`; the same seed at every rate.

    Raises:
        SloOutOfReach: even an almost idle service misses the objective.
    """

    def meets(rate_rps: float) -> bool:
        point = measure(
            costs, lengths, rate_rps=rate_rps, replicas=replicas, seed=seed, measure_s=measure_s
        )
        return point.ttft_p95_s <= slo_ttft_p95_s and point.waiting < rate_rps

    low, high = 0.05 * replicas, 0.2 * replicas
    if not meets(low):
        raise SloOutOfReach(slo_ttft_p95_s * 1000.0)
    while meets(high):
        low, high = high, 2.0 * high
    while high - low > tolerance * low:
        middle = (low + high) / 2.0
        low, high = (middle, high) if meets(middle) else (low, middle)
    return low
