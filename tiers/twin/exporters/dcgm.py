"""dcgm-exporter's gauges, one series per GPU, with the pod that holds it (none: empty labels)."""

from collections.abc import Callable

from tiers.twin.exporters.text import Row, document, family, labels
from tiers.twin.gpus import GpuReading
from tiers.twin.kube.resources import NODES
from tiers.twin.physics import ClusterPhysics, gpu_of

DRIVER_VERSION = "570.124.06"

Value = Callable[[GpuReading], float]

GAUGES: tuple[tuple[str, str, Value], ...] = (
    ("DCGM_FI_DEV_SM_CLOCK", "SM clock frequency (in MHz).", lambda g: g.sm_clock_mhz),
    ("DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C).", lambda g: g.temperature_c),
    ("DCGM_FI_DEV_POWER_USAGE", "Power draw (in W).", lambda g: round(g.power_w, 3)),
    ("DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %).", lambda g: round(100 * g.engine_active)),
    ("DCGM_FI_DEV_XID_ERRORS", "Value of the last XID error encountered.", lambda g: 0),
    ("DCGM_FI_DEV_FB_FREE", "Framebuffer memory free (in MiB).", lambda g: g.memory_free_mib),
    ("DCGM_FI_DEV_FB_USED", "Framebuffer memory used (in MiB).", lambda g: g.memory_used_mib),
    (
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
        "Ratio of time the graphics engine is active.",
        lambda g: round(g.engine_active, 6),
    ),
    (
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
        "Ratio of cycles the tensor (HMMA) pipe is active.",
        lambda g: round(g.tensor_active, 6),
    ),
    (
        "DCGM_FI_PROF_DRAM_ACTIVE",
        "Ratio of cycles the device memory interface is active sending or receiving data.",
        lambda g: round(g.dram_active, 6),
    ),
)


def render_dcgm(physics: ClusterPhysics) -> str:
    """Every GPU of every live node; a dead node's exporter is gone, and its series with it."""
    models = {
        node["metadata"]["name"]: gpu_of(node["metadata"].get("labels") or {}).model_name
        for node in physics.store.all(NODES)
    }
    gpus = [
        (_labels(node, models.get(node, ""), reading), reading)
        for node, readings in physics.readings.items()
        for reading in readings
    ]
    return document(
        family(name, "gauge", text, (_row(pairs, value(gpu)) for pairs, gpu in gpus))
        for name, text, value in GAUGES
    )


def _row(pairs: str, value: float) -> Row:
    return pairs, value


def _labels(node: str, model_name: str, gpu: GpuReading) -> str:
    pod = gpu.pod
    return labels(
        {
            "gpu": str(gpu.index),
            "UUID": gpu.uuid,
            "pci_bus_id": gpu.pci_bus_id,
            "device": f"nvidia{gpu.index}",
            "modelName": model_name,
            "Hostname": node,
            "DCGM_FI_DRIVER_VERSION": DRIVER_VERSION,
            "container": pod.container if pod else "",
            "namespace": pod.namespace if pod else "",
            "pod": pod.name if pod else "",
        }
    )
