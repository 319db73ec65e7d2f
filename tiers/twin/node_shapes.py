"""How a node cuts its GPUs up: whole, in MIG instances, or shared in time; and nodes made so.

A node says it in its own labels, as GPU feature discovery and the device plug-in set them:
`nvidia.com/mig.strategy` with `nvidia.com/mig.config`, or `nvidia.com/gpu.sharing-strategy` with
`nvidia.com/gpu.replicas`. The builders turn a whole node into such a node; none is in the twin's
default fleet.

Sources: NVIDIA's MIG user guide (profiles and instance ids of 80 GB GPUs: slices of sevenths of the
compute and eighths of the memory), and the README files of k8s-device-plugin and
gpu-feature-discovery (labels and resource names by strategy).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from tiers.twin.kube.resources import Obj
from tiers.twin.profile import GPU_RESOURCE, GPUS_PER_NODE

Strategy = Literal["single", "mixed"]
MIG_STRATEGY_KEY, MIG_CONFIG_KEY = "nvidia.com/mig.strategy", "nvidia.com/mig.config"
SHARING_KEY, REPLICAS_KEY = "nvidia.com/gpu.sharing-strategy", "nvidia.com/gpu.replicas"
PRODUCT_KEY, COUNT_KEY = "nvidia.com/gpu.product", "nvidia.com/gpu.count"
MEMORY_KEY = "nvidia.com/gpu.memory"
MIG_RESOURCE = "nvidia.com/mig-"
_COMPUTE, _MEMORY = 7, 8


@dataclass(frozen=True)
class Profile:
    """A MIG profile: slices of compute (of 7) and of memory (of 8), and the lowest instance id."""

    name: str
    compute: int
    memory: int
    first_id: int

    @property
    def compute_share(self) -> float:
        return self.compute / _COMPUTE

    @property
    def memory_share(self) -> float:
        return self.memory / _MEMORY


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("1g.10gb", 1, 1, 7),
        Profile("1g.20gb", 1, 2, 13),
        Profile("2g.20gb", 2, 2, 3),
        Profile("3g.40gb", 3, 4, 1),
        Profile("4g.40gb", 4, 4, 1),
        Profile("7g.80gb", 7, 8, 0),
    )
}
# Instances on each GPU, by the name of the MIG manager's configuration.
CONFIGS: dict[str, tuple[str, ...]] = {
    "all-1g.10gb": ("1g.10gb",) * 7,
    "all-1g.20gb": ("1g.20gb",) * 4,
    "all-2g.20gb": ("2g.20gb",) * 3,
    "all-3g.40gb": ("3g.40gb",) * 2,
    "all-4g.40gb": ("4g.40gb",),
    "all-7g.80gb": ("7g.80gb",),
    "all-balanced": ("1g.10gb", "1g.10gb", "2g.20gb", "3g.40gb"),
}


@dataclass(frozen=True)
class Slot:
    """What the device plug-in hands out as one device: a GPU, an instance of it, or a turn on it.

    `instance` is the GPU instance id, -1 for none; `turn` counts the sharers of a GPU.
    """

    resource: str
    gpu: int
    profile: Profile | None = None
    instance: int = -1
    turn: int = 0


@dataclass(frozen=True)
class Shape:
    """The slots of a node, in the order in which they are handed out."""

    slots: tuple[Slot, ...]
    mig: bool = False
    replicas: int = 1


def shape_of(labels: Mapping[str, str]) -> Shape:
    """The shape a node's labels tell; an unknown MIG configuration leaves its GPUs whole."""
    strategy, config = labels.get(MIG_STRATEGY_KEY, "none"), labels.get(MIG_CONFIG_KEY, "")
    if strategy in ("single", "mixed") and config in CONFIGS:
        return _mig(config, strategy)
    shared = labels.get(SHARING_KEY, "none") != "none"
    replicas = labels.get(REPLICAS_KEY, "1") if shared else "1"
    return _turns(int(replicas) if replicas.isdigit() else 1)


@cache
def _turns(replicas: int) -> Shape:
    """Every GPU gets its first pod before any gets its second."""
    slots = tuple(
        Slot(GPU_RESOURCE, gpu, turn=turn)
        for turn in range(replicas)
        for gpu in range(GPUS_PER_NODE)
    )
    return Shape(slots, replicas=replicas)


@cache
def _mig(config: str, strategy: str) -> Shape:
    slots: list[Slot] = []
    for gpu in range(GPUS_PER_NODE):
        taken: dict[str, int] = {}
        for name in CONFIGS[config]:
            profile, number = PROFILES[name], taken.get(name, 0)
            taken[name] = number + 1
            resource = GPU_RESOURCE if strategy == "single" else f"{MIG_RESOURCE}{name}"
            slots.append(Slot(resource, gpu, profile, profile.first_id + number))
    return Shape(tuple(slots), mig=True)


def mig_node(node: Obj, config: str = "all-1g.10gb", strategy: Strategy = "mixed") -> Obj:
    """A whole node's object with MIG on.

    Raises:
        KeyError: no such configuration.
        ValueError: the single strategy with instances of several sizes.
    """
    per_gpu = {name: CONFIGS[config].count(name) for name in CONFIGS[config]}
    if strategy == "single" and len(per_gpu) > 1:
        raise ValueError(f"{config} has instances of several sizes: the strategy must be mixed")
    labels = dict(node["metadata"]["labels"])
    labels |= {MIG_STRATEGY_KEY: strategy, MIG_CONFIG_KEY: config}
    labels |= {"nvidia.com/mig.capable": "true", "nvidia.com/mig.config.state": "success"}
    product, memory_mib = labels[PRODUCT_KEY], int(labels[MEMORY_KEY])
    amounts: dict[str, int] = {GPU_RESOURCE: 0}
    for name, count in per_gpu.items():
        whole, share = f"{product}-MIG-{name}", int(memory_mib * PROFILES[name].memory_share)
        total = count * GPUS_PER_NODE
        if strategy == "single":
            amounts = {GPU_RESOURCE: total}
            labels |= {PRODUCT_KEY: whole, COUNT_KEY: str(total), MEMORY_KEY: str(share)}
        else:
            key = f"{MIG_RESOURCE}{name}"
            amounts[key] = total
            labels |= {f"{key}.product": whole, f"{key}.count": str(total)}
            labels[f"{key}.memory"] = str(share)
    return _rebuilt(node, labels, amounts)


def time_sliced_node(node: Obj, replicas: int = 4) -> Obj:
    """A whole node's object with its GPUs shared in time by `replicas` pods each."""
    labels = dict(node["metadata"]["labels"])
    labels |= {SHARING_KEY: "time-slicing", REPLICAS_KEY: str(replicas)}
    labels[PRODUCT_KEY] += "-SHARED"
    return _rebuilt(node, labels, {GPU_RESOURCE: GPUS_PER_NODE * replicas})


def _rebuilt(node: Obj, labels: dict[str, str], amounts: Mapping[str, int]) -> Obj:
    status: dict[str, Any] = dict(node["status"])
    for kind in ("capacity", "allocatable"):
        status[kind] = dict(status[kind]) | {name: str(n) for name, n in amounts.items()}
    return {**node, "metadata": {**node["metadata"], "labels": labels}, "status": status}


def whole_product(product: str) -> str:
    """A product label without what sharing or MIG adds to it."""
    return product.removesuffix("-SHARED").partition("-MIG-")[0]
