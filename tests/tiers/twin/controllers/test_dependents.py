"""What is deleted with its dependents, before them, or without them."""

from datetime import UTC, datetime

import pytest

from tests.tiers.twin.kube import objects
from tiers.twin.controllers import dependents
from tiers.twin.kube import verbs
from tiers.twin.kube.resources import CLUSTER_QUEUES, LEASES, LOCAL_QUEUES, NAMESPACES
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.verbs import Write

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def store() -> ClusterStore:
    """A queue that owns another and a lease."""
    made = ClusterStore("eastus")
    made.create(NAMESPACES, objects.namespace("a"), NOW)
    owner = made.create(CLUSTER_QUEUES, {"metadata": {"name": "all"}, "spec": {}}, NOW)
    reference = {"kind": "ClusterQueue", "name": "all", "uid": owner["metadata"]["uid"]}
    for kind in (LOCAL_QUEUES, LEASES):
        metadata = {"name": "one", "namespace": "a", "ownerReferences": [reference]}
        made.create(kind, {"metadata": metadata, "spec": {}}, NOW)
    return made


def delete(store: ClusterStore, policy: str) -> None:
    verbs.delete(Write(store, CLUSTER_QUEUES, "", "all", NOW), {"propagationPolicy": policy})


def test_in_the_foreground_dependents_go_first(store):
    delete(store, "Foreground")
    assert store.find(CLUSTER_QUEUES, "", "all") is not None
    for _ in range(3):
        dependents.tick(store, NOW)
    assert store.find(LEASES, "a", "one") is None
    assert store.find(CLUSTER_QUEUES, "", "all") is None


def test_orphans_stay_without_their_owner(store):
    delete(store, "Orphan")
    dependents.tick(store, NOW)
    assert store.find(CLUSTER_QUEUES, "", "all") is None
    assert "ownerReferences" not in store.get(LEASES, "a", "one")["metadata"]
