"""Demand histories of every workload in every cluster, as one matrix for the forecaster.

Inference demand is arrivals (requests/s) of the workload's model; a queue's demand is the GPUs
that its pods ask for, running and pending alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from infra_console.fleet.config import WorkloadConfig
from infra_console.telemetry.queries import read_range
from infra_console.telemetry.series import Array, Reading
from tiers.core.forecast.quantiles import STEP_S
from tiers.facts import FleetFacts

SeriesKey = tuple[str, str]  # (cluster, workload)


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """`matrix` (N, T) on the ten-minute grid `times` (T,), NaN where unknown; offsets (N,) hours.

    `missing` says why a series that should exist is not a row.
    """

    keys: tuple[SeriesKey, ...]
    matrix: Array
    times: Array
    utc_offset_h: Array
    missing: dict[SeriesKey, str]


def read_histories(facts: FleetFacts, *, now: datetime, days: float) -> Histories:
    """The last `days` of every series the metric sources know."""
    start, step_s = now - timedelta(days=days), float(STEP_S)
    arrivals = read_range("arrivals_rps", start=start, end=now, step_s=step_s, mean=True)
    asked = read_range("gpus_requested", start=start, end=now, step_s=step_s, mean=True)
    grid = next((r.series[0].times for r in (arrivals, asked) if r.series), np.zeros(0))
    keys: list[SeriesKey] = []
    rows: list[Array] = []
    missing: dict[SeriesKey, str] = {}
    for cluster, workload in _expected(facts):
        row = _row(facts, cluster, workload, arrivals, asked)
        if row is None or np.isnan(row).all():
            reading = arrivals if workload.unit == "requests/s" else asked
            missing[cluster, workload.id] = reading.error or "no series carries its name"
        else:
            keys.append((cluster, workload.id))
            rows.append(row)
    offsets = {r.id: r.utc_offset_hours for r in facts.config.regions}
    return Histories(
        keys=tuple(keys),
        matrix=np.vstack(rows) if rows else np.zeros((0, len(grid))),
        times=grid,
        utc_offset_h=np.array([offsets[facts.region_of[c]] for c, _ in keys]),
        missing=missing,
    )


def _expected(facts: FleetFacts) -> Iterator[tuple[str, WorkloadConfig]]:
    for cluster in facts.cluster_ids:
        for workload in facts.workloads.values():
            if facts.region_of[cluster] in workload.regions:
                yield cluster, workload


def _row(
    facts: FleetFacts, cluster: str, workload: WorkloadConfig, arrivals: Reading, asked: Reading
) -> Array | None:
    if workload.unit == "requests/s":
        found = arrivals.one(cluster=cluster, model_name=workload.model)
        return found.values if found else None
    phases = asked.select(cluster=cluster, namespace=workload.namespace)
    if not phases:
        return None
    # A phase without pods has no sample; only a moment without any phase is unknown.
    stack = np.vstack([s.values for s in phases])
    total: Array = np.nansum(stack, axis=0)
    total[np.isnan(stack).all(axis=0)] = np.nan
    return total
