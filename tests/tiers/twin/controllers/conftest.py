"""A small cluster whose controllers are stepped by hand."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.tiers.twin.kube import objects
from tiers.twin.controllers.cluster import tick
from tiers.twin.controllers.config import ControllerConfig
from tiers.twin.controllers.hpa import no_metric
from tiers.twin.kube import eviction
from tiers.twin.kube.resources import DEPLOYMENTS, NAMESPACES, NODES, PDBS, PODS, Obj, Resource
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.validate import with_defaults
from tiers.twin.kube.verbs import Write


@dataclass
class World:
    """A store with its own clock; nodes and Deployments are added by the tests."""

    store: ClusterStore = field(default_factory=lambda: ClusterStore("eastus"))
    now: datetime = datetime(2026, 11, 24, 8, tzinfo=UTC)
    config: ControllerConfig = field(default_factory=ControllerConfig)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))

    def add_node(self, name: str, tier: str = "inference", gpus: int = 8) -> None:
        self.store.create(NODES, objects.node(name, tier=tier, gpus=gpus), self.now)

    def deploy(self, replicas: int, gpus: int = 1, *, budget: bool = False) -> None:
        self.add(DEPLOYMENTS, objects.deployment(replicas=replicas, gpus=gpus))
        if budget:
            self.add(PDBS, objects.budget())

    def workload(self, replicas: int, gpus: int = 1) -> Obj:
        """The body of anything with replicas, a selector and a pod template, named `chat`."""
        return objects.deployment(replicas=replicas, gpus=gpus)

    def add(self, resource: Resource, obj: Obj, namespace: str = "inference") -> Obj:
        if resource.namespaced:
            obj["metadata"]["namespace"] = namespace
        return self.store.create(resource, with_defaults(resource, obj), self.now)

    def scale(self, replicas: int, resource: Resource = DEPLOYMENTS) -> None:
        held = self.store.get(resource, "inference", "chat")
        self.store.put(resource, {**held, "spec": {**held["spec"], "replicas": replicas}})

    def change_node(self, name: str, **spec) -> None:
        held = self.store.get(NODES, "", name)
        self.store.put(NODES, {**held, "spec": {**held["spec"], **spec}})

    def note(self, pod: Obj, **annotations: str) -> None:
        metadata = {**pod["metadata"], "annotations": annotations}
        self.store.put(PODS, {**pod, "metadata": metadata})

    def live(self, seconds: float, arrivals=None, metric=no_metric) -> None:
        for _ in range(int(seconds / 2)):
            self.now += timedelta(seconds=2)
            tick(self.store, self.now, self.rng, self.config, arrivals, metric)

    def evict(self, pod: Obj) -> None:
        meta = pod["metadata"]
        write = Write(self.store, PODS, meta["namespace"], meta["name"], self.now)
        eviction.evict(write, objects.eviction(meta["name"]))

    def pods(self, namespace: str = "inference") -> list[Obj]:
        return self.store.all(PODS, namespace)

    def nodes_used(self, namespace: str = "inference") -> set[str]:
        return {p["spec"].get("nodeName", "") for p in self.pods(namespace)}


@pytest.fixture
def world() -> World:
    made = World()
    for name in ("inference", "training"):
        made.store.create(NAMESPACES, {"metadata": {"name": name}}, made.now)
    return made
