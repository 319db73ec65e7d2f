"""One cluster's nodes and pods as plain values, whichever source they were read from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

TIERS: tuple[str, ...] = ("inference", "training", "operational")
HOLDING = frozenset({"Running", "Pending"})  # phases in which a pod with a node holds its GPUs


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
    owner: str = ""  # the team that the operator's label mapping names
    replica: str = ""  # of a numbered set: the one that it belongs to, as `chat-2`
    started_at: datetime | None = None
    priority: int | None = None


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
    spot: bool = False  # its owner may take it away at any time
    block: str = ""  # the fabric, or at least the zone, that it shares with others
    sick: int = 0  # GPUs whose own counters say that they are broken
    sick_why: str = ""
    consolidated: bool = False  # given back by its maker once it is empty


@dataclass(frozen=True, slots=True)
class AutoscalerView:
    """An HPA or ScaledObject: `low` and `high` are None where they are not written down, `most`
    is what then holds. `owners` own a bound beside us."""

    kind: str
    name: str
    uid: str
    low: int | None
    high: int | None
    most: int
    paused: bool = False
    owners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GitView:
    """Where a repository holds a workload's number of replicas."""

    repository: str
    file: str
    field: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """A workload with replicas; `kind` may be a numbered set, whose lowest number is `first`.

    `owners` own the number of replicas beside us.
    """

    namespace: str
    name: str
    uid: str
    replicas: int
    ready: int
    workload: str
    kind: str = "Deployment"
    first: int = 0
    owners: tuple[str, ...] = ()
    autoscaler: AutoscalerView | None = None
    git: GitView | None = None


@dataclass(frozen=True, slots=True)
class QuotaView:
    """GPUs that a queue of a tier may hand out of one flavour; `nodes` are those it covers.

    `reserved` is what its admitted gangs hold, `total` its nominal GPUs over all flavours, `owners`
    whoever else writes them.
    """

    queue: str
    uid: str
    flavor: str
    tier: str
    nominal: int
    reserved: int
    total: int
    nodes: frozenset[str]
    owners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GangView:
    """A gang that a queue admitted, by its Workload; `held` are its GPUs by flavour."""

    namespace: str
    name: str
    uid: str
    job: str
    tier: str
    queue: str
    held: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ClusterState:
    """What one cluster looked like at one moment."""

    cluster: str
    region: str
    source: str  # "kubernetes" or "prometheus"
    nodes: tuple[NodeView, ...]
    pods: tuple[PodView, ...]
    deployments: tuple[DeploymentView, ...]
    quotas: tuple[QuotaView, ...] = ()
    gangs: tuple[GangView, ...] = ()

    def pods_by_node(self) -> Mapping[str, list[PodView]]:
        held: dict[str, list[PodView]] = {node.name: [] for node in self.nodes}
        for pod in self.pods:
            if pod.node in held and pod.phase in HOLDING:
                held[pod.node].append(pod)
        return held

    def staying_pods(self) -> Iterator[tuple[PodView, NodeView]]:
        """Pods that hold GPUs of supply and are not being deleted, with their nodes.

        What runs on any other node is on its way out with it: it counts for nothing, as its node
        does not, so that a replacement is planned before it goes.
        """
        supply = {n.name: n for n in self.nodes if is_supply(n)}
        for pod in self.pods:
            if pod.node in supply and pod.phase in HOLDING and not pod.deleting:
                yield pod, supply[pod.node]


def usable(node: NodeView) -> bool:
    """Ready, schedulable, and nobody else has spoken for it."""
    return node.ready and not node.unschedulable and not node.foreign


def is_supply(node: NodeView) -> bool:
    """Whether plans count on the node: usable, of a pool and a tier, none of its GPUs broken."""
    whole = node.gpus_allocatable == node.gpus_capacity and not node.sick
    return usable(node) and whole and bool(node.pool) and node.tier in TIERS


@dataclass(frozen=True, slots=True)
class FleetState:
    """All clusters that answered, and why the others did not."""

    clusters: Mapping[str, ClusterState]
    unreadable: Mapping[str, str] = field(default_factory=dict)
