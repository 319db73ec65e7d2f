"""Small snapshots for tests, built by seed."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from tiers.core.snapshot import Snapshot


def demand_step(value: float) -> dict[str, float]:
    return {k: value * f for k, f in
            {"p50": 0.7, "p80": 0.85, "p90": 0.95, "p95": 1.0, "p975": 1.1}.items()}  # fmt: skip


def small_snapshot(**changes: Any) -> Snapshot:
    """One region, one H100 pool of 3 nodes of 4 GPUs, inference against training."""
    document: dict[str, Any] = {
        "schema": "snapshot/1",
        "taken_at": datetime(2026, 1, 5, tzinfo=UTC),
        "step_s": 1800,
        "steps": 2,
        "quantile": 0.95,
        "regions": [{"id": "r", "jurisdiction": "EU"}],
        "pools": [_pool("r/H100/reserved", "reserved", 12, 4)],
        "workloads": [
            _workload("chat", "inference", 2, 5.0, floor=1, shortfall=8.0),
            _workload("training", "training", 4, 4.0, floor=0, shortfall=2.0),
        ],
        "demand": {
            "chat": {"r": [demand_step(9.0), demand_step(14.0)]},
            "training": {"r": [demand_step(12.0)] * 2},
        },
        "current": [
            {"pool": "r/H100/reserved", "workload": "chat", "groups": 2},
            {"pool": "r/H100/reserved", "workload": "training", "groups": 2},
        ],
        "limits": {"max_moves": 100},
    }
    return Snapshot.model_validate(document | changes)


def _pool(pool_id: str, purchase: str, gpus: int, per_node: int) -> dict[str, Any]:
    return {
        "id": pool_id, "region": "r", "cluster": "r", "gpu_type": "H100", "gpu_memory_gib": 80,
        "purchase": purchase, "gpus": gpus, "gpus_per_node": per_node, "usd_per_gpu_hour": 3.0,
    }  # fmt: skip


def _workload(
    name: str, tier: str, k: int, units: float, *, floor: int, shortfall: float
) -> dict[str, Any]:
    return {
        "id": name, "tier": tier, "model": "", "regions": ["r"], "group_gpus": {"H100": k},
        "units_per_group": {"H100": units}, "floor_groups": floor, "ceiling_groups": 50,
        "spot_ok": tier != "inference", "move_s": 300, "preempt_loss_gpu_hours": 0.5,
        "shortfall_usd_per_unit_hour": shortfall,
    }  # fmt: skip


def random_snapshot(seed: int) -> Snapshot:
    """Two pools of 2-3 nodes of 2 GPUs, three workloads: small enough for brute force.

    What runs may be more than the pools hold, or stand where it may not: such groups are lost.
    """
    rng = np.random.default_rng(seed)
    pools = [
        _pool(f"r/{purchase}", purchase, int(rng.integers(2, 4)) * 2, 2)
        for purchase in ("reserved", "spot")
    ]
    workloads = [
        _workload(name, tier, k, float(k) * rng.uniform(0.5, 3), floor=int(rng.integers(0, 2)),
                  shortfall=float(rng.uniform(1, 20)))
        for name, tier, k in [("chat", "inference", 1), ("big", "inference", 2),
                              ("training", "training", 2)]
    ]  # fmt: skip
    demand = {
        w["id"]: {"r": [demand_step(float(rng.uniform(0, 12))) for _ in range(2)]}
        for w in workloads
    }
    current = [
        {"pool": p["id"], "workload": w["id"], "groups": int(rng.integers(0, 3))}
        for p in pools for w in workloads
    ]  # fmt: skip
    return small_snapshot(pools=pools, workloads=workloads, demand=demand, current=current)
