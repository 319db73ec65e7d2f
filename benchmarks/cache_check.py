"""What reserving the cache costs against growing it: `python -m benchmarks.cache_check`, JSON.

Three replicas of chat-70b for two simulated hours, with the whole cache or a part of it, reserved
for the whole request or held as tokens come (`grow_cache`), on the same arrivals.
"""

import json
from dataclasses import replace

import numpy as np

from tiers.core.simulate.arrivals import Lengths, poisson_requests
from tiers.core.simulate.profiles import SERVED_MODELS
from tiers.core.simulate.serving import Requests, Service, ServingCosts

COSTS = replace(SERVED_MODELS["chat-70b"].costs(), queue_limit=100_000)
LENGTHS = Lengths(900.0, 0.9, 230.0, 0.7)
REPLICAS, RATE_RPS, UNTIL_S = 3, 4.2, 7200.0
CACHE_SHARES = (1.0, 0.5, 0.25)
LOADS = (0.6, 0.9, 1.0)


def run(costs: ServingCosts, trace: Requests) -> dict[str, float]:
    service = Service(costs, max_replicas=REPLICAS)
    for _ in range(REPLICAS):
        service.add_replica()
    done = service.advance(10 * UNTIL_S, trace)
    return {
        "ttft_mean_s": round(float(done.ttft_s.mean()), 3),
        "ttft_p95_s": round(float(np.quantile(done.ttft_s, 0.95)), 3),
        "e2e_mean_s": round(float(done.e2e_s.mean()), 2),
        "preempted_share": round(service.preempted / len(trace), 4),
    }


def main() -> None:
    report = []
    for share in CACHE_SHARES:
        for load in LOADS:
            rate = load * RATE_RPS * REPLICAS
            trace = poisson_requests(np.random.default_rng(1), LENGTHS, rate, 0.0, UNTIL_S)
            costs = replace(COSTS, kv_tokens=int(share * COSTS.kv_tokens))
            report.append({
                "cache_share": share, "load": load,
                "reserved": run(costs, trace), "grown": run(replace(costs, grow_cache=True), trace),
            })  # fmt: skip
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
