"""One cluster's nodes and pods as plain values, whichever source they were read from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

TIERS: tuple[str, ...] = ("inference", "training", "operational")


@dataclass(frozen=True, slots=True)
class PodView:
    """A pod that asks for GPUs. `ready` is None when the source cannot tell."""

    namespace: str
    name: str
    node: str  # empty while it waits for one
    phase: str
    ready: bool | None
    gpus: int
    tier: str | None
    workload: str = ""
    gang: str = ""  # the Job whose pods start and stop together
    checkpoint_age_s: float | None = None
    deleting: bool = False


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node with GPUs. `foreign` says why it is not supply: a cordon or taint of others."""

    name: str
    uid: str
    pool: str  # empty when no pool's selector matches
    gpu_type: str
    tier: str | None
    gpus_capacity: int
    gpus_allocatable: int
    ready: bool
    unschedulable: bool
    foreign: str = ""
    ours: bool = False  # a plan of ours holds it now


@dataclass(frozen=True, slots=True)
class DeploymentView:
    namespace: str
    name: str
    uid: str
    replicas: int
    ready: int
    workload: str


@dataclass(frozen=True, slots=True)
class ClusterState:
    """What one cluster looked like at one moment."""

    cluster: str
    region: str
    source: str  # "kubernetes" or "prometheus"
    nodes: tuple[NodeView, ...]
    pods: tuple[PodView, ...]
    deployments: tuple[DeploymentView, ...]

    def pods_by_node(self) -> Mapping[str, list[PodView]]:
        held: dict[str, list[PodView]] = {node.name: [] for node in self.nodes}
        for pod in self.pods:
            if pod.node in held and pod.phase in {"Running", "Pending"}:
                held[pod.node].append(pod)
        return held


def usable(node: NodeView) -> bool:
    """Supply: ready, schedulable, and nobody else has spoken for it."""
    return node.ready and not node.unschedulable and not node.foreign


@dataclass(frozen=True, slots=True)
class FleetState:
    """All clusters that answered, and why the others did not."""

    clusters: Mapping[str, ClusterState]
    unreadable: Mapping[str, str] = field(default_factory=dict)
