"""Gangs that must, or would rather, share one block: a node label such as an InfiniBand leaf's."""

from collections.abc import Mapping

from tiers.twin.controllers import amounts, fit
from tiers.twin.controllers.rooms import Room, rooms
from tiers.twin.kube.resources import Obj
from tiers.twin.kube.store import ClusterStore

REQUIRED_KEY = "kueue.x-k8s.io/podset-required-topology"
MANY = 10_000
PREFERRED_KEY = "kueue.x-k8s.io/podset-preferred-topology"


def required(pod: Obj) -> str:
    """The node label within one value of which the gang must run; empty when anywhere will do."""
    return str(_notes(pod).get(REQUIRED_KEY, ""))


def preferred(pod: Obj) -> str:
    return str(_notes(pod).get(PREFERRED_KEY, ""))


def _notes(pod: Obj) -> Mapping[str, str]:
    return pod["metadata"].get("annotations") or {}


def blocks(key: str, among: list[Room]) -> list[list[Room]]:
    """Rooms by their value of a label, the block with the fewest free GPUs first."""
    found: dict[str, list[Room]] = {}
    for room in among:
        if (value := room.label(key)) is not None:
            found.setdefault(value, []).append(room)
    return sorted(
        found.values(), key=lambda block: (sum(r.free_gpus for r in block), block[0].name)
    )


def places(pod: Obj, among: list[Room]) -> int:
    """How many such pods would find room, one after another."""
    asked = amounts.requested(pod)
    suiting = [room for room in among if not fit.obstacle(pod, room.node)]
    counts = (amounts.times(asked, room.free) for room in suiting)
    return sum(MANY if count is None else count for count in counts)


def shortage(store: ClusterStore, pod: Obj, count: int) -> str:
    """Why no single block takes the gang, in Kueue's words; empty when one does."""
    return shortage_among(rooms(store), pod, count) if required(pod) else ""


def shortage_among(among: list[Room], pod: Obj, count: int) -> str:
    key = required(pod)
    most = max((places(pod, block) for block in blocks(key, among)), default=0)
    if most >= count:
        return ""
    return f'topology "{key}" allows to fit only {most} out of {count} pod(s)'
