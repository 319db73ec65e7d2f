"""Which GPU of a node works for which pod, and what each GPU would report of itself."""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from tiers.twin.profile import GPUS_PER_NODE, GpuType
from tiers.twin.view import PodView

VLLM_MEMORY_SHARE = 0.9
IDLE_MEMORY_MIB = 4


@dataclass(frozen=True)
class Activity:
    """How a pod uses its GPUs, shares 0 to 1: any kernel, tensor cores, memory bus, memory held."""

    engine: float
    tensor: float
    memory_bus: float
    memory_held: float


IDLE = Activity(0.0, 0.0, 0.0, 0.0)
LOADING = Activity(0.1, 0.0, 0.05, 0.4)


@dataclass(frozen=True)
class GpuReading:
    """One GPU as its exporter would report it."""

    index: int
    uuid: str
    pci_bus_id: str
    pod: PodView | None
    engine_active: float
    tensor_active: float
    dram_active: float
    memory_used_mib: int
    memory_free_mib: int
    power_w: float
    temperature_c: int
    sm_clock_mhz: int


class GpuPlaces:
    """Device plug-in of a cluster: a pod keeps its GPUs from binding to its end."""

    def __init__(self) -> None:
        self._held: dict[str, list[str]] = {}

    def assign(self, node: str, pods: Iterable[PodView]) -> list[str]:
        """The pod uid on each GPU of a node ("" for none), keeping earlier places."""
        here = {pod.uid: pod for pod in pods if pod.gpus and pod.phase in ("Pending", "Running")}
        places = [uid if uid in here else "" for uid in self._held.get(node, [""] * GPUS_PER_NODE)]
        for uid, pod in sorted(here.items(), key=lambda item: (item[1].created_at, item[1].name)):
            for _ in range(pod.gpus - places.count(uid)):
                if "" not in places:
                    break
                places[places.index("")] = uid
        self._held[node] = places
        return places


def read_gpus(
    node: str,
    gpu: GpuType,
    places: list[str],
    pods: Mapping[str, PodView],
    activity: Mapping[str, Activity],
) -> list[GpuReading]:
    """What the exporter of one node reports, from the activity of the pods on it."""
    return [
        _reading(node, gpu, index, pods.get(uid), activity.get(uid, IDLE))
        for index, uid in enumerate(places)
    ]  # fmt: skip


def _reading(
    node: str, gpu: GpuType, index: int, pod: PodView | None, activity: Activity
) -> GpuReading:
    used = IDLE_MEMORY_MIB + int(activity.memory_held * gpu.memory_mib)
    # Power follows tensor work more than mere occupancy; an assumption, not a calibrated model.
    load = 0.45 * activity.engine + 0.3 * activity.memory_bus + 0.6 * activity.tensor
    power = gpu.idle_w + (gpu.max_w - gpu.idle_w) * min(1.0, load)
    return GpuReading(
        index=index,
        uuid=gpu_uuid(node, index),
        pci_bus_id=f"00000000:{0x19 + 0x10 * index:02X}:00.0",
        pod=pod,
        engine_active=activity.engine,
        tensor_active=activity.tensor,
        dram_active=activity.memory_bus,
        memory_used_mib=min(used, gpu.memory_mib),
        memory_free_mib=max(0, gpu.memory_mib - used),
        power_w=power,
        temperature_c=round(31 + 38 * power / gpu.max_w),
        sm_clock_mhz=gpu.sm_clock_mhz if activity.engine > 0 else 345,
    )


@cache
def gpu_uuid(node: str, index: int) -> str:
    """A UUID that is the GPU's own for ever."""
    words = [zlib.crc32(f"{node}/{index}/{part}".encode()) for part in range(4)]
    text = "".join(f"{word:08x}" for word in words)
    return f"GPU-{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
