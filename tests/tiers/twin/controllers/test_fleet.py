"""Every cluster of the twin at first start."""

from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pytest

from tiers.twin.controllers.cluster import warm_up
from tiers.twin.controllers.config import ControllerConfig
from tiers.twin.controllers.pods import is_ready, requested_gpus
from tiers.twin.fleet import build_cluster
from tiers.twin.kube.resources import DEPLOYMENTS, NODES, PODS
from tiers.twin.kube.store import ClusterStore
from tiers.twin.profile import REGION_IDS

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest.fixture(scope="module", params=REGION_IDS)
def store(request) -> ClusterStore:
    rng = np.random.default_rng(5)
    made = build_cluster(request.param, NOW, rng)
    warm_up(made, NOW, rng, ControllerConfig())
    return made


def test_every_replica_is_ready_after_the_warm_up(store):
    for deployment in store.all(DEPLOYMENTS):
        asked = deployment["spec"]["replicas"]
        assert deployment["status"].get("readyReplicas", 0) == asked, deployment["metadata"]


def test_training_nodes_are_busy_and_a_queue_waits(store):
    pods = store.all(PODS, "training")
    assert any(is_ready(p) for p in pods)
    assert any(not p["spec"].get("nodeName") for p in pods)


def test_no_node_holds_more_than_its_gpus_or_another_tiers_pods(store):
    for node in store.all(NODES):
        tier = node["metadata"]["labels"]["infra-console.dev/tier"]
        held = store.pods_on(node["metadata"]["name"])
        assert sum(map(requested_gpus, held)) <= 8
        assert {p["metadata"]["namespace"] for p in held} <= {tier}


def test_the_fleet_has_its_stated_shape(store):
    tiers = Counter(n["metadata"]["labels"]["infra-console.dev/tier"] for n in store.all(NODES))
    assert tiers == {"inference": 5, "training": 6, "operational": 3}
