"""Which device of a node works for which pod, and what each GPU would report of itself."""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from tiers.twin.node_shapes import Shape, Slot
from tiers.twin.profile import GPUS_PER_NODE, GpuType
from tiers.twin.view import PodView

VLLM_MEMORY_SHARE = 0.9
IDLE_MEMORY_MIB = 4
# Assumed traffic, bytes a second: a GPU that computes all the time feeds and reads the host so much
# over PCIe, and exchanges so much with its neighbours over NVLink when a pod holds several GPUs.
PCIE_RX_BYTES_PER_S, PCIE_TX_BYTES_PER_S = 1.2e9, 0.6e9
NVLINK_BYTES_PER_S = 40e9
# The driver keeps this share of the memory for itself; it counts neither as used nor as free.
RESERVED_SHARE = 0.006


@dataclass(frozen=True)
class Activity:
    """How a pod uses its GPUs, shares 0 to 1: any kernel, tensor cores, memory bus, memory held."""

    engine: float
    tensor: float
    memory_bus: float
    memory_held: float


IDLE = Activity(0.0, 0.0, 0.0, 0.0)
LOADING = Activity(0.1, 0.0, 0.05, 0.4)


@dataclass
class GpuTotals:
    """What a GPU has counted since it was started: millijoules and NVLink bytes."""

    energy_mj: float = 0.0
    nvlink_bytes: float = 0.0


@dataclass(frozen=True)
class GpuReading:
    """One GPU, or one MIG instance of it, as its exporter would report it.

    `profile` and `instance_id` are empty for a whole GPU; `sharers` are the pods that take turns
    on it, in order of their turns.
    """

    index: int
    uuid: str
    pci_bus_id: str
    pod: PodView | None
    engine_active: float
    tensor_active: float
    dram_active: float
    memory_used_mib: int
    memory_free_mib: int
    memory_reserved_mib: int
    power_w: float
    temperature_c: int
    memory_temperature_c: int
    sm_clock_mhz: int
    memory_clock_mhz: int
    pcie_tx_bytes_per_s: float
    pcie_rx_bytes_per_s: float
    totals: GpuTotals
    xid: int = 0
    profile: str = ""
    instance_id: str = ""
    sharers: tuple[tuple[int, PodView], ...] = ()


class GpuPlaces:
    """Device plug-in of a cluster: a pod keeps its devices from binding to its end."""

    def __init__(self) -> None:
        self._held: dict[str, list[str]] = {}

    def assign(self, node: str, shape: Shape, pods: Iterable[PodView]) -> list[str]:
        """The pod uid on each slot of a node ("" for none), keeping earlier places."""
        here = {pod.uid: pod for pod in pods if pod.devices and pod.phase in ("Pending", "Running")}
        held = self._held.get(node, [])
        if len(held) != len(shape.slots):
            held = [""] * len(shape.slots)
        places = [uid if uid in here else "" for uid in held]
        for uid, pod in sorted(here.items(), key=lambda item: (item[1].created_at, item[1].name)):
            if places.count(uid) < sum(pod.devices.values()):
                _seat(pod, shape, places)
        self._held[node] = places
        return places


def _seat(pod: PodView, shape: Shape, places: list[str]) -> None:
    """Give a pod what it still lacks of each resource, as far as slots are free."""
    for resource, count in pod.devices.items():
        fitting = [n for n, slot in enumerate(shape.slots) if slot.resource == resource]
        lacking = count - sum(places[n] == pod.uid for n in fitting)
        for n in [n for n in fitting if not places[n]][: max(0, lacking)]:
            places[n] = pod.uid


@dataclass(frozen=True)
class NodeGpus:
    """The GPUs of one node: their kind and shape, who sits where, what they counted and broke."""

    node: str
    gpu: GpuType
    shape: Shape
    places: list[str]
    totals: Mapping[int, GpuTotals]
    xids: Mapping[int, int] = field(default_factory=dict)


def read_gpus(
    node: NodeGpus,
    pods: Mapping[str, PodView],
    activity: Mapping[str, Activity],
    *,
    elapsed_s: float,
) -> list[GpuReading]:
    """What the exporter of one node reports, from the activity of the pods on it."""
    on_gpu: list[list[tuple[Slot, str]]] = [[] for _ in range(GPUS_PER_NODE)]
    for slot, uid in zip(node.shape.slots, node.places, strict=True):
        on_gpu[slot.gpu].append((slot, uid))
    readings: list[GpuReading] = []
    for index, seats in enumerate(on_gpu):
        whole = _whole(node, seats, activity)
        device = _Device(node, index, whole)
        device.count(elapsed_s, several=_spans_gpus(seats, pods))
        if node.shape.mig:
            readings += [
                device.read(activity.get(uid, IDLE), pods.get(uid), slot) for slot, uid in seats
            ]
        else:
            sharers = tuple((slot.turn, pods[uid]) for slot, uid in seats if uid in pods)
            # The exporter's map from GPU to pod holds one pod: the last one that it saw.
            pod = sharers[-1][1] if sharers else None
            readings.append(device.read(whole, pod, sharers=sharers))
    return readings


def _whole(
    node: NodeGpus, seats: list[tuple[Slot, str]], activity: Mapping[str, Activity]
) -> Activity:
    """The activity of a whole GPU from those of its seats."""
    found = [(slot, activity[uid]) for slot, uid in seats if uid in activity]
    if node.shape.mig:
        parts = [
            (s.profile.compute_share, s.profile.memory_share, a) for s, a in found if s.profile
        ]
    else:
        parts = [(1.0, 1.0 / node.shape.replicas, a) for _, a in found]
    return Activity(
        min(1.0, sum(compute * a.engine for compute, _, a in parts)),
        min(1.0, sum(compute * a.tensor for compute, _, a in parts)),
        min(1.0, sum(compute * a.memory_bus for compute, _, a in parts)),
        min(1.0, sum(memory * a.memory_held for _, memory, a in parts)),
    )


def _spans_gpus(seats: list[tuple[Slot, str]], pods: Mapping[str, PodView]) -> bool:
    return any(uid in pods and pods[uid].gpus > 1 for _, uid in seats)


class _Device:
    """One physical GPU in one tick."""

    def __init__(self, node: NodeGpus, index: int, whole: Activity) -> None:
        gpu = node.gpu
        # Power follows tensor work more than mere occupancy; assumed, not a calibrated model.
        load = 0.45 * whole.engine + 0.3 * whole.memory_bus + 0.6 * whole.tensor
        self.power_w = gpu.idle_w + (gpu.max_w - gpu.idle_w) * min(1.0, load)
        self._node, self._index, self._whole = node, index, whole
        self._totals = node.totals[index]

    def count(self, elapsed_s: float, *, several: bool) -> None:
        """Add up what the GPU's own counters count."""
        self._totals.energy_mj += 1000.0 * self.power_w * elapsed_s
        if several:
            self._totals.nvlink_bytes += NVLINK_BYTES_PER_S * self._whole.tensor * elapsed_s

    def read(
        self,
        activity: Activity,
        pod: PodView | None,
        slot: Slot | None = None,
        *,
        sharers: tuple[tuple[int, PodView], ...] = (),
    ) -> GpuReading:
        """The reading of the whole GPU, or of the MIG instance at a slot."""
        node, index, gpu = self._node, self._index, self._node.gpu
        profile = slot.profile if slot else None
        memory_mib = int(gpu.memory_mib * (profile.memory_share if profile else 1.0))
        reserved = int(memory_mib * RESERVED_SHARE)
        used = IDLE_MEMORY_MIB + int(activity.memory_held * memory_mib)
        heat = self.power_w / gpu.max_w
        works = self._whole.engine > 0
        return GpuReading(
            index=index,
            uuid=gpu_uuid(node.node, index),
            pci_bus_id=f"00000000:{0x19 + 0x10 * index:02X}:00.0",
            pod=pod,
            engine_active=activity.engine,
            tensor_active=activity.tensor,
            dram_active=activity.memory_bus,
            memory_used_mib=min(used, memory_mib - reserved),
            memory_free_mib=max(0, memory_mib - reserved - used),
            memory_reserved_mib=reserved,
            power_w=self.power_w,
            temperature_c=round(31 + 38 * heat),
            memory_temperature_c=round(33 + 40 * heat + 12 * self._whole.memory_bus),
            sm_clock_mhz=gpu.sm_clock_mhz if works else 345,
            memory_clock_mhz=gpu.memory_clock_mhz,
            pcie_tx_bytes_per_s=PCIE_TX_BYTES_PER_S * self._whole.engine,
            pcie_rx_bytes_per_s=PCIE_RX_BYTES_PER_S * self._whole.engine,
            totals=self._totals,
            xid=node.xids.get(index, 0),
            profile=profile.name if profile else "",
            instance_id=str(slot.instance) if slot and profile else "",
            sharers=sharers,
        )


@cache
def gpu_uuid(node: str, index: int) -> str:
    """A UUID that is the GPU's own for ever."""
    words = [zlib.crc32(f"{node}/{index}/{part}".encode()) for part in range(4)]
    text = "".join(f"{word:08x}" for word in words)
    return f"GPU-{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
