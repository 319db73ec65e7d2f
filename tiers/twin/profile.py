"""The twin's fleet as constants: regions, nodes, workloads and what each of them costs or takes.

Region facts (place, position, jurisdiction, offset) are those of the twelve default regions of the
regions file; prices are list prices of 2026-06-18 (Azure, 8-GPU nodes) and 2026-07-20 (AWS, L40S).
Everything else is assumed, and plausible: the twin is a fleet to rehearse on, not a measurement.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Tier = Literal["inference", "training", "operational"]
Purchase = Literal["reserved", "on_demand", "spot"]

TIERS: tuple[Tier, ...] = ("inference", "training", "operational")
TIER_KEY = "infra-console.dev/tier"
LAST_CHECKPOINT_KEY = "infra-console.dev/last-checkpoint"
JOB_NAME_KEY = "batch.kubernetes.io/job-name"
GPU_RESOURCE = "nvidia.com/gpu"
GPUS_PER_NODE = 8
DEFAULT_TIME_FACTOR = 10.0
DEFAULT_SEED = 20261124
CAPACITY_TYPE: dict[Purchase, str] = {
    "reserved": "reserved",
    "on_demand": "on-demand",
    "spot": "spot",
}


@dataclass(frozen=True)
class Region:
    """One region and its one cluster, whose id and kubeconfig context are the region's id.

    `price_factor` is the region's A100 node list price over that of eastus; where an H100 node is
    listed as well (uksouth, uaenorth, japaneast) the ratio is the same.
    """

    id: str
    place: str
    latitude: float
    longitude: float
    jurisdiction: str
    utc_offset_hours: float
    price_factor: float


REGIONS: tuple[Region, ...] = (
    Region("eastus", "Virginia, US", 37.37, -79.82, "US", -5.0, 1.0),
    Region("westus2", "Washington, US", 47.23, -119.85, "US", -8.0, 1.0),
    Region("canadacentral", "Toronto, CA", 43.65, -79.38, "CA", -5.0, 1.2),
    Region("brazilsouth", "Sao Paulo, BR", -23.55, -46.63, "BR", -3.0, 2.0),
    Region("uksouth", "London, GB", 50.94, -0.8, "UK", 0.0, 1.25),
    Region("germanywestcentral", "Frankfurt, DE", 50.11, 8.68, "EU", 1.0, 1.3),
    Region("southafricanorth", "Johannesburg, ZA", -25.73, 28.22, "ZA", 2.0, 1.46),
    Region("uaenorth", "Dubai, AE", 25.27, 55.32, "AE", 4.0, 1.43),
    Region("centralindia", "Pune, IN", 18.58, 73.92, "IN", 5.5, 1.4),
    Region("southeastasia", "Singapore, SG", 1.28, 103.83, "SG", 8.0, 1.3),
    Region("japaneast", "Tokyo, JP", 35.68, 139.77, "JP", 9.0, 1.45),
    Region("australiaeast", "Sydney, AU", -33.86, 151.21, "AU", 10.0, 1.45),
)
REGION_IDS: tuple[str, ...] = tuple(region.id for region in REGIONS)
BIG_REGIONS = ("eastus", "westus2", "germanywestcentral", "japaneast")
LARGE_REGIONS = ("eastus", "westus2", "uksouth", "germanywestcentral", "southeastasia", "japaneast")


@dataclass(frozen=True)
class GpuType:
    """What dcgm-exporter and node labels say of one GPU type; list price of eastus."""

    id: str
    product: str
    model_name: str
    instance_type: str
    memory_mib: int
    sm_clock_mhz: int
    memory_clock_mhz: int
    idle_w: float
    max_w: float
    usd_per_gpu_hour: float


GPU_TYPES: dict[str, GpuType] = {
    gpu.id: gpu
    for gpu in (
        GpuType(
            "H100", "NVIDIA-H100-80GB-HBM3", "NVIDIA H100 80GB HBM3", "Standard_ND96is_H100_v5",
            81559, 1980, 2619, 72.0, 700.0, 11.061,
        ),
        GpuType(
            "A100", "NVIDIA-A100-SXM4-80GB", "NVIDIA A100-SXM4-80GB", "Standard_ND96amsr_A100_v4",
            81920, 1410, 1593, 58.0, 400.0, 4.0963,
        ),
        # Azure lists no 8 x L40S node: the price is AWS g6e.48xlarge, us-east-1.
        GpuType(
            "L40S", "NVIDIA-L40S", "NVIDIA L40S", "g6e.48xlarge",
            46068, 2520, 9001, 36.0, 350.0, 3.7664,
        ),
    )
}  # fmt: skip
# No spot price of an L40S node is listed; 40 % of the list price is assumed.
SPOT_PRICE_FACTOR = 0.4


@dataclass(frozen=True)
class NodeGroup:
    """Equal nodes of one cluster, and the tier each has at first, in order of node number."""

    gpu_type: str
    purchase: Purchase
    tiers: tuple[Tier, ...]

    @property
    def nodes(self) -> int:
        return len(self.tiers)


NODE_GROUPS: tuple[NodeGroup, ...] = (
    NodeGroup("H100", "reserved", ("inference",) * 4 + ("training",) * 2),
    NodeGroup("H100", "on_demand", ("inference", "training")),
    NodeGroup("A100", "reserved", ("training",) * 3 + ("operational",)),
    NodeGroup("L40S", "spot", ("operational",) * 2),
)


@dataclass(frozen=True)
class NodeSpec:
    """One node of the twin at first start."""

    cluster: str
    name: str
    gpu_type: str
    purchase: Purchase
    tier: Tier
    zone: str

    @property
    def pool(self) -> str:
        return pool_id(self.cluster, self.gpu_type, self.purchase)


def pool_id(cluster: str, gpu_type: str, purchase: Purchase) -> str:
    return f"{cluster}/{gpu_type}/{purchase}"


def nodes_of(cluster: str, size: int = 1) -> Iterator[NodeSpec]:
    """The nodes of a cluster at first start, named `<cluster>-<gpu>-<purchase>-<nn>`.

    Args:
        size: how many times the fleet as it is written down here; demand grows with it.
    """
    for group in NODE_GROUPS:
        prefix = f"{cluster}-{group.gpu_type.lower()}-{CAPACITY_TYPE[group.purchase]}"
        for number, tier in enumerate(group.tiers * size, start=1):
            yield NodeSpec(
                cluster=cluster,
                name=f"{prefix}-{number:02d}",
                gpu_type=group.gpu_type,
                purchase=group.purchase,
                tier=tier,
                zone=f"{cluster}-{(number - 1) % 3 + 1}",
            )


def node_labels(node: NodeSpec) -> dict[str, str]:
    """The labels a node starts with, as GPU feature discovery, Karpenter and the cloud set them."""
    gpu = GPU_TYPES[node.gpu_type]
    return {
        "kubernetes.io/hostname": node.name,
        "node.kubernetes.io/instance-type": gpu.instance_type,
        "topology.kubernetes.io/region": node.cluster,
        "topology.kubernetes.io/zone": node.zone,
        "karpenter.sh/capacity-type": CAPACITY_TYPE[node.purchase],
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": gpu.product,
        "nvidia.com/gpu.count": str(GPUS_PER_NODE),
        "nvidia.com/gpu.memory": str(gpu.memory_mib),
        TIER_KEY: node.tier,
    }


def usd_per_gpu_hour(region: Region, gpu_type: str, purchase: Purchase) -> float:
    """List price of a GPU-hour; reserved pools carry the list price as well."""
    factor = SPOT_PRICE_FACTOR if purchase == "spot" else 1.0
    return round(GPU_TYPES[gpu_type].usd_per_gpu_hour * region.price_factor * factor, 4)


@dataclass(frozen=True)
class InferenceWorkload:
    """A served model: Deployment name, vLLM `model_name` and fleet id are the same word.

    `load_s` is the time from scheduling to ready (image, weights, warm-up) before the time factor
    shortens it; `initial_groups` are replicas at first start where (both 180b and 405b, only 180b,
    neither) of the biggest models run, which fill the 40 inference GPUs of a region.
    """

    id: str
    gpus_per_group: int
    regions: tuple[str, ...]
    slo_ttft_p95_ms: float
    load_s: float
    initial_groups: tuple[int, int, int]
    floor_groups: int = 1
    gpu_type: str = "H100"


INFERENCE: tuple[InferenceWorkload, ...] = (
    InferenceWorkload("chat-7b", 1, REGION_IDS, 500.0, 60.0, (3, 4, 5)),
    InferenceWorkload("chat-13b", 1, REGION_IDS, 500.0, 80.0, (3, 4, 5)),
    InferenceWorkload("code-34b", 2, REGION_IDS, 1000.0, 120.0, (3, 4, 5)),
    InferenceWorkload("chat-70b", 4, REGION_IDS, 1000.0, 180.0, (3, 4, 5)),
    InferenceWorkload("chat-180b", 8, LARGE_REGIONS, 2500.0, 300.0, (1, 1, 0)),
    InferenceWorkload("chat-405b", 8, BIG_REGIONS, 2500.0, 480.0, (1, 0, 0)),
)
MODELS: tuple[str, ...] = tuple(workload.id for workload in INFERENCE)
INFERENCE_BY_ID: dict[str, InferenceWorkload] = {w.id: w for w in INFERENCE}


def region_class(region: str) -> int:
    """0 where both biggest models run, 1 where only chat-180b does, 2 where neither does."""
    if region in BIG_REGIONS:
        return 0
    return 1 if region in LARGE_REGIONS else 2


def initial_groups(region: str, workload: InferenceWorkload, size: int = 1) -> int:
    """Replicas of a served model in a region at first start (0 where it does not run)."""
    groups = workload.initial_groups[region_class(region)] if region in workload.regions else 0
    return groups * size


@dataclass(frozen=True)
class OperationalWorkload:
    """A Deployment of the operational tier; every pod asks for one GPU of any type there."""

    id: str
    initial_groups: int
    load_s: float
    activity: float
    gpus_per_group: int = 1


OPERATIONAL: tuple[OperationalWorkload, ...] = (
    OperationalWorkload("embedding", 8, 40.0, 0.72),
    OperationalWorkload("evaluation", 4, 60.0, 0.66),
    OperationalWorkload("batch-index", 4, 30.0, 0.58),
)
OPERATIONAL_BY_ID: dict[str, OperationalWorkload] = {w.id: w for w in OPERATIONAL}


@dataclass(frozen=True)
class TrainingProfile:
    """How gangs look: sizes in nodes with their shares, hours of work, and their habits."""

    gang_nodes: tuple[int, ...] = (1, 2, 3, 4)
    gang_shares: tuple[float, ...] = (0.42, 0.35, 0.18, 0.05)
    work_hours_median: float = 3.0
    work_hours_sigma: float = 0.7
    gpus_per_pod: int = GPUS_PER_NODE
    checkpoint_every_s: float = 1800.0
    load_s: float = 240.0
    # Users stop submitting when this many nodes' worth of gangs already waits.
    queue_limit_nodes: float = 10.0
    arrivals_nodes_per_hour: float = 2.6


TRAINING = TrainingProfile()
