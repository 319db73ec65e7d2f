"""dcgm-exporter: its default counters, one series per GPU or MIG instance with the pod on it.

Names, types and which are on by default: dcgm-exporter's `etc/default-counters.csv` (main,
2026-05-12). Labels and their order: its render template; `err_code` and `err_msg` stand on the XID
alone. What a GPU does not support is left out, as the exporter leaves it out: no NVLink and no
memory sensor on L40S; under MIG nothing that NVML counts for the whole GPU only (GPU_UTIL,
MEM_COPY_UTIL, encoder, decoder, PCIe, NVLink). Temperature, power and energy of a MIG instance are
those of its GPU.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from tiers.twin.exporters.text import head, labels
from tiers.twin.gpus import GpuReading
from tiers.twin.kube.resources import NODES
from tiers.twin.node_shapes import PRODUCT_KEY
from tiers.twin.physics import ClusterPhysics, gpu_of
from tiers.twin.view import PodView

DRIVER_VERSION = "570.124.06"
NOT_SUPPORTED = 9223372036854775794
"""DCGM's blank for a 64-bit integer; old exporters pass it on."""
XID_WORDS = {
    0: "No Error", 13: "Graphics Engine Exception", 31: "GPU memory page fault",
    43: "GPU stopped processing", 45: "Preemptive cleanup, due to previous errors",
    48: "Double Bit ECC Error", 63: "ECC page retirement or row remapping recording event",
    64: "ECC page retirement or row remapper recording failure", 74: "NVLINK Error",
    79: "GPU has fallen off the bus", 94: "Contained ECC error", 95: "Uncontained ECC error",
    119: "GSP RPC timeout", 120: "GSP error",
}  # fmt: skip

XID_FIELD = "DCGM_FI_DEV_XID_ERRORS"
_NVLINK_PRODUCTS = ("H100", "A100")


@dataclass(frozen=True)
class Field:
    """One DCGM field. `whole` is not reported per MIG instance, `linked` only with NVLink and HBM.

    `decimals` says how the exporter prints it: DCGM's doubles get six, its integers none.
    """

    name: str
    kind: str
    text: str
    source: str
    read: Callable[[GpuReading], float]
    decimals: bool = False
    whole: bool = False
    linked: bool = False


_ZERO = "constant 0"
FIELDS: tuple[Field, ...] = (
    Field("DCGM_FI_DEV_SM_CLOCK", "gauge", "SM clock (MHz).",
          "physics: full speed while kernels run", lambda g: g.sm_clock_mhz),
    Field("DCGM_FI_DEV_MEM_CLOCK", "gauge", "Memory clock (MHz).",
          "constant of the GPU type", lambda g: g.memory_clock_mhz),
    Field("DCGM_FI_DEV_MEMORY_TEMP", "gauge", "Memory temperature (C).",
          "physics: from power and DRAM activity", lambda g: g.memory_temperature_c, linked=True),
    Field("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (C).",
          "physics: from power", lambda g: g.temperature_c),
    Field("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (W).",
          "physics: from engine, DRAM and tensor activity", lambda g: g.power_w, decimals=True),
    Field("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter", "Energy used since boot (mJ).",
          "physics: power integrated since the twin started",
          lambda g: g.totals.energy_mj),
    Field("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "PCIe retries.", _ZERO, lambda g: 0,
          whole=True),
    Field("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (%).",
          "physics: engine activity in whole percent",
          lambda g: round(100 * g.engine_active), whole=True),
    Field("DCGM_FI_DEV_MEM_COPY_UTIL", "gauge", "Memory utilization (%).",
          "physics: DRAM activity in whole percent",
          lambda g: round(100 * g.dram_active), whole=True),
    Field("DCGM_FI_DEV_ENC_UTIL", "gauge", "Encoder utilization (%).", _ZERO, lambda g: 0,
          whole=True),
    Field("DCGM_FI_DEV_DEC_UTIL", "gauge", "Decoder utilization (%).", _ZERO, lambda g: 0,
          whole=True),
    Field("DCGM_FI_DEV_XID_ERRORS", "gauge", "Last XID error.",
          "0, or what `twin xid` has set; it sticks", lambda g: g.xid),
    Field("DCGM_FI_DEV_FB_FREE", "gauge", "Framebuffer memory free (MiB).",
          "physics: what the pod holds and the driver reserves, taken from the whole",
          lambda g: g.memory_free_mib),
    Field("DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (MiB).",
          "physics: what the pod on it holds", lambda g: g.memory_used_mib),
    Field("DCGM_FI_DEV_FB_RESERVED", "gauge", "Framebuffer memory reserved (MiB).",
          "approximated: a constant share", lambda g: g.memory_reserved_mib),
    Field("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "counter", "NVLink traffic of all lanes.",
          "approximated: bytes in proportion to tensor activity where a pod holds several GPUs",
          lambda g: g.totals.nvlink_bytes, whole=True, linked=True),
    Field("DCGM_FI_DEV_VGPU_LICENSE_STATUS", "gauge", "vGPU license status.", _ZERO,
          lambda g: 0),
    Field("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "counter",
          "Rows remapped for uncorrectable errors.", "1 once `twin xid` has set 63 or 64",
          lambda g: int(g.xid in {63, 64})),
    Field("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "counter",
          "Rows remapped for correctable errors.", _ZERO, lambda g: 0),
    Field("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "Whether a remapping failed.",
          "1 while `twin xid` has set 64", lambda g: int(g.xid == 64)),
    Field("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "gauge", "Share of time with any kernel running.",
          "physics: the simulation's busy time; of the instance under MIG",
          lambda g: g.engine_active, decimals=True),
    Field("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "gauge", "Share of cycles in the tensor pipe.",
          "physics: tokens' floating-point work over the peak",
          lambda g: g.tensor_active, decimals=True),
    Field("DCGM_FI_PROF_DRAM_ACTIVE", "gauge", "Share of cycles with memory traffic.",
          "physics: weights read per iteration over the bandwidth",
          lambda g: g.dram_active, decimals=True),
    Field("DCGM_FI_PROF_PCIE_TX_BYTES", "gauge", "PCIe bytes sent per second.",
          "approximated: in proportion to engine activity",
          lambda g: g.pcie_tx_bytes_per_s, whole=True),
    Field("DCGM_FI_PROF_PCIE_RX_BYTES", "gauge", "PCIe bytes received per second.",
          "approximated: in proportion to engine activity",
          lambda g: g.pcie_rx_bytes_per_s, whole=True),
)  # fmt: skip


@dataclass(frozen=True)
class _Series:
    """One set of labels and the reading behind it; `linked` as in `Field`."""

    pairs: str
    reading: GpuReading
    linked: bool


def render_dcgm(
    physics: ClusterPhysics, *, pod_uid: bool = False, every_sharer: bool = False
) -> str:
    """Every GPU of every live node; a dead node's exporter is gone, and its series with it.

    `pod_uid` adds that label, as newer versions do on request; `every_sharer` gives each pod that
    shares a GPU in time a series of its own (their virtual GPUs option), with its turn as `vgpu`.
    """
    series = list(_series(physics, pod_uid=pod_uid, every_sharer=every_sharer))
    blocks = ["\n".join(_lines(field, series)) for field in FIELDS] if series else []
    return "\n".join(block for block in blocks if block) + "\n" if blocks else ""


def _lines(field: Field, series: list[_Series]) -> Iterator[str]:
    name, read = field.name, field.read
    told = [s for s in series if _tells(field, s)]
    if not told:
        return
    yield from head(name, field.kind, field.text)
    if name == XID_FIELD:
        for one in told:
            yield f"{name}{{{one.pairs},{_xid_words(one.reading.xid)}}} {one.reading.xid}"
    elif field.decimals:
        for one in told:
            yield f"{name}{{{one.pairs}}} {read(one.reading):.6f}"
    else:
        for one in told:
            yield f"{name}{{{one.pairs}}} {int(read(one.reading))}"


def _tells(field: Field, series: _Series) -> bool:
    whole_only = field.whole and series.reading.profile
    return not whole_only and (series.linked or not field.linked)


def _xid_words(code: int) -> str:
    return labels({"err_code": str(code), "err_msg": XID_WORDS.get(code, "Unknown Error")})


def _series(physics: ClusterPhysics, *, pod_uid: bool, every_sharer: bool) -> Iterator[_Series]:
    found = {
        n["metadata"]["name"]: n["metadata"].get("labels") or {} for n in physics.store.all(NODES)
    }
    for node, readings in physics.readings.items():
        if PRODUCT_KEY not in found.get(node, {}):
            continue  # the node went away after the last tick
        gpu = gpu_of(found[node])
        for reading in readings:
            holders = [(-1, reading.pod)]
            if every_sharer and len(reading.sharers) > 1:
                holders = list(reading.sharers)
            for turn, pod in holders:
                pairs = _pairs(node, gpu.model_name, reading, pod, turn, pod_uid=pod_uid)
                yield _Series(pairs, reading, gpu.id in _NVLINK_PRODUCTS)


def _pairs(
    node: str, model: str, gpu: GpuReading, pod: PodView | None, turn: int, *, pod_uid: bool
) -> str:
    holder = (pod.container, pod.namespace, pod.name, pod.uid) if pod else ("", "", "", "")
    return _labels(
        (gpu.index, gpu.uuid, gpu.pci_bus_id, gpu.profile, gpu.instance_id),
        (node, model),
        holder if pod_uid else holder[:3],
        turn,
    )


@lru_cache(maxsize=65536)
def _labels(
    gpu: tuple[int, str, str, str, str], host: tuple[str, str], holder: tuple[str, ...], turn: int
) -> str:
    index, uuid, pci_bus_id, profile, instance = gpu
    pairs = {"gpu": str(index), "UUID": uuid, "pci_bus_id": pci_bus_id}
    pairs |= {"device": f"nvidia{index}", "modelName": host[1]}
    if profile:
        pairs |= {"GPU_I_PROFILE": profile, "GPU_I_ID": instance}
    pairs |= {"Hostname": host[0], "DCGM_FI_DRIVER_VERSION": DRIVER_VERSION}
    names = ("container", "namespace", "pod", "pod_uid")[: len(holder)]
    pairs |= dict(zip(names, holder, strict=True))
    return labels(pairs | {"vgpu": str(turn)} if turn >= 0 else pairs)
