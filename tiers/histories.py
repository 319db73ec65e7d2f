"""Demand histories of every workload in every cluster, as one matrix for the forecaster.

Inference demand is arrivals (requests/s) of the workload's model, and what its gateway refused
where one counts that; a queue's demand is the GPUs
that the pods of its namespaces ask for, running and pending alike. A namespace without such pods
has no series: it asks for 0 where kube-state-metrics answers for its cluster, and is unknown
elsewhere.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from infra_console.fleet.config import WorkloadConfig
from infra_console.telemetry.queries import read_range
from infra_console.telemetry.series import Array, Reading, Series
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

    def read(name: str) -> Reading:
        return read_range(
            name, start=now - timedelta(days=days), end=now, step_s=float(STEP_S), mean=True
        )

    arrivals, asked, nodes = read("arrivals_rps"), read("gpus_requested"), read("nodes_total")
    refused = read("refused_rps")
    grid = next((r.series[0].times for r in (arrivals, asked, nodes) if r.series), np.zeros(0))
    keys: list[SeriesKey] = []
    rows: list[Array] = []
    missing: dict[SeriesKey, str] = {}
    for cluster, workload in _expected(facts):
        row = _row(facts, cluster, workload, arrivals, refused, asked, nodes)
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
    facts: FleetFacts,
    cluster: str,
    workload: WorkloadConfig,
    arrivals: Reading,
    refused: Reading,
    asked: Reading,
    nodes: Reading,
) -> Array | None:
    if workload.unit == "requests/s":
        found = arrivals.one(cluster=cluster, model_name=workload.model)
        more = refused.one(cluster=cluster, model_name=workload.model)
        if found is None or more is None:
            return found.values if found else None
        return found.values + np.nan_to_num(more.values)
    namespaces = facts.asking_namespaces(workload)
    parts = [s for s in asked.select(cluster=cluster) if s.labels.get("namespace") in namespaces]
    return total_where_answered(parts, nodes.select(cluster=cluster))


def total_where_answered(parts: Iterable[Series], witnesses: Iterable[Series]) -> Array | None:
    """The sum of one cluster's series (T,), of which some may be missing or begin late.

    Where any part or witness has a sample the exporter answers, and a missing part is 0; elsewhere
    the sum is unknown, NaN. None when there is no series at all.
    """
    summed = [s.values for s in parts]
    answers = [*summed, *(s.values for s in witnesses)]
    if not answers:
        return None
    total: Array = np.nansum(summed, axis=0) if summed else np.zeros(len(answers[0]))
    total[np.isnan(answers).all(axis=0)] = np.nan
    return total
