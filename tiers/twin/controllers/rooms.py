"""Nodes as the scheduler sees them in one pass: who is there, and how many GPUs are free.

GPUs are the extended resource, and devices where pods claim them (DRA); a pod needs room for both.
"""

from dataclasses import dataclass, field

from tiers.twin.controllers import claims, pods
from tiers.twin.kube.resources import NODES, PODS, RESOURCE_SLICES, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.profile import GPU_RESOURCE


@dataclass
class Room:
    """A node, its pods that still hold something, and its GPUs still free in this pass."""

    node: Obj
    free_gpus: int
    pods: list[Obj] = field(default_factory=list)
    free_devices: int = 0
    devices_of: dict[str, int] = field(default_factory=dict)
    """Devices that waiting pods want, by uid; one mapping for all rooms of a pass."""

    @property
    def name(self) -> str:
        return str(self.node["metadata"]["name"])

    def label(self, key: str) -> str | None:
        found = (self.node["metadata"].get("labels") or {}).get(key)
        return None if found is None else str(found)

    def has_room(self, pod: Obj) -> bool:
        return self.free_gpus >= pods.requested_gpus(pod) and self.free_devices >= self._devices(
            pod
        )

    def _devices(self, pod: Obj) -> int:
        return self.devices_of.get(pod["metadata"].get("uid", ""), 0)

    def take(self, pod: Obj) -> None:
        self.free_gpus -= pods.requested_gpus(pod)
        self.free_devices -= self._devices(pod)
        self.pods.append(pod)

    def give_back(self, pod: Obj) -> None:
        self.free_gpus += pods.requested_gpus(pod)
        self.free_devices += self._devices(pod)
        self.pods = [held for held in self.pods if held is not pod]


def rooms(store: ClusterStore) -> list[Room]:
    made = [_room(store, node) for node in store.all(NODES)]
    if not store.all(RESOURCE_SLICES):
        return made
    free = claims.free_devices(store)
    claiming = (p for p in store.all(PODS) if p["spec"].get("resourceClaims"))
    wanted = {pod["metadata"]["uid"]: claims.wanted_devices(store, pod) for pod in claiming}
    for room in made:
        room.free_devices, room.devices_of = len(free.get(room.name, ())), wanted
    return made


def _room(store: ClusterStore, node: Obj) -> Room:
    held = [pod for pod in store.pods_on(node["metadata"]["name"]) if not pods.is_over(pod)]
    gpus = int(node["status"].get("allocatable", {}).get(GPU_RESOURCE, 0))
    return Room(node, gpus - sum(pods.requested_gpus(pod) for pod in held), held)
