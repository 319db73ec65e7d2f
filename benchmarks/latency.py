"""`python -m benchmarks.latency --json`: the latency formula against the event simulation.

Six served models x replicas x loads; p95 and p50 time to first token of the formula over those of
simulated requests, seeds printed. Takes about three minutes at the default length.
"""

import argparse
import json
import time

import numpy as np

from tiers.core.latency.mix import Mix
from tiers.core.latency.model import service_latency
from tiers.core.latency.occupancy import saturation_rps
from tiers.core.simulate.capacity import measure
from tiers.core.simulate.profiles import SERVED_MODELS
from tiers.twin.lengths import LENGTHS

REPLICAS = (1, 2, 3, 5, 10, 20)
LOADS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
WARM_S = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000, help="a point")
    parser.add_argument("--seeds", type=int, nargs="+", default=[21, 22])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    points = [
        point(model, replicas, load, options.requests, options.seeds)
        for model in SERVED_MODELS
        for replicas in REPLICAS
        for load in LOADS
    ]
    report = {"seeds": options.seeds, "requests": options.requests, **summary(points)}
    if options.json:
        print(json.dumps({**report, "points": points}, indent=1))
    else:
        print(json.dumps(report, indent=1))


def point(
    model: str, replicas: int, load: float, requests: int, seeds: list[int]
) -> dict[str, float | int | str]:
    """Formula and simulation at one load."""
    costs, lengths = SERVED_MODELS[model].costs(), LENGTHS[model]
    rate = load * replicas * saturation_rps(costs, Mix.of(lengths))
    began = time.perf_counter()
    found = service_latency(costs, lengths, rate_rps=rate, replicas=replicas)
    took = time.perf_counter() - began
    seen = [
        measure(
            costs, lengths, rate_rps=rate, replicas=replicas, seed=seed, warm_s=WARM_S,
            measure_s=requests / rate / len(seeds), step_s=50.0,
        )
        for seed in seeds
    ]  # fmt: skip
    p95 = float(np.mean([s.ttft_p95_s for s in seen]))
    p50 = float(np.mean([np.median(s.ttft_s) for s in seen]))
    return {
        "model": model,
        "replicas": replicas,
        "load": load,
        "ttft_p95_ms": round(found.ttft_p95_s * 1e3, 1),
        "simulated_ttft_p95_ms": round(p95 * 1e3, 1),
        "p95_error": round(found.ttft_p95_s / p95 - 1, 4),
        "p50_error": round(found.ttft_p50_s / p50 - 1, 4),
        "seconds": round(took, 4),
    }


def summary(points: list[dict[str, float | int | str]]) -> dict[str, object]:
    """Errors of all points, and of the loads apart."""

    def of(rows: list[dict[str, float | int | str]]) -> dict[str, float]:
        errors = np.abs([float(row["p95_error"]) for row in rows])
        return {
            "median_abs_error": round(float(np.median(errors)), 4),
            "p90_abs_error": round(float(np.quantile(errors, 0.9)), 4),
            "worst_abs_error": round(float(errors.max()), 4),
            "within_15_percent": round(float((errors <= 0.15).mean()), 4),
            "within_8_percent": round(float((errors <= 0.08).mean()), 4),
        }

    return {
        "all": of(points),
        "by_load": {str(load): of([p for p in points if p["load"] == load]) for load in LOADS},
        "seconds_median": float(np.median([float(p["seconds"]) for p in points])),
    }


if __name__ == "__main__":
    main()
