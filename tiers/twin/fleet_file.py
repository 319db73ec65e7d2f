"""Writes the twin's fleet file (`fleet/1`): who is who in the simulated fleet, for the console."""

import json
from collections.abc import Iterator, Mapping, Sequence

from tiers.twin.load_test import HOW_MEASURED, UNITS_PER_GROUP
from tiers.twin.profile import (
    CAPACITY_TYPE,
    GPU_TYPES,
    INFERENCE,
    NODE_GROUPS,
    REGION_IDS,
    REGIONS,
    SPOT_PRICE_FACTOR,
    TIER_KEY,
    TIERS,
    TRAINING,
    InferenceWorkload,
    pool_id,
    usd_per_gpu_hour,
)

PROMETHEUS_URL = "http://127.0.0.1:9090"
SCRAPE_INTERVAL_S = 15.0
DRAIN_S = 60.0
MIN_DWELL_S = 900.0
FLOOR_GPUS = {"inference": 16, "training": 16, "operational": 8}
# What an hour of one unserved unit costs: a multiple of what serving it costs, assumed.
SHORTFALL_OVER_COST = {"inference": 4.0, "training": 1.2, "operational": 1.5}

Value = str | float | int | bool | Sequence[str] | Mapping[str, str] | Mapping[str, float]


def fleet_toml(*, time_factor: float, demand: str, notes: Sequence[str], size: int = 1) -> str:
    """The document. Times are as the twin takes them: real ones over the time factor."""
    return "\n".join(
        [
            "# The simulated fleet, written by `manage.py twin init`.",
            'schema = "fleet/1"',
            "",
            *_table("[twin]", {"time_factor": time_factor, "demand": demand, "notes": notes}),
            *_regions(),
            *_pools(),
            *_workloads(time_factor, size),
            *_tiers(size),
        ]
    )


def _table(head: str, values: Mapping[str, Value]) -> list[str]:
    return [head, *(f"{key} = {_value(value)}" for key, value in values.items()), ""]


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, str):
        # A JSON string without escapes beyond ASCII is a TOML basic string.
        return json.dumps(value)
    if isinstance(value, Sequence):
        return "[" + ", ".join(json.dumps(item) for item in value) + "]"
    return repr(value)


def _regions() -> Iterator[str]:
    for region in REGIONS:
        yield from _table(
            "[[regions]]",
            {
                "id": region.id,
                "place": region.place,
                "latitude": region.latitude,
                "longitude": region.longitude,
                "jurisdiction": region.jurisdiction,
                "utc_offset_hours": region.utc_offset_hours,
            },
        )
    for region in REGIONS:
        values = {"id": region.id, "context": region.id, "region": region.id}
        yield from _table("[[clusters]]", values)
    yield from _table(
        "[[sources]]",
        {
            "id": "twin-prometheus",
            "url": PROMETHEUS_URL,
            "clusters": REGION_IDS,
            "scrape_interval_s": SCRAPE_INTERVAL_S,
        },
    )


def _pools() -> Iterator[str]:
    yield "# List prices per GPU-hour. H100, A100: Azure 8-GPU nodes, 2026-06-18, as tabled in"
    yield "# karpenter-provider-azure (regions without an H100 node: eastus by the A100 ratio)."
    yield "# L40S: AWS g6e.48xlarge, us-east-1, 2026-07-20, from karpenter-provider-aws, by the"
    yield f"# same regional ratio; spot is assumed at {SPOT_PRICE_FACTOR:.0%} of the list price."
    yield "# Reserved pools carry the list price too: contract prices are nobody's public fact."
    for region in REGIONS:
        for group in NODE_GROUPS:
            gpu = GPU_TYPES[group.gpu_type]
            yield from _table(
                "[[pools]]",
                {
                    "id": pool_id(region.id, gpu.id, group.purchase),
                    "cluster": region.id,
                    "gpu_type": gpu.id,
                    "purchase": group.purchase,
                    "usd_per_gpu_hour": usd_per_gpu_hour(region, gpu.id, group.purchase),
                    "gpu_memory_gib": round(gpu.memory_mib / 1024, 1),
                    "selector": {
                        "nvidia.com/gpu.product": gpu.product,
                        "karpenter.sh/capacity-type": CAPACITY_TYPE[group.purchase],
                    },
                },
            )


def _workloads(time_factor: float, size: int) -> Iterator[str]:
    yield f"# units_per_group of served models: {HOW_MEASURED}."
    for workload in INFERENCE:
        yield from _table("[[workloads]]", _inference(workload, time_factor, size))
    yield from _table("[[workloads]]", _training(time_factor))
    yield from _table("[[workloads]]", _operational(time_factor, size))


def _inference(workload: InferenceWorkload, time_factor: float, size: int) -> dict[str, Value]:
    units = UNITS_PER_GROUP[workload.id]
    usd_per_hour = workload.gpus_per_group * GPU_TYPES[workload.gpu_type].usd_per_gpu_hour
    return {
        "id": workload.id,
        "tier": "inference",
        "namespace": "inference",
        "kind": "Deployment",
        "name": workload.id,
        "model": workload.id,
        "regions": workload.regions,
        "group_gpus": {workload.gpu_type: workload.gpus_per_group},
        "units_per_group": {workload.gpu_type: units},
        "unit": "requests/s",
        "floor_groups": workload.floor_groups,
        "ceiling_groups": max(8, 4 * max(workload.initial_groups) * size),
        "slo_ttft_p95_ms": workload.slo_ttft_p95_ms,
        "spot_ok": False,
        "move_s": (workload.load_s + DRAIN_S) / time_factor,
        "min_dwell_s": MIN_DWELL_S / time_factor,
        "shortfall_usd_per_unit_hour": round(
            SHORTFALL_OVER_COST["inference"] * usd_per_hour / units, 2
        ),
    }


def _training(time_factor: float) -> dict[str, Value]:
    gpus = TRAINING.gpus_per_pod
    lost_s = (TRAINING.checkpoint_every_s / 2 + TRAINING.load_s) / time_factor
    return {
        "id": "training",
        "tier": "training",
        "namespace": "training",
        "kind": "Job",
        "regions": REGION_IDS,
        "group_gpus": {"H100": gpus, "A100": gpus},
        "units_per_group": {"H100": float(gpus), "A100": float(gpus)},
        "unit": "GPUs",
        "move_s": (TRAINING.load_s + DRAIN_S) / time_factor,
        "min_dwell_s": MIN_DWELL_S / time_factor,
        "preempt_loss_gpu_hours": round(gpus * lost_s / 3600.0, 3),
        "shortfall_usd_per_unit_hour": _gpu_shortfall("training", "A100"),
    }


def _operational(time_factor: float, size: int) -> dict[str, Value]:
    return {
        "id": "operational",
        "tier": "operational",
        "namespace": "operational",
        "kind": "Namespace",
        "regions": REGION_IDS,
        "group_gpus": {"A100": 1, "L40S": 1},
        "units_per_group": {"A100": 1.0, "L40S": 1.0},
        "unit": "GPUs",
        "floor_groups": 4 * size,
        "spot_ok": True,
        "move_s": (40.0 + DRAIN_S) / time_factor,
        "min_dwell_s": MIN_DWELL_S / time_factor,
        "shortfall_usd_per_unit_hour": _gpu_shortfall("operational", "L40S"),
    }


def _gpu_shortfall(tier: str, gpu_type: str) -> float:
    return round(SHORTFALL_OVER_COST[tier] * GPU_TYPES[gpu_type].usd_per_gpu_hour, 2)


def _tiers(size: int) -> Iterator[str]:
    # Every namespace of the twin is named after its tier.
    namespaces = {str(tier): str(tier) for tier in TIERS}
    floors = {tier: gpus * size for tier, gpus in FLOOR_GPUS.items()}
    yield from _table(
        "[tiers]",
        {"label_key": TIER_KEY, "namespaces": namespaces, "floor_gpus": floors},
    )
