"""Small clusters for tests: nodes of 8 GPUs named by tier and number."""

from tiers.core.changes import WorkloadFacts
from tiers.core.fleet_state import ClusterState, DeploymentView, NodeView, PodView

POOL = "r/H100/reserved"
FACTS = (
    WorkloadFacts("chat", "inference", {"H100": 4}, "inference", "chat"),
    WorkloadFacts("training", "training", {"H100": 8}, "training"),
)


def node(name: str, tier: str, **changes: object) -> NodeView:
    values = {
        "name": name, "uid": f"uid-{name}", "pool": POOL, "gpu_type": "H100", "tier": tier,
        "gpus_capacity": 8, "gpus_allocatable": 8, "ready": True, "unschedulable": False,
    }  # fmt: skip
    return NodeView(**(values | changes))  # type: ignore[arg-type]


def chat_pod(name: str, on: str) -> PodView:
    return PodView("inference", name, on, "Running", True, 4, "inference", "chat")


def gang_pod(gang: str, rank: int, on: str, checkpoint_age_s: float | None = 600) -> PodView:
    return PodView(
        "training", f"{gang}-{rank}", on, "Running", True, 8, "training", "training", gang,
        checkpoint_age_s,
    )  # fmt: skip


def cluster(nodes: list[NodeView], pods: list[PodView], chat_replicas: int) -> ClusterState:
    chat = DeploymentView("inference", "chat", "uid-chat", chat_replicas, chat_replicas, "chat")
    return ClusterState("r", "r", "kubernetes", tuple(nodes), tuple(pods), (chat,))
