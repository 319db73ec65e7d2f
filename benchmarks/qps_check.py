"""A second look at the serving simulation: Llama-3.3-70B on A100 at four request rates.

`python -m benchmarks.qps_check --data` takes the folder `serving_perf_vllm_qps`. For each parallel
layout the costs of an iteration, and the seconds of a request outside it, are fitted on 1 and 4
requests/s; 16 requests/s and "all 200 at once" are predicted. Prompts cost nothing here: the last
run answers 42,659 prompt tokens within half a second, for which eight A100 at their peak would need
2.4 s, so the runs, which share their prompts, met a warm prefix cache, and the cost of a prompt
token cannot be told from them. The table holds summaries only: output lengths are drawn lognormal
around its mean (the spread is assumed), so medians and means are compared, not tails. Three of the
layouts are pipelines of two stages, which the simulation does not know. JSON on stdout.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from benchmarks.burst_data import Floats
from tiers.core.simulate.serving import Requests, ServingCosts, simulate

FIT_ON = ("1.0", "4.0")
CHUNK_TOKENS = 2048
MAX_BATCH = 256
OUTPUT_SIGMA = 0.9
START_S = (0.024, 2e-4, 0.02)
SEEDS = range(5)
FIGURES = ("median_ttft_ms", "mean_tpot_ms")
Row = dict[str, str]


def lengths(rng: np.random.Generator, mean: float, sigma: float, count: int) -> np.ndarray:
    drawn = rng.lognormal(0.0, sigma, count)
    return np.maximum(1, np.rint(drawn * mean / drawn.mean())).astype(np.int64)


def trace(row: Row, seed: int) -> Requests:
    rng, count = np.random.default_rng(seed), int(row["num_prompts"])
    gaps = np.zeros(count)
    if row["request_rate"] != "inf":
        gaps = rng.exponential(1.0 / float(row["request_rate"]), count)
    return Requests(
        np.cumsum(gaps),
        np.ones(count, dtype=np.int64),
        lengths(rng, float(row["total_output_tokens"]) / count, OUTPUT_SIGMA, count),
    )


def predict(parameters: Floats, row: Row) -> dict[str, float]:
    """The row's figures in simulation, mean over seeds."""
    base, sequence, outside = parameters.tolist()
    costs = ServingCosts(base, sequence, 0.0, CHUNK_TOKENS, 10**8, MAX_BATCH)
    found = []
    for seed in SEEDS:
        done = simulate(costs, 1, trace(row, seed), 1e6)
        more = done.output_tokens > 1
        per_token = (done.e2e_s - done.ttft_s)[more] / (done.output_tokens[more] - 1)
        found.append((1000.0 * (np.median(done.ttft_s) + outside), 1000.0 * per_token.mean()))
    return dict(zip(FIGURES, np.mean(found, axis=0).tolist(), strict=True))


def fit(rows: list[Row]) -> Floats:
    def misfit(logs: Floats) -> float:
        off = [
            abs(np.log(value / float(row[name])))
            for row in rows
            for name, value in predict(np.exp(logs), row).items()
        ]
        return float(np.mean(off))

    found = minimize(misfit, np.log(START_S), method="Nelder-Mead", options={"maxiter": 150})
    return np.exp(found.x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder serving_perf_vllm_qps")
    with (parser.parse_args().data / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    report: dict[str, object] = {}
    errors: dict[str, list[float]] = {name: [] for name in FIGURES}
    for setup in sorted({row["setup"] for row in rows}):
        mine = [row for row in rows if row["setup"] == setup]
        parameters = fit([row for row in mine if row["request_rate"] in FIT_ON])
        loads = {}
        for row in mine:
            off = {k: v / float(row[k]) - 1.0 for k, v in predict(parameters, row).items()}
            loads[row["request_rate"]] = {k: round(v, 3) for k, v in off.items()}
            if row["request_rate"] not in FIT_ON:
                for name, value in off.items():
                    errors[name].append(abs(value))
        report[setup] = {"parameters_s": parameters.round(6).tolist(), "errors": loads}
    held_out = {
        name: {"median_abs_error": round(float(np.median(off)), 3), "worst": round(max(off), 3)}
        for name, off in errors.items()
    }
    print(json.dumps({"fitted_on_rates": FIT_ON, "setups": report, "held_out": held_out}, indent=1))


if __name__ == "__main__":
    main()
