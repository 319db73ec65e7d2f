"""How fast the serving simulation is: `python -m benchmarks.simulator`, JSON on stdout.

One process, one thread. Each row simulates the same model and load with a number of replicas until
every request is done; the best of `--repeat` runs counts, by CPU time. The ratio compares the
compiled loop with the same model in plain Python (`plain_serving`) on one small trace in the same
process, and so says more than the requests a second of any machine.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable

import numpy as np

from benchmarks.plain_serving import serve
from tiers.core.simulate.arrivals import Lengths, poisson_requests
from tiers.core.simulate.profiles import SERVED_MODELS
from tiers.core.simulate.serving import Requests, ServingCosts, simulate

# chat-7b and its lengths; requests/s of a replica near its latency objective.
COSTS = SERVED_MODELS["chat-7b"].costs()
LENGTHS = Lengths(420.0, 0.9, 160.0, 0.7)
RATE_RPS = 17.0
LOADS = (0.6, 1.0)
REPLICAS = (1, 8, 40)
PLAIN_REQUESTS = 1500
PLAIN_REPLICAS = 4
SERVER = ServingCosts(0.0, 0.0, 1e-6, 10**9, 10**9, 1, queue_limit=10**6)


def batching_trace(replicas: int, load: float, count: int) -> Requests:
    rate = load * RATE_RPS * replicas
    return poisson_requests(np.random.default_rng(1), LENGTHS, rate, 0.0, count / rate)


def server_trace(servers: int, load: float, count: int) -> Requests:
    """Requests that take half a second each, one at a time: M/D/c."""
    rng = np.random.default_rng(2)
    at = np.cumsum(rng.exponential(0.5 / (load * servers), count))
    return Requests(at, np.full(count, 500_000), np.ones(count, dtype=np.int64))


def cpu_seconds(work: Callable[[], object], repeat: int) -> float:
    """CPU seconds of the best of some runs."""
    best = float("inf")
    for _ in range(repeat):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


def row(costs: ServingCosts, replicas: int, trace: Requests, repeat: int) -> dict[str, float]:
    until = float(trace.arrival_s[-1]) + 1e5
    seconds = cpu_seconds(lambda: simulate(costs, replicas, trace, until), repeat)
    done = simulate(costs, replicas, trace, until)
    hours = float(trace.arrival_s[-1] - trace.arrival_s[0]) / 3600.0
    return {
        "replicas": replicas,
        "requests": len(done),
        "requests_per_cpu_s": round(len(done) / seconds),
        "simulated_hours": round(hours, 2),
        "mean_sequences_a_replica": round(
            float(done.e2e_s.sum()) / (3600.0 * hours * replicas), 1
        ),
    }  # fmt: skip


def against_plain_python(repeat: int) -> dict[str, float]:
    trace = batching_trace(PLAIN_REPLICAS, 0.6, PLAIN_REQUESTS)
    until = float(trace.arrival_s[-1]) + 1e5
    plain = cpu_seconds(lambda: serve(COSTS, PLAIN_REPLICAS, trace), 1)
    compiled = cpu_seconds(
        lambda: [simulate(COSTS, PLAIN_REPLICAS, trace, until) for _ in range(20)], repeat
    )
    return {
        "requests": len(trace),
        "replicas": PLAIN_REPLICAS,
        "plain_requests_per_cpu_s": round(len(trace) / plain),
        "ratio": round(plain / (compiled / 20)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=300_000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    began = time.perf_counter()
    simulate(COSTS, 1, batching_trace(1, 0.6, 100), 1e5)
    first_call = time.perf_counter() - began
    report = {
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(),
                    "load_average": round(os.getloadavg()[0], 1)},
        "first_call_s": round(first_call, 1),
        "batching": [
            {"load": load} | row(COSTS, replicas, batching_trace(replicas, load, options.requests),
                                 options.repeat)
            for load in LOADS for replicas in REPLICAS
        ],
        "one_at_a_time": [
            row(SERVER, servers, server_trace(servers, 0.9, options.requests), options.repeat)
            for servers in (8, 64)
        ],
        "against_plain_python": against_plain_python(options.repeat),
    }  # fmt: skip
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
