"""A small fleet for the compute domain's tests: one region, one cluster, H100 nodes."""

from infra_console.fleet.config import FleetConfig


def fleet_document() -> dict:
    return {
        "schema": "fleet/1",
        "regions": [
            {"id": "north", "place": "North", "latitude": 60.0, "longitude": 10.0,
             "jurisdiction": "EU", "utc_offset_hours": 1}
        ],
        "clusters": [{"id": "north", "context": "north", "region": "north"}],
        "sources": [{"id": "main", "url": "http://127.0.0.1:9", "clusters": ["north"]}],
        "pools": [
            {"id": "north/H100/reserved", "cluster": "north", "gpu_type": "H100",
             "purchase": "reserved", "usd_per_gpu_hour": 3.0, "gpu_memory_gib": 80,
             "selector": {"nvidia.com/gpu.product": "H100"}}
        ],
        "workloads": [
            {"id": "chat", "tier": "inference", "namespace": "inference", "kind": "Deployment",
             "name": "chat", "model": "chat", "regions": ["north"], "group_gpus": {"H100": 4},
             "units_per_group": {"H100": 5.0}, "unit": "requests/s", "floor_groups": 1,
             "slo_ttft_p95_ms": 1000, "shortfall_usd_per_unit_hour": 20.0, "move_s": 60},
            {"id": "training", "tier": "training", "namespace": "training", "kind": "Namespace",
             "regions": ["north"], "group_gpus": {"H100": 8}, "units_per_group": {"H100": 8.0},
             "unit": "GPUs", "spot_ok": True, "shortfall_usd_per_unit_hour": 1.0},
        ],
        "tiers": {
            "namespaces": {"inference": "inference", "training": "training"},
            "floor_gpus": {"inference": 8, "training": 0},
        },
    }  # fmt: skip


def fleet_config(**changes: object) -> FleetConfig:
    return FleetConfig.model_validate(fleet_document() | changes)
