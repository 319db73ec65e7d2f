"""The whole twin at a moment: clusters, their physics, and what was made to happen by hand.

`World` is synchronous and owns no socket or clock; `serve` ticks it and puts it on the network.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tiers.twin.controllers.nodes import fail_node, heal_node
from tiers.twin.demand import Demand, Surge, operational_pods
from tiers.twin.errors import NoSuchThing
from tiers.twin.files import TwinPaths, TwinSettings
from tiers.twin.keep import ByHand, load_by_hand, load_store, save_by_hand, save_store
from tiers.twin.kube.resources import DEPLOYMENTS, NODES
from tiers.twin.kube.store import ClusterStore
from tiers.twin.physics import ClusterPhysics
from tiers.twin.profile import MODELS, OPERATIONAL, REGION_IDS
from tiers.twin.routing import Rates, Routing
from tiers.twin.view import PodView

Step = Callable[[ClusterStore, datetime], None]
"""One turn of a cluster's controllers."""
# Owners of operational work change its size at most this often.
RESIZE_EVERY_S = 300.0


class World:
    """Every cluster of the twin; times are Unix seconds."""

    def __init__(
        self,
        stores: Mapping[str, ClusterStore],
        demand: Demand,
        settings: TwinSettings,
        *,
        step: Step,
        by_hand: ByHand,
        now_s: float,
    ) -> None:
        self.stores = dict(stores)
        self.settings = settings
        self.demand = demand
        self.by_hand = by_hand
        self.now_s = now_s
        self._step = step
        self._resized: dict[str, int] = {}
        self._saved: dict[str, int] = {}
        self._by_hand_saved: ByHand | None = None
        self.physics = {
            cluster: ClusterPhysics(
                store, demand, seed=settings.seed, now_s=now_s, size=settings.size
            )
            for cluster, store in stores.items()
        }
        self.routing = Routing(self.stores, demand, settings.seed, now_s)
        for cluster in stores:
            self.physics[cluster].sent = self.routing.sent[cluster]
            self.physics[cluster].xids = by_hand.exporters.xids_of(cluster)

    def tick(self, now_s: float) -> Iterator[str]:
        """Move every cluster to now, one at a time, so that a caller can breathe in between."""
        self.now_s = now_s
        surges = tuple(self.by_hand.surges)
        reached = self.routing.spread(now_s, surges, self.by_hand.dark_regions)
        for cluster, store in self.stores.items():
            dark = cluster in self.by_hand.dark_regions
            if not dark:
                self._resize_operational(store, now_s)
                self._step(store, datetime.fromtimestamp(now_s, UTC))
            self._serve(cluster, reached[cluster], dark=dark)
            yield cluster
        ended = [surge for surge in surges if surge.until_s <= now_s]
        if ended:
            self.by_hand.surges = [s for s in self.by_hand.surges if s not in ended]

    def _serve(self, cluster: str, reached: Rates, *, dark: bool) -> None:
        """One region's share of a tick, and whose requests came."""
        physics = self.physics[cluster]
        before = {model: served.offered for model, served in physics.models.items()}
        rates = {model: sum(by_origin.values()) for model, by_origin in reached.items()}
        physics.tick(self.now_s, dark=dark, reached=rates)
        for model, served in physics.models.items():
            came = served.offered - before[model]
            self.routing.count(cluster, model, came, reached.get(model, {}))

    def _resize_operational(self, store: ClusterStore, now_s: float) -> None:
        """The owners of operational Deployments size them by the hour, as an autoscaler would."""
        slot = int(now_s // RESIZE_EVERY_S)
        if self._resized.get(store.cluster) != slot:
            self._resized[store.cluster] = slot
            seed, size = self.settings.seed, self.settings.size
            resize_operational(store, seed, slot * RESIZE_EVERY_S, size)

    def unreachable(self, cluster: str) -> bool:
        """Whether a scrape of this cluster's exporters gets no answer now."""
        down = self.now_s < self.by_hand.exporters_down_until_s
        return down or cluster in self.by_hand.dark_regions

    # What is made to happen by hand

    def surge(
        self, *, region: str | None, model: str | None, factor: float, minutes: float
    ) -> Surge:
        """Multiply demand for a while. Raises NoSuchThing."""
        _check("region", region, self.stores)
        _check("model", model, MODELS)
        surge = Surge(region, model, factor, self.now_s, self.now_s + 60.0 * minutes)
        self.by_hand.surges = [*self.by_hand.surges, surge]
        return surge

    def fail_node(self, cluster: str, node: str) -> None:
        """A node dies: no heartbeat, no exporter, its pods do no work. Raises NoSuchThing."""
        store = self._store(cluster)
        names = [one["metadata"]["name"] for one in store.all(NODES)]
        _check("node", node, names)
        fail_node(store, node, datetime.fromtimestamp(self.now_s, UTC))
        self._saved.pop(cluster, None)

    def heal_node(self, cluster: str, node: str) -> None:
        """A failed node comes back. Raises NoSuchThing."""
        store = self._store(cluster)
        _check("failed node", node, store.failed_nodes)
        heal_node(store, node)
        self._saved.pop(cluster, None)

    def fail_region(self, region: str) -> None:
        """A region goes dark: no API, no exporters, nothing served. Raises NoSuchThing."""
        self._store(region)
        if region not in self.by_hand.dark_regions:
            self.by_hand.dark_regions = [*self.by_hand.dark_regions, region]

    def heal_region(self, region: str) -> None:
        """A dark region comes back with its pods. Raises NoSuchThing."""
        _check("dark region", region, self.by_hand.dark_regions)
        self.by_hand.dark_regions = [r for r in self.by_hand.dark_regions if r != region]

    def take_exporters_down(self, minutes: float) -> float:
        """No exporter answers for a while (0 ends it); returns when they will."""
        self.by_hand.exporters_down_until_s = self.now_s + 60.0 * minutes
        return self.by_hand.exporters_down_until_s

    def set_xid(self, cluster: str, node: str, gpu: int, code: int) -> None:
        """A GPU reports an XID error from now on; 0 ends it."""
        self.by_hand.exporters.set_xid(cluster, node, gpu, code)
        self.physics[cluster].xids = self.by_hand.exporters.xids_of(cluster)

    def reset_counters(self, cluster: str, exporter: str) -> None:
        """An exporter's counters begin again at zero; those of the API's objects have none."""
        if exporter == "dcgm":
            self.physics[cluster].reset_gpu_counters()
        elif exporter == "vllm":
            self.physics[cluster].reset_request_counters()

    def _store(self, cluster: str) -> ClusterStore:
        _check("cluster", cluster, self.stores)
        return self.stores[cluster]

    # Telling and keeping

    def status(self) -> dict[str, Any]:
        """Everything `twin status` prints, as JSON data."""
        return {
            "at": datetime.fromtimestamp(self.now_s, UTC).isoformat(),
            "time_factor": self.settings.time_factor,
            "demand": self.demand.description,
            "notes": list(self.demand.notes),
            "surges": [vars(surge) for surge in self.by_hand.surges],
            "dark_regions": list(self.by_hand.dark_regions),
            "exporters_down_until_s": self.by_hand.exporters_down_until_s,
            "exporters": asdict(self.by_hand.exporters),
            "clusters": {cluster: self._cluster_status(cluster) for cluster in self.stores},
        }

    def _cluster_status(self, cluster: str) -> dict[str, Any]:
        physics = self.physics[cluster]
        return {
            "failed_nodes": sorted(self.stores[cluster].failed_nodes),
            "pods": _count(physics.pods),
            "models": {
                model: {
                    "replicas": len(served.replicas),
                    "running": served.service.running,
                    "waiting": served.service.waiting,
                    "refused": served.service.refused,
                }
                for model, served in physics.models.items()
            },
        }

    def save(self, paths: TwinPaths) -> None:
        """Write what has changed since the last call."""
        for cluster, store in self.stores.items():
            if self._saved.get(cluster) != store.revision:
                self._saved[cluster] = store.revision
                save_store(paths, store)
        if self.by_hand != self._by_hand_saved:
            self._by_hand_saved = deepcopy(self.by_hand)
            save_by_hand(paths, self.by_hand)


def resize_operational(store: ClusterStore, seed: int, now_s: float, size: int = 1) -> None:
    """Give every operational Deployment the pods that its owners want at a Unix time."""
    for workload in OPERATIONAL:
        wanted = operational_pods(seed, store.cluster, workload.id, np.array([now_s]), size)
        resize(store, "operational", workload.id, int(wanted[0]))


def resize(store: ClusterStore, namespace: str, name: str, replicas: int) -> None:
    """Set a Deployment's replicas where there is one."""
    found = store.find(DEPLOYMENTS, namespace, name)
    if found is not None:
        store.put(DEPLOYMENTS, {**found, "spec": {**found["spec"], "replicas": replicas}})


def load_world(
    paths: TwinPaths,
    settings: TwinSettings,
    demand: Demand,
    *,
    build: Callable[[str], ClusterStore],
    step: Step,
    now_s: float,
    clusters: Sequence[str] = REGION_IDS,
) -> World:
    """The world as it was kept; clusters that were never kept are built."""
    stores = {cluster: load_store(paths, cluster) or build(cluster) for cluster in clusters}
    by_hand = load_by_hand(paths)
    return World(stores, demand, settings, step=step, by_hand=by_hand, now_s=now_s)


def _count(pods: list[PodView]) -> dict[str, dict[str, int]]:
    """Pods by namespace and phase."""
    counts: dict[str, dict[str, int]] = {}
    for pod in pods:
        phases = counts.setdefault(pod.namespace, {})
        phases[pod.phase] = phases.get(pod.phase, 0) + 1
    return counts


def _check(kind: str, name: str | None, known: Any) -> None:
    if name is not None and name not in known:
        raise NoSuchThing(kind, name, known)
