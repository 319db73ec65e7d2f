"""The physics of one cluster: what its pods do to requests and GPUs between two ticks.

Latency, queues and tokens come out of the event simulation alone (`replicas`). Training and
operational pods have no such model: a running gang keeps its GPUs at 90-98 %, an operational pod at
its workload's own share, both with slow noise; a pod that loads, at 10 %.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from tiers.twin.demand import Demand, Surge, surge_factor
from tiers.twin.gpus import (
    IDLE,
    LOADING,
    VLLM_MEMORY_SHARE,
    Activity,
    GpuPlaces,
    GpuReading,
    GpuTotals,
    NodeGpus,
    read_gpus,
)
from tiers.twin.kube.resources import NODES, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.node_shapes import PRODUCT_KEY, shape_of, whole_product
from tiers.twin.noise import smooth_noise, stream
from tiers.twin.profile import GPU_TYPES, GPUS_PER_NODE, INFERENCE, OPERATIONAL_BY_ID, GpuType
from tiers.twin.replicas import ServedModelReplicas
from tiers.twin.serving_units import NAMESPACE as INFERENCE_NAMESPACE
from tiers.twin.serving_units import serving_units
from tiers.twin.view import PodView, read_pods

TRAINING_NOISE_S = 300.0
WAITING = Activity(0.0, 0.0, 0.0, VLLM_MEMORY_SHARE)
_GPU_BY_PRODUCT = {gpu.product: gpu for gpu in GPU_TYPES.values()}


class ClusterPhysics:
    """One cluster at work; `tick` moves it to now, the attributes say how things stand."""

    def __init__(
        self, store: ClusterStore, demand: Demand, *, seed: int, now_s: float, size: int = 1
    ) -> None:
        self.cluster = store.cluster
        self.store = store
        self.demand = demand
        self.seed = seed
        self.now_s = now_s
        self.pods: list[PodView] = []
        self.readings: dict[str, list[GpuReading]] = {}
        self.sent: Mapping[tuple[str, str, str], int] = {}
        """Requests that this region's gateway sent, by model, region and answer."""
        self.xids: dict[str, dict[int, int]] = {}
        """The last XID error by node and GPU; it stays until somebody clears it."""
        self._totals: dict[str, dict[int, GpuTotals]] = {}
        self._places = GpuPlaces()
        self.models = {
            workload.id: ServedModelReplicas(
                model=workload.id,
                rng=np.random.default_rng(
                    (stream(seed, "requests", store.cluster, workload.id) % 2**63, int(now_s))
                ),
                started_s=now_s,
                size=size,
            )
            for workload in INFERENCE
            if store.cluster in workload.regions
        }

    def tick(
        self,
        now_s: float,
        surges: tuple[Surge, ...] = (),
        *,
        dark: bool = False,
        reached: Mapping[str, float] | None = None,
    ) -> None:
        """Run to a Unix time. `dark` is a region without power: nothing serves, nothing reports.

        Args:
            reached: requests/s that reach each model; the region's own users where it is None.
        """
        self.pods = read_pods(self.store)
        alive = [] if dark else [pod for pod in self.pods if self._node_lives(pod.node)]
        units = serving_units(alive)
        for model, served in self.models.items():
            if reached is None:
                rate = float(self.demand.rate_rps(self.cluster, model, np.array([now_s]))[0])
                rate *= surge_factor(surges, self.cluster, model, now_s)
            else:
                rate = reached.get(model, 0.0)
            served.tick(now_s, rate, units.get(model, ()))
        elapsed_s, self.now_s = now_s - self.now_s, now_s
        self.readings = self._read_gpus(alive, elapsed_s=elapsed_s, dark=dark)

    def reset_gpu_counters(self) -> None:
        """The GPUs' own counters begin again, as after a reload of the driver."""
        self._totals.clear()

    def reset_request_counters(self) -> None:
        """The servers' counters begin again, as if every process had been restarted."""
        for served in self.models.values():
            served.reset_counters()

    def _node_lives(self, node: str) -> bool:
        return bool(node) and node not in self.store.failed_nodes

    def _read_gpus(
        self, pods: list[PodView], *, elapsed_s: float, dark: bool
    ) -> dict[str, list[GpuReading]]:
        """Readings by node; a dead node has none, and none has a node without GPUs."""
        if dark:
            return {}
        by_node: dict[str, list[PodView]] = {}
        for pod in pods:
            by_node.setdefault(pod.node, []).append(pod)
        by_uid = {pod.uid: pod for pod in pods}
        activity = self._activity(pods)
        readings = {}
        for node in self.store.all(NODES):
            name = node["metadata"]["name"]
            if self._node_lives(name) and PRODUCT_KEY in (node["metadata"].get("labels") or {}):
                gpus = self._node_gpus(node, by_node.get(name, ()))
                readings[name] = read_gpus(gpus, by_uid, activity, elapsed_s=elapsed_s)
        return readings

    def _node_gpus(self, node: Obj, pods: Iterable[PodView]) -> NodeGpus:
        name, labels = node["metadata"]["name"], node["metadata"].get("labels") or {}
        shape = shape_of(labels)
        if name not in self._totals:
            self._totals[name] = {index: GpuTotals() for index in range(GPUS_PER_NODE)}
        return NodeGpus(
            node=name,
            gpu=gpu_of(labels),
            shape=shape,
            places=self._places.assign(name, shape, pods),
            totals=self._totals[name],
            xids=self.xids.get(name, {}),
        )

    def _activity(self, pods: list[PodView]) -> dict[str, Activity]:
        replicas = {
            pod.uid: replica for served in self.models.values()
            for replica in served.replicas.values() for pod in replica.unit.pods
        }  # fmt: skip
        whole = _whole_gangs(self.pods, {pod.uid for pod in pods})
        found = {}
        for pod in pods:
            if pod.uid in replicas:
                r = replicas[pod.uid]
                found[pod.uid] = Activity(r.busy, r.tensor, r.memory, VLLM_MEMORY_SHARE)
            elif not pod.ready:
                found[pod.uid] = IDLE if pod.phase in ("Succeeded", "Failed") else LOADING
            elif pod.namespace == INFERENCE_NAMESPACE and pod.workload in self.models:
                found[pod.uid] = WAITING  # for the rest of its group, or for a place at the router
            elif pod.job:
                found[pod.uid] = self._training(pod) if pod.job in whole else LOADING
            else:
                found[pod.uid] = self._operational(pod)
        return found

    def _training(self, pod: PodView) -> Activity:
        engine = float(np.clip(0.94 + 0.02 * self._noise("gang", pod.job), 0.9, 0.98))
        return Activity(engine, 0.55 * engine, 0.6 * engine, 0.86)

    def _operational(self, pod: PodView) -> Activity:
        share = next(
            (w.activity for w in OPERATIONAL_BY_ID.values() if pod.name.startswith(f"{w.id}-")), 0.5
        )
        engine = float(np.clip(share + 0.06 * self._noise("pod", pod.uid), 0.05, 0.99))
        return Activity(engine, 0.4 * engine, 0.35 * engine, 0.55)

    def _noise(self, *words: str) -> float:
        curve = stream(self.seed, *words)
        return float(smooth_noise(curve, np.array([self.now_s]), TRAINING_NOISE_S)[0])


def _whole_gangs(pods: list[PodView], alive: set[str]) -> set[str]:
    """Jobs whose pods all run on live nodes and are ready: a gang computes together or waits."""
    members = [pod for pod in pods if pod.job and pod.phase != "Succeeded"]
    broken = {pod.job for pod in members if pod.uid not in alive or not pod.ready}
    return {pod.job for pod in members} - broken


def gpu_of(labels: Mapping[str, str]) -> GpuType:
    """The GPU type that a node's product label names.

    Raises:
        KeyError: the twin has no node of that product.
    """
    return _GPU_BY_PRODUCT[whole_product(labels[PRODUCT_KEY])]
