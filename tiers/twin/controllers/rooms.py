"""Nodes as the scheduler sees them in one pass: who is there, and how many GPUs are free."""

from dataclasses import dataclass, field

from tiers.twin.controllers import pods
from tiers.twin.kube.resources import NODES, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.profile import GPU_RESOURCE


@dataclass
class Room:
    """A node, its pods that still hold something, and its GPUs still free in this pass."""

    node: Obj
    free_gpus: int
    pods: list[Obj] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.node["metadata"]["name"])

    def label(self, key: str) -> str | None:
        found = (self.node["metadata"].get("labels") or {}).get(key)
        return None if found is None else str(found)

    def take(self, pod: Obj) -> None:
        self.free_gpus -= pods.requested_gpus(pod)
        self.pods.append(pod)

    def give_back(self, pod: Obj) -> None:
        self.free_gpus += pods.requested_gpus(pod)
        self.pods = [held for held in self.pods if held is not pod]


def rooms(store: ClusterStore) -> list[Room]:
    return [_room(store, node) for node in store.all(NODES)]


def _room(store: ClusterStore, node: Obj) -> Room:
    held = [pod for pod in store.pods_on(node["metadata"]["name"]) if not pods.is_over(pod)]
    gpus = int(node["status"].get("allocatable", {}).get(GPU_RESOURCE, 0))
    return Room(node, gpus - sum(pods.requested_gpus(pod) for pod in held), held)
