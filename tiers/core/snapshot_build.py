"""From what was read and forecast to the allocator's snapshot."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiers.core.fleet_state import ClusterState, FleetState, is_supply
from tiers.core.snapshot import QUANTILE_KEYS, Snapshot


def pool_supply(state: ClusterState, pool: str) -> int:
    """GPUs of a pool's nodes that are supply."""
    return sum(n.gpus_allocatable for n in state.nodes if n.pool == pool and is_supply(n))


def current_groups(
    state: ClusterState, group_gpus: Mapping[str, Mapping[str, int]]
) -> dict[tuple[str, str], int]:
    """Groups that hold supply now, by (pool, workload); part of a group counts as none.

    Args:
        group_gpus: GPUs of one group by workload and GPU type.
    """
    gpus: Counter[tuple[str, str]] = Counter()
    types: dict[str, str] = {}
    for pod, node in state.staying_pods():
        if pod.workload:
            gpus[node.pool, pod.workload] += pod.gpus
            types[node.pool] = node.gpu_type
    return {
        (pool, workload): held // size
        for (pool, workload), held in gpus.items()
        if (size := group_gpus.get(workload, {}).get(types[pool], 0)) and held >= size
    }


def checkpoint_ages(state: ClusterState) -> dict[tuple[str, str], float]:
    """Seconds since the oldest last checkpoint of the gangs that run, by (pool, workload).

    Of a gang's pods the freshest counts. Left out where any of what runs tells none: its age is
    unknown.
    """
    gangs: dict[tuple[str, str], dict[str, list[float]]] = {}
    for pod, node in state.staying_pods():
        told = gangs.setdefault((node.pool, pod.workload), {})
        ages = told.setdefault(f"{pod.namespace}/{pod.gang or pod.name}", [])
        ages += [] if pod.checkpoint_age_s is None else [pod.checkpoint_age_s]
    return {
        key: max(min(ages) for ages in told.values())
        for key, told in gangs.items()
        if all(told.values())
    }


def demand_steps(
    quantiles: NDArray[np.float64], levels: Sequence[float], *, per_step: int
) -> list[dict[str, float]]:
    """Forecast quantiles as snapshot demand: each step takes its worst forecast step.

    Args:
        quantiles: (T, Q) demand by forecast step and level, non-negative, not crossing.
        levels: the Q quantile levels.
        per_step: forecast steps in one snapshot step; T is a multiple of it.

    Returns:
        T / per_step steps of p50 to p975.
    """
    worst = quantiles.reshape(-1, per_step, quantiles.shape[1]).max(axis=1)
    return [
        {key: float(np.interp(q, levels, row)) for q, key in QUANTILE_KEYS.items()} for row in worst
    ]


def build_snapshot(
    *,
    taken_at: datetime,
    state: FleetState,
    regions: Iterable[Mapping[str, Any]],
    pools: Iterable[Mapping[str, Any]],
    workloads: Iterable[Mapping[str, Any]],
    demand: Mapping[str, Mapping[str, list[dict[str, float]]]],
    step_s: int,
    steps: int,
    quantile: float,
    max_moves: int,
    gangs: Sequence[Mapping[str, Any]] = (),
    changed_s_ago: Mapping[tuple[str, str], float] | None = None,
) -> Snapshot:
    """The snapshot of the clusters that answered; pools of others are left out.

    Args:
        pools: rows with id, region, cluster, gpu_type, gpu_memory_gib, purchase, usd_per_gpu_hour.
        workloads: rows in the contract's words.
        demand: by workload and region.
        gangs: those that wait, in the contract's words.
        changed_s_ago: since groups last changed, by (pool, workload); absent is unknown.

    Raises:
        SnapshotInvalid, pydantic.ValidationError: the parts do not fit together.
    """
    workload_rows = list(workloads)
    group_gpus = {w["id"]: w["group_gpus"] for w in workload_rows}
    rows = [p for p in pools if p["cluster"] in state.clusters]
    held = {c: sorted(current_groups(s, group_gpus).items()) for c, s in state.clusters.items()}
    pools_read = {row["id"] for row in rows}
    ages = {c: checkpoint_ages(s) for c, s in state.clusters.items()}
    return Snapshot.model_validate(
        {
            "schema": "snapshot/1",
            "taken_at": taken_at,
            "step_s": step_s,
            "steps": steps,
            "quantile": quantile,
            "regions": list(regions),
            "pools": [
                {
                    **row,
                    "gpus": pool_supply(state.clusters[row["cluster"]], row["id"]),
                    "gpus_per_node": _gpus_per_node(state.clusters[row["cluster"]], row["id"]),
                    "fallbacks": [p for p in row.get("fallbacks", ()) if p in pools_read],
                }
                for row in rows
            ],
            "workloads": workload_rows,
            "demand": demand,
            "current": [
                {
                    "pool": pool,
                    "workload": workload,
                    "groups": groups,
                    "changed_s_ago": (changed_s_ago or {}).get((pool, workload)),
                }
                for rows in held.values()
                for (pool, workload), groups in rows
            ],
            "limits": {"max_moves": max_moves},
            "gangs": list(gangs),
            "checkpoints": [
                {"pool": key[0], "workload": key[1], "age_s": ages[cluster][key]}
                for cluster, rows in held.items()
                for key, _ in rows
                if key in ages[cluster]
            ],
        }
    )


def _gpus_per_node(state: ClusterState, pool: str) -> int:
    return max((n.gpus_capacity for n in state.nodes if n.pool == pool), default=8) or 8
