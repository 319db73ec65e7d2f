"""`python -m benchmarks.frontier --json`: the exact frontier of 720 cells and 10,000 GPUs.

12 regions x 60 workloads, five GPU types, pools reserved, on demand and spot; seeded.
"""

import argparse
import json
import time

import numpy as np

from tiers.core.frontier.cells import Cell, Stack
from tiers.core.frontier.curves import DEFAULT
from tiers.core.frontier.exact import frontier

REGIONS, WORKLOADS, GPUS = 12, 60, 10_000
TYPES = {"H100": 1.0, "H200": 1.4, "A100": 0.45, "B200": 2.2, "L40S": 0.25}
RUNS = 21


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cells, stacks = instance(options.seed)
    seconds, points = [], 0
    for _ in range(RUNS):
        began = time.perf_counter()
        points = len(frontier(cells, stacks))
        seconds.append(time.perf_counter() - began)
    gpus = sum(stack.gpus for stack in stacks.values())
    report = {
        "seconds": round(float(np.median(seconds)), 6),
        "seconds_worst": round(max(seconds), 6),
        "points": points,
        "cells": len(cells),
        "gpus": gpus,
        "seed": options.seed,
    }
    print(json.dumps(report, indent=1) if options.json else report)


def instance(seed: int) -> tuple[list[Cell], dict[tuple[str, str], Stack]]:
    """Cells whose demand needs about half of their stack at the objective."""
    rng = np.random.default_rng(seed)
    per_stack = GPUS // (REGIONS * len(TYPES))
    stacks = {}
    for region in (f"region-{i}" for i in range(REGIONS)):
        for gpu_type, worth in TYPES.items():
            reserved = int(per_stack * rng.uniform(0.3, 0.6))
            spot = int(per_stack * 0.2)
            pools = (
                (0.0, reserved, False),
                (1.2 * worth, spot, True),
                (3.5 * worth, per_stack - reserved - spot, False),
            )
            stacks[region, gpu_type] = Stack(region, gpu_type, pools)
    types = list(TYPES)
    cells = [
        _cell(rng, f"region-{r}", w, types[w % len(types)], per_stack)
        for r in range(REGIONS)
        for w in range(WORKLOADS)
    ]
    return cells, stacks


def _cell(
    rng: np.random.Generator, region: str, workload: int, gpu_type: str, per_stack: int
) -> Cell:
    gpus = int(rng.choice([1, 2, 4]))
    units = gpus * TYPES[gpu_type] * float(rng.uniform(1.0, 3.0))
    share = per_stack / (WORKLOADS / len(TYPES)) / gpus
    return Cell(
        workload=f"workload-{workload}",
        model=f"model-{workload % 12}",
        region=region,
        gpu_type=gpu_type,
        gpus=gpus,
        units=units,
        demand=0.5 * share * units * float(rng.uniform(0.3, 1.2)),
        slo_ms=1000.0,
        floor=0,
        most=per_stack // gpus,
        spot_ok=bool(rng.integers(0, 2)),
        curve=DEFAULT,
    )


if __name__ == "__main__":
    main()
