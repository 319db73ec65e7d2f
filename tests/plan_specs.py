"""A small true-to-life plan, and rows of one, for tests of pages and API."""

from datetime import UTC, datetime, timedelta

from django.utils import timezone

from infra_console.plans.models import Plan, Transition
from infra_console.plans.spec import (
    Budget,
    Evidence,
    Guard,
    Lock,
    Move,
    ObjectRef,
    PlanSpec,
    Precondition,
    Promise,
    StepSpec,
    moves_key,
    plan_hash,
)

NODE_STEPS = ("node.cordon", "node.drain", "node.assign_tier", "node.uncordon")


def node_ref(cluster: str, name: str) -> ObjectRef:
    return ObjectRef(cluster=cluster, kind="Node", name=name)


def spec(cluster: str = "uksouth", *nodes: str) -> PlanSpec:
    """These nodes (one unless given) go from training to inference; chat-70b grows by one."""
    names = nodes or (f"{cluster}-h100-reserved-06",)
    chat = ObjectRef(cluster=cluster, kind="Deployment", namespace="inference", name="chat-70b")
    return PlanSpec(
        schema="plan/1",
        domain="tiers",
        title=f"{cluster}: {len(names)} nodes training → inference; chat-70b +1",
        summary="chat-70b needs one group more.",
        moves=(
            *(
                Move(kind="node", target=node_ref(cluster, n), pool=f"{cluster}/H100/reserved",
                     from_tier="training", to_tier="inference", gpus=8,
                     evicts=("training/train-041-0",), reason="youngest gang")
                for n in names
            ),
            Move(kind="scale", target=chat, workload="chat-70b", from_replicas=3, to_replicas=4,
                 gpus=4, reason="demand p95 above capacity"),
        ),
        steps=(
            *(
                StepSpec(key=f"{cluster}/{n}/{kind}", kind=kind, title=f"{kind} {n}",
                         target=node_ref(cluster, n), tier="training", wave=wave)
                for wave, kind in enumerate(NODE_STEPS)
                for n in names
            ),
            StepSpec(key=f"{cluster}/chat-70b/workload.scale", kind="workload.scale",
                     title="Scale chat-70b", target=chat, tier="inference", wave=len(NODE_STEPS)),
        ),
        locks=(Lock(cluster=cluster, tier="inference"), Lock(cluster=cluster, tier="training")),
        guards=(Guard(cluster=cluster, tier="training", min_ready_gpus=8),),
        budgets=(Budget(cluster=cluster, max_nodes=2),),
        promises=(
            Promise(title=f"inference holds 48 GPUs in {cluster}", query="tier_gpus",
                    labels={"cluster": cluster, "tier": "inference"}, op="==", bound=48,
                    unit="GPUs", aggregate="last", verifies=True),
            Promise(title="chat-70b answers in time", query="ttft_within_slo",
                    labels={"cluster": cluster, "model_name": "chat-70b"}, op=">=", bound=0.95,
                    unit="ratio"),
        ),
        preconditions=(Precondition(target=node_ref(cluster, names[0]), facts={"uid": "a-uid"}),),
        evidence=Evidence(
            cycle_id="c", taken_at=datetime(2026, 11, 24, tzinfo=UTC),
            ages_s={"arrivals_rps": 8.0}, states={"arrivals_rps": "live"},
        ),
        usd_per_hour_delta=-3.5,
        gain_usd=12.0,
    )  # fmt: skip


def plan_row(
    number: int, *, cluster: str = "uksouth", state: str = "proposed", author: str = "planner"
) -> Plan:
    """A stored plan in any state, as if a cycle of `author` had proposed it."""
    document, now = spec(cluster), timezone.now()
    plan = Plan.objects.create(
        number=number,
        state=state,
        domain="tiers",
        title=document.title,
        summary=document.summary,
        document=document.model_dump(mode="json", by_alias=True),
        hash=plan_hash(document),
        moves_key=moves_key(document),
        authors=[author],
        created_at=now,
        expires_at=now + timedelta(hours=1),
    )
    Transition.objects.create(plan=plan, to_state=state, who=author, at=now)
    return plan
