"""The weeks before the twin's first start, as the recorded series a Prometheus would hold.

The same demand functions as the live twin; replicas after the past policy; latency, queues and
activity from operating points of the event simulation (steady states: see `operating`). Written as
OpenMetrics for `promtool tsdb create-blocks-from openmetrics`, one sample every five minutes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TextIO

import numpy as np
import numpy.typing as npt

from tiers.core.simulate.buckets import TTFT_EDGES_S
from tiers.twin.demand import Demand, operational_pods
from tiers.twin.exporters.text import labels
from tiers.twin.load_test import UNITS_PER_GROUP
from tiers.twin.noise import Floats, smooth_noise, stream
from tiers.twin.operating import OperatingCurve, operating_curve, quantile_of
from tiers.twin.past_training import past_training
from tiers.twin.policy import past_groups
from tiers.twin.profile import (
    GPUS_PER_NODE,
    INFERENCE_BY_ID,
    MODELS,
    OPERATIONAL,
    REGION_IDS,
    TIERS,
    nodes_of,
)

STEP_S = 300
WITHIN_EDGES = ("0.5", "1.0", "2.5")
TRAINING_ACTIVITY = 0.94


@dataclass(frozen=True)
class Series:
    """One recorded series: values `(n,)` at the history's times; NaN is no sample."""

    name: str
    labels: Mapping[str, str]
    values: Floats


def history_times(now_s: float, days: float) -> Floats:
    """Unix seconds, multiples of `STEP_S`, ending at or before now."""
    end = int(now_s) // STEP_S * STEP_S
    return np.arange(end - int(days * 86_400) + STEP_S, end + 1, STEP_S, dtype=np.float64)


def past_series(demand: Demand, *, seed: int, t_s: Floats, size: int = 1) -> Iterator[Series]:
    """Every recorded series of the twin at ascending Unix times `(n,)`, family by family."""
    curves = {model: operating_curve(model) for model in MODELS}
    by_name: dict[str, list[Series]] = {}
    for cluster in REGION_IDS:
        for series in _cluster(demand, curves, seed=seed, cluster=cluster, t_s=t_s, size=size):
            by_name.setdefault(series.name, []).append(series)
    for family in by_name.values():
        yield from family
    info = {"demand": demand.description, "source": "twin", "step": f"{STEP_S}s"}
    yield Series("twin_history_info", info, np.ones_like(t_s))


def _cluster(
    demand: Demand,
    curves: Mapping[str, OperatingCurve],
    *,
    seed: int,
    cluster: str,
    t_s: Floats,
    size: int,
) -> Iterator[Series]:
    groups = past_groups(demand, cluster, t_s, size)
    requested, active = np.zeros_like(t_s), np.zeros_like(t_s)
    for model, replicas in groups.items():
        rate = demand.rate_rps(cluster, model, t_s)
        load = rate / (replicas * UNITS_PER_GROUP[model])
        curve = curves[model]
        gpus = replicas * INFERENCE_BY_ID[model].gpus_per_group
        requested += gpus
        active += gpus * curve.read(curve.engine_active, load)
        rng = np.random.default_rng(stream(seed, "history", cluster, model) % 2**63)
        yield from _model(cluster, model, curve, rate=rate, load=load, replicas=replicas, rng=rng)
    training = _training(seed, cluster, t_s, size)
    operational = _operational(seed, cluster, t_s, size)
    tiers = {
        "inference": (requested, np.zeros_like(t_s), active),
        "training": training,
        "operational": operational,
    }
    yield from _gpus(cluster, tiers, size)
    yield from _nodes(cluster, t_s, size)


def _model(
    cluster: str,
    model: str,
    curve: OperatingCurve,
    *,
    rate: Floats,
    load: Floats,
    replicas: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> Iterator[Series]:
    """vLLM's recorded series of one model; counting noise as a five-minute count has it."""
    who = {"cluster": cluster, "model_name": model}
    counted = rng.poisson(rate * STEP_S)
    # A share of n requests scatters like a binomial; one more normal draw per window stands for it.
    wobble = rng.standard_normal(len(rate)) / np.sqrt(np.maximum(counted, 1))
    within = np.clip(curve.within_at(load * (1.0 + wobble)), 0.0, 1.0)
    within[counted == 0] = np.nan
    yield Series("cluster_model:vllm_arrivals:rate5m", who, counted / STEP_S)
    yield Series("cluster_model:vllm_ttft_seconds:p95_5m", who, quantile_of(within, 0.95))
    for edge in WITHIN_EDGES:
        column = within[:, TTFT_EDGES_S.index(float(edge))]
        yield Series("cluster_model_le:vllm_ttft_within:ratio_5m", {**who, "le": edge}, column)
    waiting = replicas * curve.read(curve.waiting_per_replica, load)
    running = replicas * curve.read(curve.running_per_replica, load)
    yield Series("cluster_model:vllm_requests_waiting:sum", who, np.rint(waiting))
    yield Series(
        "cluster_model:vllm_requests_running:sum", who, rng.poisson(running).astype(np.float64)
    )
    usage = curve.read(curve.kv_usage, load)
    yield Series("cluster_model:vllm_kv_cache_usage:avg", who, usage)


def _training(seed: int, cluster: str, t_s: Floats, size: int) -> tuple[Floats, Floats, Floats]:
    """GPUs running, pending and busy in training."""
    past = past_training(seed, cluster, t_s, size)
    running = past.running_nodes * GPUS_PER_NODE
    noise = smooth_noise(stream(seed, "gang", cluster), t_s, 1800.0)
    busy = running * np.clip(TRAINING_ACTIVITY + 0.01 * noise, 0.9, 0.98)
    return running, past.pending_nodes * GPUS_PER_NODE, busy


def _operational(seed: int, cluster: str, t_s: Floats, size: int) -> tuple[Floats, Floats, Floats]:
    """GPUs running, pending and busy in operational work; later workloads wait when it is full."""
    free = np.full_like(t_s, _tier_gpus(cluster, "operational", size))
    running, pending, busy = np.zeros_like(t_s), np.zeros_like(t_s), np.zeros_like(t_s)
    for workload in OPERATIONAL:
        pods = operational_pods(seed, cluster, workload.id, t_s, size)
        wanted = pods * workload.gpus_per_group
        runs = np.minimum(wanted, free)
        free -= runs
        running += runs
        pending += wanted - runs
        noise = smooth_noise(stream(seed, "pods-busy", cluster, workload.id), t_s, 1800.0)
        busy += runs * np.clip(workload.activity + 0.03 * noise, 0.05, 0.99)
    return running, pending, busy


def _gpus(
    cluster: str, tiers: Mapping[str, tuple[Floats, Floats, Floats]], size: int
) -> Iterator[Series]:
    """GPUs by namespace (the tiers' names; "" holds the idle ones) and what pods ask for."""
    gpus_in_all = GPUS_PER_NODE * sum(1 for _ in nodes_of(cluster, size))
    idle = np.full_like(tiers["inference"][0], gpus_in_all)
    for namespace, (running, pending, busy) in tiers.items():
        where = {"cluster": cluster, "namespace": namespace}
        idle -= running
        yield Series("cluster_namespace:dcgm_gr_engine_active:sum", where, busy)
        yield Series("cluster_namespace:dcgm_gpus:count", where, running)
        for phase, gpus in (("Running", running), ("Pending", pending)):
            name = "cluster_namespace_phase:gpus_requested:sum"
            yield Series(name, {**where, "phase": phase}, gpus)
    nobody = {"cluster": cluster, "namespace": ""}
    yield Series("cluster_namespace:dcgm_gr_engine_active:sum", nobody, np.zeros_like(idle))
    yield Series("cluster_namespace:dcgm_gpus:count", nobody, idle)


def _nodes(cluster: str, t_s: Floats, size: int) -> Iterator[Series]:
    nodes = float(sum(1 for _ in nodes_of(cluster, size)))
    for tier in TIERS:
        gpus = np.full_like(t_s, _tier_gpus(cluster, tier, size))
        who = {"cluster": cluster, "tier": tier}
        yield Series("cluster_tier:gpus_allocatable:sum", who, gpus)
    yield Series("cluster:nodes_ready:sum", {"cluster": cluster}, np.full_like(t_s, nodes))
    yield Series("cluster:nodes:count", {"cluster": cluster}, np.full_like(t_s, nodes))


def _tier_gpus(cluster: str, tier: str, size: int) -> float:
    return float(GPUS_PER_NODE * sum(node.tier == tier for node in nodes_of(cluster, size)))


def write_openmetrics(series: Iterator[Series], t_s: Floats, out: TextIO) -> int:
    """Write series as OpenMetrics, one at a time; returns the number of samples."""
    stamps = [str(int(t)) for t in t_s]
    samples, family = 0, ""
    for one in series:
        if one.name != family:
            family = one.name
            out.write(f"# TYPE {family} gauge\n")
        # A label with an empty value is the label's absence, and promtool refuses to see it.
        pairs = labels({name: value for name, value in one.labels.items() if value})
        head = f"{one.name}{{{pairs}}} "
        lines = [
            f"{head}{value:.6g} {stamp}\n"
            for value, stamp in zip(one.values.tolist(), stamps, strict=True)
            if value == value  # NaN is no sample  # noqa: PLR0124
        ]
        out.writelines(lines)
        samples += len(lines)
    out.write("# EOF\n")
    return samples
