"""One round of everything that a cluster does by itself."""

from datetime import datetime, timedelta

import numpy as np

from tiers.twin.controllers import (
    dependents,
    deployment,
    gc,
    kubelet,
    nodes,
    pdb,
    scheduler,
    training,
)
from tiers.twin.controllers.config import ControllerConfig
from tiers.twin.controllers.training import Arrivals
from tiers.twin.kube.store import ClusterStore


def tick(
    store: ClusterStore,
    now: datetime,
    rng: np.random.Generator,
    config: ControllerConfig,
    arrivals: Arrivals | None = None,
) -> None:
    """Run every controller once, in the order in which each sees what the one before did."""
    nodes.tick(store, now, config)
    training.tick(store, now, config, arrivals)
    deployment.tick(store, now, rng, config)
    dependents.tick(store, now)
    gc.tick(store, now)
    scheduler.tick(store, now)
    kubelet.tick(store, now, config)
    pdb.tick(store, now)


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
