"""Nodes as the scheduler sees them in one pass: who is there, and what is free.

Free are amounts of resources, and devices where pods claim them (DRA); a pod needs room for both.
"""

from dataclasses import dataclass, field

from tiers.twin.controllers import amounts, claims, pods
from tiers.twin.controllers.amounts import Amounts
from tiers.twin.kube.resources import NODES, PODS, RESOURCE_SLICES, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.profile import GPU_RESOURCE


@dataclass
class Room:
    """A node, its pods that still hold something, and what is still free in this pass."""

    node: Obj
    free: Amounts
    pods: list[Obj] = field(default_factory=list)
    devices_of: dict[str, Amounts] = field(default_factory=dict)
    """Devices that waiting pods claim, by uid; one mapping for all rooms of a pass."""

    @property
    def name(self) -> str:
        return str(self.node["metadata"]["name"])

    def label(self, key: str) -> str | None:
        found = (self.node["metadata"].get("labels") or {}).get(key)
        return None if found is None else str(found)

    @property
    def free_gpus(self) -> int:
        return self.free.get(GPU_RESOURCE, 0) // 1000

    def has_room(self, pod: Obj) -> bool:
        return not amounts.lacking(self._asked(pod), self.free)

    def lacks(self, pod: Obj) -> list[str]:
        """What there is too little of, in the scheduler's words."""
        return [_said(name) for name in amounts.lacking(self._asked(pod), self.free)]

    def left_by(self, pod: Obj) -> int:
        """What of the device it asks for stays free, GPUs where it asks for none."""
        asked = [name for name in self._asked(pod) if "/" in name]
        return self.free.get(asked[0] if asked else GPU_RESOURCE, 0)

    def take(self, pod: Obj) -> None:
        amounts.take(self.free, self._asked(pod))
        self.pods.append(pod)

    def give_back(self, pod: Obj) -> None:
        amounts.take(self.free, self._asked(pod), -1)
        self.pods = [held for held in self.pods if held is not pod]

    def _asked(self, pod: Obj) -> Amounts:
        claimed = self.devices_of.get(pod["metadata"].get("uid", ""))
        return amounts.requested(pod) | claimed if claimed else amounts.requested(pod)


def _said(name: str) -> str:
    if name == amounts.PODS:
        return "Too many pods"
    claimed = name.startswith(claims.DEVICES)
    return "cannot allocate all claims" if claimed else f"Insufficient {name}"


def rooms(store: ClusterStore) -> list[Room]:
    made = [_room(store, node) for node in store.all(NODES)]
    if not store.all(RESOURCE_SLICES):
        return made
    free = claims.free_devices(store)
    claiming = (p for p in store.all(PODS) if p["spec"].get("resourceClaims"))
    wanted = {pod["metadata"]["uid"]: claims.wanted_devices(store, pod) for pod in claiming}
    for room in made:
        room.free |= claims.by_driver(device.driver for device in free.get(room.name, ()))
        room.devices_of = wanted
    return made


def _room(store: ClusterStore, node: Obj) -> Room:
    held = [pod for pod in store.pods_on(node["metadata"]["name"]) if not pods.is_over(pod)]
    room = Room(node, amounts.allocatable(node), held)
    for pod in held:
        amounts.take(room.free, amounts.requested(pod))
    return room
