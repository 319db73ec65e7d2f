"""The frontier as the document that `manage.py frontier` prints and the page draws."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from tiers.core.frontier.cells import Cell, cells_of, stacks_of
from tiers.core.frontier.curves import Floats, Ints
from tiers.core.frontier.exact import Frontier, frontier_of
from tiers.core.snapshot import QUANTILE_KEYS, Snapshot

POINTS = 200
Groups = Mapping[tuple[str, str], int]  # by (pool, workload)


def frontier_report(
    snapshot: Snapshot,
    proposed: Groups | None = None,
    *,
    points: int = POINTS,
    listed: bool = False,
) -> dict[str, Any]:
    """Points, bands, where the fleet sits now and where the plan would put it.

    At most `points` of the frontier, evenly chosen, both ends kept; `total_points` counts all. A
    latency that no steady state has is None. `proposed` is the plan's allocation. `listed` counts
    GPUs at their list price, as what they would be worth to others. `usd_per_ms` is what the next
    millisecond of the slowest cell costs an hour.
    """
    found = frontier_of(snapshot, listed=listed)
    bands = {
        key: [
            [round(float(usd), 4), round(float(ratio), 5)]
            for usd, ratio in zip(*_thinned(band, points), strict=True)
        ]
        for quantile, key in QUANTILE_KEYS.items()
        for band in [frontier_of(snapshot, quantile=quantile, listed=listed)]
    }
    at = None if proposed is None else position(snapshot, proposed, listed=listed)
    return {
        "schema": "frontier/1",
        "listed": listed,
        "quantile": snapshot.quantile,
        "points": _points(found, _shown(found, points)),
        "total_points": len(found),
        "stopped_by": found.stopped_by,
        "assumed_latency": sorted({c.workload for c in found.cells if c.curve.assumed}),
        "bands": bands,
        "current": position(snapshot, current_groups(snapshot), listed=listed),
        "proposed": at,
        "gap": _gap(found, at),
    }


def current_groups(snapshot: Snapshot) -> dict[tuple[str, str], int]:
    """What runs now, by (pool, workload)."""
    return {(c.pool, c.workload): c.groups for c in snapshot.current}


def groups_at_peak(snapshot: Snapshot, steps: Sequence[Groups]) -> dict[tuple[str, str], int]:
    """Of a plan step by step, what runs of each workload when its region asks most for it.

    That is the moment by which the frontier judges, so both stand on the same axes.
    """
    region_of = {p.id: p.region for p in snapshot.pools}
    held: dict[tuple[str, str], int] = {}
    for pool, workload in sorted({key for groups in steps for key in groups}):
        asked = snapshot.demand.get(workload, {}).get(region_of[pool], ())
        units = [step.at(snapshot.quantile) for step in asked] or [0.0]
        if n := steps[units.index(max(units))].get((pool, workload), 0):
            held[pool, workload] = n
    return held


def position(snapshot: Snapshot, groups: Groups, *, listed: bool = False) -> dict[str, Any]:
    """Cost and latency of an allocation, on the axes of the frontier; None where not stable."""
    pools = {p.id: p for p in snapshot.pools}
    cells = cells_of(snapshot, stacks_of(snapshot), snapshot.quantile)
    names = {c.workload for c in cells}
    usd = sum(
        n * w.group_gpus[pools[p].gpu_type] * pools[p].usd_per_gpu_hour
        for w in snapshot.workloads
        if w.id in names
        for (p, name), n in groups.items()
        if name == w.id and p in pools and (listed or pools[p].paid_when_used)
    )
    held = [_held(snapshot, groups, cell) for cell in cells]
    return {
        "usd_per_hour": round(usd, 4),
        **_latency(cells, _ratios(cells, np.array([held]))[0].tolist()),
    }


def _held(snapshot: Snapshot, groups: Groups, cell: Cell) -> float:
    """Groups of a cell, those on other GPU types counted by what they serve."""
    workload = next(w for w in snapshot.workloads if w.id == cell.workload)
    return sum(
        groups.get((pool.id, cell.workload), 0)
        * workload.units_per_group.get(pool.gpu_type, 0.0)
        / cell.units
        for pool in snapshot.pools
        if pool.region == cell.region
    )


def _latency(cells: Sequence[Cell], ratios: Sequence[float]) -> dict[str, Any]:
    """Largest ratio over cells, and by model the largest p95 in ms."""
    by_model: dict[str, float] = {}
    for cell, ratio in zip(cells, ratios, strict=True):
        by_model[cell.model] = max(by_model.get(cell.model, 0.0), ratio * cell.slo_ms)
    worst = max(ratios, default=0.0)
    return {
        "latency_ratio": round(worst, 5) if isfinite(worst) else None,
        "by_model": {m: round(ms, 2) if isfinite(ms) else None for m, ms in by_model.items()},
    }


def _ratios(cells: Sequence[Cell], held: Floats | Ints) -> Floats:
    """p95 over objective by row of groups and cell; infinite where a cell has no group."""
    found = np.full(held.shape, np.inf)
    for i, cell in enumerate(cells):
        some = held[:, i] > 0
        groups = held[some, i]
        whole = np.maximum(1, np.rint(groups)).astype(np.int64)
        found[some, i] = cell.curve.at(whole, cell.demand / (groups * cell.units))
    return found


def _points(found: Frontier, places: Ints) -> list[dict[str, Any]]:
    held = [found.groups(int(place)) for place in places]
    if not held:
        return []
    ratios = _ratios(found.cells, np.array(held))
    return [
        _point(found, int(place), groups, row.tolist())
        for place, groups, row in zip(places, held, ratios, strict=True)
    ]


def _point(found: Frontier, point: int, groups: Ints, ratios: list[float]) -> dict[str, Any]:
    return {
        "usd_per_hour": round(float(found.usd_per_hour[point]), 4),
        **_latency(found.cells, ratios),
        "usd_per_ms": _usd_per_ms(found, point, ratios),
        "allocation": [
            {
                "region": cell.region,
                "workload": cell.workload,
                "gpu_type": cell.gpu_type,
                "groups": int(count),
            }
            for cell, count in zip(found.cells, groups, strict=True)
        ],
    }


def _usd_per_ms(found: Frontier, point: int, ratios: list[float]) -> float | None:
    """Extra USD per hour for each millisecond that the next point takes off the slowest cell."""
    if point + 1 >= len(found):
        return None
    slowest = found.cells[ratios.index(max(ratios))]
    saved_ms = float(found.ratio[point] - found.ratio[point + 1]) * slowest.slo_ms
    usd = float(found.usd_per_hour[point + 1] - found.usd_per_hour[point])
    return round(usd / saved_ms, 4) if saved_ms > 0 else None


def _thinned(found: Frontier, points: int) -> tuple[list[float], list[float]]:
    shown = _shown(found, points)
    return found.usd_per_hour[shown].tolist(), found.ratio[shown].tolist()


def _shown(found: Frontier, points: int) -> Ints:
    """At most `points` places, evenly chosen, both ends kept."""
    places = np.linspace(0, max(0, len(found) - 1), points).round().astype(np.int64)
    return np.asarray(np.unique(places)[: len(found)])


def _gap(found: Frontier, at: Mapping[str, Any] | None) -> float | None:
    """What the coupled plan costs an hour over the core's point of the same latency, relative."""
    if at is None or at["latency_ratio"] is None:
        return None
    reached = np.flatnonzero(found.ratio <= at["latency_ratio"] + 1e-6)
    if not len(reached) or found.usd_per_hour[reached[0]] <= 0:
        return None
    return round(float(at["usd_per_hour"]) / float(found.usd_per_hour[reached[0]]) - 1, 5)
