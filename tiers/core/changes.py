"""The changes of one cluster as plain values: replicas that change, nodes that change tier."""

from collections.abc import Mapping
from dataclasses import dataclass

from tiers.core.fleet_state import DeploymentView, GangView, NodeView, PodView, QuotaView


@dataclass(frozen=True, slots=True)
class WorkloadFacts:
    """What the moves need to know of a workload. `deployment` is empty for tiers that queue."""

    id: str
    tier: str
    group_gpus: Mapping[str, int]
    namespace: str
    deployment: str = ""
    floor_groups: int = 0
    spot_ok: bool = False

    def group_on(self, node: NodeView) -> int:
        """GPUs of one group on this node; 0 where its GPU type or its being spot rules it out."""
        return 0 if node.spot and not self.spot_ok else self.group_gpus.get(node.gpu_type, 0)


def loss_words(gpu_hours: float, *, assumed: bool) -> str:
    if not gpu_hours:
        return ""
    basis = "assumed, checkpoint age unknown" if assumed else "since the last checkpoint"
    return f"{gpu_hours:.1f} GPU-hours of training ({basis})"


@dataclass(frozen=True, slots=True)
class NodeChange:
    node: NodeView
    from_tier: str
    to_tier: str
    evicts: tuple[PodView, ...]
    lost_gpu_hours: float
    reason: str
    loss_assumed: bool = False  # a checkpoint's age is unknown


@dataclass(frozen=True, slots=True)
class ScaleChange:
    deployment: DeploymentView
    to_replicas: int
    gpus: int  # taken, or freed where negative
    victims: tuple[str, ...]
    reason: str
    floor: int = 0  # replicas that a shrink may not go below

    @property
    def delta(self) -> int:
        return self.to_replicas - self.deployment.replicas


@dataclass(frozen=True, slots=True)
class GangStop:
    """A whole gang that leaves its queue; its checkpoint's age is None where nobody tells."""

    gang: GangView
    gpus: int
    checkpoint_age_s: float | None

    @property
    def words(self) -> str:
        age_s = self.checkpoint_age_s
        saved = "saved at an unknown time" if age_s is None else f"saved {age_s / 60:.0f} min ago"
        return f"{self.gang.namespace}/{self.gang.job} ({self.gpus} GPUs, {saved})"


@dataclass(frozen=True, slots=True)
class QuotaChange:
    quota: QuotaView
    to: int

    @property
    def delta(self) -> int:
        return self.to - self.quota.nominal


@dataclass(frozen=True, slots=True)
class ClusterMoves:
    cluster: str
    shrinks: tuple[ScaleChange, ...]
    nodes: tuple[NodeChange, ...]
    grows: tuple[ScaleChange, ...]
    notes: tuple[str, ...]
    stops: tuple[GangStop, ...] = ()
    quotas: tuple[QuotaChange, ...] = ()

    @property
    def lost_words(self) -> str:
        """What stopping gangs loses, in words; empty when it loses nothing."""
        return loss_words(
            sum(c.lost_gpu_hours for c in self.nodes),
            assumed=any(c.loss_assumed for c in self.nodes),
        )

    def __bool__(self) -> bool:
        return bool(self.shrinks or self.nodes or self.grows)
