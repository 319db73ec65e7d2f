"""Starts a world: clusters built or brought back, controllers wired to seeds and arrivals."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from tiers.twin.controllers.cluster import tick, warm_up
from tiers.twin.controllers.config import ControllerConfig
from tiers.twin.demand import Demand, JobArrival, job_arrivals
from tiers.twin.files import TwinPaths, TwinSettings
from tiers.twin.fleet import build_cluster
from tiers.twin.kube.store import ClusterStore
from tiers.twin.noise import stream
from tiers.twin.pod_metrics import pod_metric
from tiers.twin.policy import past_groups
from tiers.twin.profile import REGION_IDS
from tiers.twin.world import World, load_world, resize, resize_operational


class Controllers:
    """The controllers of every cluster: one seeded generator and one job clock each."""

    def __init__(self, settings: TwinSettings, now_s: float) -> None:
        self._seed, self._size = settings.seed, settings.size
        self._config = ControllerConfig(time_factor=settings.time_factor)
        self._started_s = now_s
        self._looked_s: dict[str, float] = {}
        self._rngs: dict[str, np.random.Generator] = {}
        self.world: World | None = None
        """Where autoscalers read their metrics, once it is there."""

    def step(self, store: ClusterStore, now: datetime) -> None:
        """One turn of a cluster's controllers, with the jobs submitted since the last one."""
        cluster, now_s = store.cluster, now.timestamp()

        def arrivals(queued_nodes: int) -> Sequence[JobArrival]:
            after = self._looked_s.get(cluster, self._started_s)
            self._looked_s[cluster] = now_s
            return job_arrivals(self._seed, cluster, after, now_s, queued_nodes, self._size)

        def metric(namespace: str, workload: str, name: str) -> float | None:
            if self.world is None or self.world.unreachable(cluster):
                return None
            return pod_metric(self.world.physics[cluster], namespace, workload, name)

        tick(store, now, self._rng(cluster), self._config, arrivals, metric)

    def build(self, cluster: str, demand: Demand, now_s: float) -> ClusterStore:
        """A cluster at first start, sized as its past was, with its pods loaded."""
        now, rng = datetime.fromtimestamp(now_s, UTC), self._rng(cluster)
        store = build_cluster(cluster, now, rng, self._size)
        for model, groups in past_groups(demand, cluster, np.array([now_s]), self._size).items():
            resize(store, "inference", model, int(groups[0]))
        resize_operational(store, self._seed, now_s, self._size)
        warm_up(store, now, rng, self._config)
        return store

    def _rng(self, cluster: str) -> np.random.Generator:
        if cluster not in self._rngs:
            words = (stream(self._seed, "controllers", cluster) % 2**63, int(self._started_s))
            self._rngs[cluster] = np.random.default_rng(words)
        return self._rngs[cluster]


def start_world(
    paths: TwinPaths,
    settings: TwinSettings,
    demand: Demand,
    *,
    now_s: float,
    clusters: Sequence[str] = REGION_IDS,
) -> World:
    """The twin as it was kept, or as it is at its first start."""
    controllers = Controllers(settings, now_s)
    world = load_world(
        paths,
        settings,
        demand,
        build=lambda cluster: controllers.build(cluster, demand, now_s),
        step=controllers.step,
        now_s=now_s,
        clusters=clusters,
    )
    controllers.world = world
    return world
