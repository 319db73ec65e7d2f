"""Seeded snapshots for the allocator's benchmark and tests.

The ordinary fleet: every region has one pool per GPU type, its workloads need about what it has,
over a stretch of the day in which demand moves by a third. Many workloads need a fraction of one
parallel group. Harsh regions are set apart by their number: one lacks a GPU type, one is asked for
far more than it has (no plan serves all), one is nearly idle.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tiers.core.snapshot import Snapshot

# GiB and worth (throughput against H100), USD per GPU-hour.
TYPES = {
    "H100": (80, 1.0, 3.2),
    "H200": (141, 1.4, 4.1),
    "A100": (80, 0.45, 1.7),
    "B200": (192, 2.2, 6.4),
    "L40S": (48, 0.25, 0.9),
}
# GiB of weights, GPU-seconds of H100 for one unit of demand.
MODELS = {
    "7b": (16, 0.3),
    "13b": (30, 0.6),
    "34b": (75, 1.5),
    "8x7b": (100, 0.9),
    "70b": (150, 3.0),
    "180b": (380, 7.0),
    "405b": (850, 16.0),
}
TIERS = ("inference",) * 4 + ("training", "operational")
LACKS_A_TYPE, ASKED_TOO_MUCH, NEARLY_IDLE = 2, 5, 8
GPUS_PER_NODE, LARGEST_GROUP = 8, 16


def fleet(
    seed: int, *, regions: int = 12, workloads: int = 60, steps: int = 8, gpus: int = 10_000
) -> Snapshot:
    """One snapshot with a pool of each type in each region, `gpus` in all."""
    rng = np.random.default_rng(seed)
    names = [f"region-{i}" for i in range(regions)]
    nodes = _spread(rng, gpus // GPUS_PER_NODE, regions * len(TYPES))
    pools = [
        _pool(rng, region, gpu_type, int(nodes[i * len(TYPES) + j]), lacks=i == LACKS_A_TYPE)
        for i, region in enumerate(names)
        for j, gpu_type in enumerate(TYPES)
    ]
    rows = [_workload(rng, i, names) for i in range(workloads)]
    demand = _demand(rng, names, pools, rows, steps)
    return Snapshot.model_validate(
        {
            "schema": "snapshot/1",
            "taken_at": datetime(2026, 1, 5, 6, tzinfo=UTC),
            "step_s": 1800,
            "steps": steps,
            "quantile": 0.95,
            "regions": [{"id": name, "jurisdiction": "EU"} for name in names],
            "pools": pools,
            "workloads": rows,
            "demand": demand,
            "current": list(_current(rng, pools, rows, demand)),
            "limits": {"max_moves": 100_000},
        }
    )


def one_region(seed: int, *, harsh: str = "") -> Snapshot:
    """One region, one step, 60 workloads, 832 GPUs; `harsh` is "", "lacking", "short" or "idle"."""
    number = {"": 0, "lacking": LACKS_A_TYPE, "short": ASKED_TOO_MUCH, "idle": NEARLY_IDLE}[harsh]
    whole = fleet(seed, regions=number + 1, steps=1, gpus=832 * (number + 1))
    region = f"region-{number}"
    pools = tuple(p for p in whole.pools if p.region == region)
    kept = {p.id for p in pools}
    return whole.model_copy(
        update={
            "regions": whole.regions[number:],
            "pools": pools,
            "workloads": tuple(
                w.model_copy(update={"regions": (region,)}) for w in whole.workloads
            ),
            "demand": {w: {region: rows[region]} for w, rows in whole.demand.items()},
            "current": tuple(c for c in whole.current if c.pool in kept),
        }
    )


def _spread(rng: np.random.Generator, nodes: int, places: int) -> np.ndarray:
    """Whole nodes over the pools, uneven, all given away."""
    share = rng.uniform(0.5, 1.5, places)
    counts = np.floor(share / share.sum() * nodes).astype(int)
    counts[: nodes - counts.sum()] += 1
    return counts


def _pool(
    rng: np.random.Generator, region: str, gpu_type: str, nodes: int, *, lacks: bool
) -> dict[str, Any]:
    memory, _, usd = TYPES[gpu_type]
    purchase = str(rng.choice(["reserved", "on_demand", "spot"], p=[0.4, 0.4, 0.2]))
    factor = {"reserved": 0.7, "on_demand": 1.0, "spot": 0.4}[purchase]
    return {
        "id": f"{region}/{gpu_type}/{purchase}",
        "region": region,
        "cluster": region,
        "gpu_type": gpu_type,
        "gpu_memory_gib": memory,
        "purchase": purchase,
        "gpus": 0 if lacks and gpu_type == "H200" else nodes * GPUS_PER_NODE,
        "gpus_per_node": GPUS_PER_NODE,
        "usd_per_gpu_hour": round(usd * factor, 3),
    }


def _workload(rng: np.random.Generator, number: int, regions: list[str]) -> dict[str, Any]:
    tier = TIERS[number % len(TIERS)]
    model = list(MODELS)[int(rng.integers(len(MODELS)))]
    weights, gpu_seconds = MODELS[model]
    sizes = {t: _group_gpus(weights, memory) for t, (memory, _, _) in TYPES.items()}
    sizes = {t: k for t, k in sizes.items() if k <= LARGEST_GROUP}
    units = {
        t: round(k * TYPES[t][1] / gpu_seconds * float(rng.lognormal(0, 0.15)), 4)
        for t, k in sizes.items()
    }
    worth = TYPES["H100"][2] * gpu_seconds  # of a unit-hour, at list price
    return {
        "id": f"workload-{number:02d}",
        "tier": tier,
        "model": model,
        "regions": regions,
        "group_gpus": sizes,
        "units_per_group": units,
        "floor_groups": int(tier == "inference" and rng.random() < 0.2),
        "ceiling_groups": 64,
        "spot_ok": tier != "inference" or bool(rng.random() < 0.3),
        "move_s": 120 + 60 * sizes[min(sizes)],
        "preempt_loss_gpu_hours": 0.5 * sizes[min(sizes)] if tier == "training" else None,
        "shortfall_usd_per_unit_hour": round(worth * float(rng.uniform(1.5, 6)), 4),
    }


def _group_gpus(weights_gib: int, memory_gib: int) -> int:
    """GPUs that hold the weights in 70 % of their memory, a power of two."""
    gpus = 1
    while gpus * memory_gib * 0.7 < weights_gib:
        gpus *= 2
    return gpus


def _demand(
    rng: np.random.Generator,
    regions: list[str],
    pools: list[dict[str, Any]],
    workloads: list[dict[str, Any]],
    steps: int,
) -> dict[str, dict[str, list[dict[str, float]]]]:
    """A lognormal share of each region's worth for each workload, moving over the steps."""
    demand: dict[str, dict[str, list[dict[str, float]]]] = {w["id"]: {} for w in workloads}
    for number, region in enumerate(regions):
        load = {ASKED_TOO_MUCH: 1.8, NEARLY_IDLE: 0.15}.get(number, float(rng.uniform(0.7, 1.0)))
        worth = sum(p["gpus"] * TYPES[p["gpu_type"]][1] for p in pools if p["region"] == region)
        share = rng.lognormal(0, 1.0, len(workloads))
        share *= load * worth / share.sum()
        for w, h100s in zip(workloads, share, strict=True):
            level = h100s / MODELS[w["model"]][1]
            demand[w["id"]][region] = [_quantiles(v) for v in level * _day(rng, w["tier"], steps)]
    return demand


def _day(rng: np.random.Generator, tier: str, steps: int) -> np.ndarray:
    """A stretch of the day as factors around one; training is flat."""
    swing = 0.0 if tier == "training" else rng.uniform(0.1, 0.35)
    phase = rng.uniform(0, 2 * np.pi)
    wave = 1 + swing * np.sin(2 * np.pi * np.arange(steps) / 16 + phase)
    return np.asarray(wave * rng.lognormal(0, 0.05, steps))


def _quantiles(value: float) -> dict[str, float]:
    ratios = {"p50": 0.8, "p80": 0.9, "p90": 0.95, "p95": 1.0, "p975": 1.08}
    return {key: round(value * ratio, 5) for key, ratio in ratios.items()}


def _current(
    rng: np.random.Generator,
    pools: list[dict[str, Any]],
    workloads: list[dict[str, Any]],
    demand: dict[str, dict[str, list[dict[str, float]]]],
) -> Iterator[dict[str, Any]]:
    """What a scheduler without a plan would run: in any order, wherever there is room."""
    order = rng.permutation(len(workloads))
    regions = sorted({p["region"] for p in pools})
    for region in regions:
        free = {p["id"]: {"": p["gpus"]} for p in pools if p["region"] == region}
        own = [p for p in pools if p["region"] == region]
        for w in (workloads[i] for i in order):
            missing = demand[w["id"]][region][0]["p50"] * float(rng.uniform(0.7, 1.2))
            for pool in (own[i] for i in rng.permutation(len(own))):
                groups = _fill(free[pool["id"]], pool, w, missing)
                if groups:
                    missing -= groups * w["units_per_group"][pool["gpu_type"]]
                    yield {"pool": pool["id"], "workload": w["id"], "groups": groups}


def _fill(
    free: dict[str, int], pool: dict[str, Any], workload: dict[str, Any], missing: float
) -> int:
    """Groups that fit, opening whole nodes for the workload's tier; `free` is updated."""
    size = workload["group_gpus"].get(pool["gpu_type"])
    if not size or (pool["purchase"] == "spot" and not workload["spot_ok"]):
        return 0
    wanted = int(missing / workload["units_per_group"][pool["gpu_type"]])
    tier, groups = workload["tier"], 0
    while groups < wanted:
        if free.get(tier, 0) < size:
            opened = -(-(size - free.get(tier, 0)) // GPUS_PER_NODE) * GPUS_PER_NODE
            if opened > free[""]:
                break
            free[""] -= opened
            free[tier] = free.get(tier, 0) + opened
        free[tier] -= size
        groups += 1
    return groups
