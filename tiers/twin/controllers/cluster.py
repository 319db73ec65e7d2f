"""One round of everything that a cluster does by itself."""

from datetime import datetime, timedelta

import numpy as np

from tiers.twin.controllers import (
    capi,
    claims,
    dependents,
    deployment,
    events,
    gateway,
    gc,
    gitops,
    health,
    hpa,
    karpenter,
    keda,
    kubelet,
    kueue,
    leaderworkerset,
    leases,
    nodes,
    pdb,
    scheduler,
    statefulset,
    taint_eviction,
    training,
)
from tiers.twin.controllers.config import ControllerConfig
from tiers.twin.controllers.scaling import Metric
from tiers.twin.controllers.training import Arrivals
from tiers.twin.kube.store import ClusterStore


def tick(
    store: ClusterStore,
    now: datetime,
    rng: np.random.Generator,
    config: ControllerConfig,
    arrivals: Arrivals | None = None,
    metric: Metric = hpa.no_metric,
) -> None:
    """Run every controller once, in the order in which each sees what the one before did."""
    leases.tick(store, now, config)
    nodes.tick(store, now, config)
    taint_eviction.tick(store, now, config)
    health.tick(store, now)
    gitops.tick(store, now, config)
    kueue.tick(store, now)
    training.tick(store, now, config, arrivals)
    keda.tick(store, now, config, metric)
    hpa.tick(store, now, config, metric)
    deployment.tick(store, now, rng, config)
    leaderworkerset.tick(store, now)
    statefulset.tick(store, now, leaderworkerset.mark)
    dependents.tick(store, now)
    gc.tick(store, now)
    karpenter.tick(store, now, rng, config)
    capi.tick(store, now, rng, config)
    claims.tick(store, now)
    gateway.tick(store, now)
    scheduler.tick(store, now)
    kubelet.tick(store, now, config)
    pdb.tick(store, now)
    events.tick(store, now)


def warm_up(
    store: ClusterStore,
    now: datetime,
    rng: np.random.Generator,
    config: ControllerConfig,
    *,
    span_s: float = 600.0,
    step_s: float = 2.0,
) -> None:
    """Live through `span_s` (before the time factor) up to `now`, so that pods have loaded."""
    rounds = int(config.shortened(span_s) / step_s) + 8
    for left in range(rounds, -1, -1):
        tick(store, now - timedelta(seconds=left * step_s), rng, config)
