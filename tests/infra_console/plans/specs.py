"""Plan documents of the tests."""

from datetime import UTC, datetime
from typing import Any

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
)
from tests.infra_console.kube import CLUSTER, Twin

TIER_KEY = "infra-console.dev/tier"
NODE = f"{CLUSTER}-h100-reserved-06"  # of the training tier
KINDS = ("node.cordon", "node.drain", "node.assign_tier", "node.uncordon")


def evidence() -> Evidence:
    return Evidence(cycle_id="1", taken_at=datetime(2026, 11, 24, tzinfo=UTC), ages_s={}, states={})


def node_ref(name: str = NODE) -> ObjectRef:
    return ObjectRef(cluster=CLUSTER, kind="Node", name=name)


def deployment_ref(name: str) -> ObjectRef:
    return ObjectRef(cluster=CLUSTER, kind="Deployment", namespace="inference", name=name)


def node_steps(
    name: str = NODE, giver: str = "training", taker: str = "inference"
) -> list[StepSpec]:
    """The four steps that give a node to another tier, a wave each."""
    params = {"key": TIER_KEY, "from": giver, "to": taker}
    return [
        StepSpec(
            key=f"{CLUSTER}/{name}/{kind}",
            kind=kind,
            title=f"{kind} {name}",
            target=node_ref(name),
            tier=giver if kind in KINDS[:2] else taker,
            wave=wave,
            params=params if kind == "node.assign_tier" else {},
        )
        for wave, kind in enumerate(KINDS)
    ]


def scale_step(
    name: str, before: int, after: int, *, wave: int = 0, victims: tuple[str, ...] = ()
) -> StepSpec:
    return StepSpec(
        key=f"{CLUSTER}/inference/{name}/workload.scale",
        kind="workload.scale",
        title=f"Scale {name}",
        target=deployment_ref(name),
        tier="inference",
        wave=wave,
        params={"from": before, "to": after, "victims": list(victims)},
    )


def node_move(name: str = NODE, giver: str = "training", taker: str = "inference") -> Move:
    return Move(
        kind="node", target=node_ref(name), from_tier=giver, to_tier=taker, gpus=8, reason="needed"
    )


def scale_move(name: str, before: int, after: int) -> Move:
    return Move(
        kind="scale",
        target=deployment_ref(name),
        workload=name,
        from_replicas=before,
        to_replicas=after,
        gpus=after - before,
        reason="needed",
    )


def spec(**changes: Any) -> PlanSpec:
    """One node from training to inference, unless changed."""
    fields: dict[str, Any] = {
        "schema": "plan/1",
        "domain": "tiers",
        "title": "1 node training → inference",
        "summary": "Inference needs a node.",
        "moves": (node_move(),),
        "steps": tuple(node_steps()),
        "locks": tuple(Lock(cluster=CLUSTER, tier=t) for t in ("inference", "training")),
        "guards": (Guard(cluster=CLUSTER, tier="training", min_ready_gpus=8),),
        "budgets": (Budget(cluster=CLUSTER, max_nodes=2),),
        "promises": (),
        "preconditions": (),
        "evidence": evidence(),
        "gain_usd": 100.0,
    }
    return PlanSpec(**(fields | changes))


def promise(**changes: Any) -> Promise:
    fields: dict[str, Any] = {
        "title": "inference holds 48 GPUs",
        "query": "tier_gpus",
        "labels": {"cluster": CLUSTER, "tier": "inference"},
        "op": "==",
        "bound": 48.0,
        "unit": "GPUs",
        "aggregate": "last",
        "verifies": True,
    }
    return Promise(**(fields | changes))


def preconditions(twin: Twin, name: str = NODE, tier: str = "training") -> tuple[Precondition, ...]:
    """What the cluster says of a node now, as a plan would rely on it."""
    facts = {
        "uid": twin.node(name)["metadata"]["uid"],
        "tier": tier,
        "unschedulable": False,
        "ready": True,
        "gpus_allocatable": 8,
    }
    return (Precondition(target=node_ref(name), facts=facts),)
