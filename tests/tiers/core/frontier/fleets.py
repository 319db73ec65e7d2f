"""Small fleets for the frontier, by seed: cells and stacks, and whole snapshots."""

from typing import Any

import numpy as np

from tests.tiers.core.snapshots import demand_step, small_snapshot
from tiers.core.frontier.cells import Cell, Stack
from tiers.core.frontier.curves import DEFAULT
from tiers.core.snapshot import Snapshot


def random_core(seed: int) -> tuple[list[Cell], dict[tuple[str, str], Stack]]:
    """Four cells in two regions, each stack with reserved, spot and on-demand GPUs."""
    rng = np.random.default_rng(seed)
    stacks = {
        (region, "H100"): Stack(
            region,
            "H100",
            tuple(
                sorted(
                    (price, int(rng.integers(0, 7)), spot)
                    for price, spot in ((0.0, False), (1.0, True), (3.0, False))
                )
            ),
        )
        for region in ("a", "b")
    }
    cells = [
        Cell(
            workload=f"w{i}",
            model=f"m{i}",
            region=region,
            gpu_type="H100",
            gpus=int(rng.integers(1, 3)),
            units=float(rng.uniform(1, 3)),
            demand=float(rng.uniform(0.5, 8)),
            slo_ms=1000.0,
            floor=int(rng.integers(0, 2)),
            most=5,
            spot_ok=bool(rng.integers(0, 2)),
            curve=DEFAULT,
        )
        for i, region in enumerate("aabb")
    ]
    return cells, stacks


def serving_snapshot(**workload: Any) -> Snapshot:
    """`small_snapshot` with an objective for chat, on-demand GPUs, and training in the reserve."""
    plain = small_snapshot().model_dump(mode="json", by_alias=True)
    plain["workloads"][0] |= {"slo_ttft_p95_ms": 500.0, "model": "chat-7b"} | workload
    plain["pools"].append(
        plain["pools"][0]
        | {"id": "r/H100/on_demand", "purchase": "on_demand", "gpus": 8, "usd_per_gpu_hour": 4.0}
    )
    plain["demand"]["chat"]["r"] = [demand_step(9.0), demand_step(14.0)]
    return Snapshot.model_validate(plain)
