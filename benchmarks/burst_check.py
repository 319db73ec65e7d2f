"""The serving simulation against a measured vLLM server: `python -m benchmarks.burst_check --data`.

The folder is `serving_perf_vllm_burst` (see `burst_data`). Costs of an iteration, and the seconds
that every request spends outside the engine, are fitted on the two slowest runs alone; the five
faster ones are predicted from the arrivals times the speed-up. The engine's limit of 256 sequences
is its default and stands in its log. `docs/simulator.md` says how it fares and why. JSON on stdout.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from benchmarks.burst_data import Floats, Run, Work, read_runs, work_of
from tiers.core.simulate.serving import Requests, ServingCosts, simulate

FIT_ON = (100, 200)
MAX_BATCH = 256
CHUNKS = (256, 512, 1024)
# Where the search begins: base, sequence, prompt token, context token, outside the engine.
START_S = (5e-3, 2.5e-4, 5e-5, 5e-8, 0.01)
STATISTICS = {"median": np.median, "mean": np.mean, "p95": lambda x: np.quantile(x, 0.95)}
# A request of a second or more decodes for most of its time.
LONG_S = 1.0
Served = dict[str, Floats]


def serve(parameters: Floats, chunk_tokens: int, work: Work, scale: int) -> Served:
    """Simulate one speed; `ttft` and `total` are in order of `event_id`, seconds."""
    base, sequence, prompt, context, outside = parameters.tolist()
    costs = ServingCosts(
        base_s=base, per_sequence_s=sequence, per_prompt_token_s=prompt,
        per_context_token_s=context, chunk_tokens=chunk_tokens, max_batch=MAX_BATCH,
        kv_tokens=10**8, queue_limit=10**6,  # The cache was never full.
    )  # fmt: skip
    at = work.arrival_s / scale
    order = np.argsort(at, kind="stable")
    trace = Requests(at[order], work.prompt_tokens[order], work.output_tokens[order])
    done = simulate(costs, 1, trace, 1e5)
    back = np.empty(len(order), dtype=np.int64)
    back[order[done.request_id]] = np.arange(len(order))
    return {
        "arrival": at, "begun": at + done.queue_s[back], "end": at + done.e2e_s[back],
        "ttft": done.ttft_s[back] + outside, "total": done.e2e_s[back] + outside,
    }  # fmt: skip


def misfit(parameters: Floats, chunk_tokens: int, work: Work, runs: list[Run]) -> float:
    """Mean of |log(simulated / measured)| of first-token statistics and of long requests' time."""
    off = []
    for run in runs:
        served = serve(parameters, chunk_tokens, work, run.scale)
        off += [abs(np.log(f(served["ttft"]) / f(run.first_s))) for f in STATISTICS.values()]
        long = run.total_s > LONG_S
        # As heavy as the three statistics together.
        off += [3.0 * np.abs(np.log(served["total"][long] / run.total_s[long])).mean()]
    return float(np.mean(off))


def fit(chunk_tokens: int, work: Work, runs: list[Run]) -> tuple[float, Floats]:
    """Least misfit and its parameters; Nelder-Mead on their logarithms, started twice."""
    at = np.log(START_S)
    for _ in range(2):
        simplex = np.vstack([at, at + 0.2 * np.eye(len(at))])
        found = minimize(
            lambda x: misfit(np.exp(x), chunk_tokens, work, runs), at, method="Nelder-Mead",
            options={"maxiter": 400, "xatol": 1e-3, "fatol": 1e-5, "initial_simplex": simplex},
        )  # fmt: skip
        at = found.x
    return float(found.fun), np.exp(at)


def compare(run: Run, served: Served) -> dict[str, object]:
    """Measured and simulated figures of one speed; errors are relative, simulated - measured."""
    out: dict[str, object] = {"held_out": run.scale not in FIT_ON}
    for name, measured in (("ttft", run.first_s), ("total", run.total_s)):
        out[f"{name}_s"] = {
            key: _pair(float(f(measured)), float(f(served[name]))) for key, f in STATISTICS.items()
        }
    long = run.total_s > LONG_S
    errors = served["total"][long] / run.total_s[long] - 1.0
    out["total_of_each_long_request"] = {
        "median_error": round(float(np.median(errors)), 3),
        "median_abs_error": round(float(np.median(np.abs(errors))), 3),
    }
    for name, measured in (("running", run.running), ("waiting", run.waiting)):
        since, until = ("begun", "end") if name == "running" else ("arrival", "begun")
        at = run.logged_s - run.began_s
        simulated = (served[since] <= at[:, None]).sum(1) - (served[until] <= at[:, None]).sum(1)
        out[name] = {
            "measured_mean": round(float(measured.mean()), 1),
            "simulated_mean": round(float(simulated.mean()), 1),
            "mean_abs_difference": round(float(np.abs(simulated - measured).mean()), 1),
            "measured_max": int(measured.max()),
            "simulated_max": int(simulated.max()),
        }
    full = (run.running >= 250) & (run.waiting > 0) & (run.made_tokens_per_s > 0)
    if full.any():
        gap_ms = 1000.0 * run.running[full].sum() / run.made_tokens_per_s[full].sum()
        out["measured_token_gap_ms_at_full_batch"] = round(float(gap_ms), 1)
    return out


def _pair(measured: float, simulated: float) -> dict[str, float]:
    return {
        "measured": round(measured, 3),
        "simulated": round(simulated, 3),
        "error": round(simulated / measured - 1.0, 3),
    }


def summary(scales: dict[str, dict[str, object]]) -> dict[str, object]:
    """Median and worst absolute error over the held-out speeds, by figure and over all."""
    held_out = {scale: of for scale, of in scales.items() if of["held_out"]}
    rows = [
        (f"{kind}_{key}", scale, abs(pair["error"]))
        for scale, of in held_out.items()
        for kind in ("ttft_s", "total_s")
        for key, pair in of[kind].items()  # type: ignore[attr-defined]
    ]
    names = sorted({name for name, _, _ in rows})
    by_figure = {name: [error for n, _, error in rows if n == name] for name in names}
    worst = max(rows, key=lambda row: row[2])
    return {
        "median_abs_error": round(float(np.median([row[2] for row in rows])), 3),
        "worst_abs_error": {"figure": worst[0], "scale": worst[1], "error": worst[2]},
        "by_figure": {
            name: {"median": round(float(np.median(errors)), 3), "worst": max(errors)}
            for name, errors in by_figure.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder serving_perf_vllm_burst")
    runs = read_runs(parser.parse_args().data)
    slow = [runs[scale] for scale in FIT_ON]
    work = work_of(slow)
    fits = {chunk: fit(chunk, work, slow) for chunk in CHUNKS}
    chunk = min(fits, key=lambda size: fits[size][0])
    names = ("base_s", "per_sequence_s", "per_prompt_token_s", "per_context_token_s", "outside_s")
    scales = {
        str(scale): compare(run, serve(fits[chunk][1], chunk, work, scale))
        for scale, run in runs.items()
    }
    report = {
        "fitted_on_scales": FIT_ON,
        "parameters": dict(zip(names, fits[chunk][1].round(9).tolist(), strict=True)),
        "chunk_tokens": chunk,
        "misfit_by_chunk_tokens": {size: round(found[0], 3) for size, found in fits.items()},
        "max_batch": MAX_BATCH,
        "prompt_tokens_read_over_in_len": round(work.prompt_share, 3),
        "output_tokens_total": int(work.output_tokens.sum()),
        "scales": scales,
        "held_out": summary(scales),
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
