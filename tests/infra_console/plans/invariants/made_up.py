"""One sound history in plain rows: plan 7 takes a node from training to inference."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from infra_console.plans.invariants.history import (
    ApprovalRow,
    AuditEntry,
    History,
    PlanRow,
    Request,
    StepRow,
    TransitionRow,
)

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
CLUSTER, NODE, KEY = "eastus", "node-a", "infra-console.dev/tier"
WHATS = {
    "node.cordon": f"cordon {NODE}",
    "node.assign_tier": f"set {KEY}=inference on {NODE}",
    "node.uncordon": f"uncordon {NODE}",
}
BODIES: dict[str, Any] = {
    "node.cordon": [{"op": "add", "path": "/spec/unschedulable", "value": True}],
    "node.assign_tier": {"metadata": {"labels": {KEY: "inference"}}},
    "node.uncordon": {"spec": {"unschedulable": None}},
}


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def node(name: str = NODE, tier: str = "training", gpus: int = 8) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": name, "resourceVersion": "1", "labels": {KEY: tier}},
        "spec": {},
        "status": {
            "allocatable": {"nvidia.com/gpu": str(gpus)},
            "capacity": {"nvidia.com/gpu": str(gpus)},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def document(floor: int = 8, max_nodes: int = 1) -> dict[str, Any]:
    return {
        "steps": [{"key": kind} for kind in WHATS],
        "locks": [{"cluster": CLUSTER, "tier": "training"}],
        "guards": [{"cluster": CLUSTER, "tier": "training", "min_ready_gpus": floor}],
        "budgets": [{"cluster": CLUSTER, "max_nodes": max_nodes}],
        "evidence": {"states": {"metrics": "live"}, "ages_s": {"metrics": 4.0}, "demand": []},
    }


def plan(**changes: Any) -> PlanRow:
    held = PlanRow(
        id="p7",
        number=7,
        state="verified",
        hash="h",
        document=document(),
        document_hash="h",
        authors=["planner"],
        created_at=at(0),
        expires_at=at(3600),
        real=True,
        started_at=at(20),
        finished_at=at(60),
    )
    return replace(held, **changes)


def writes() -> list[AuditEntry]:
    """Three writes, opened at 30, 35 and 40 s and closed a second later."""
    rows = []
    for number, (kind, what) in enumerate(WHATS.items()):
        seq, detail = 10 + 2 * number, {"step": kind, "what": what, "dry_run": False}
        opened = at(30 + 5 * number)
        rows.append(AuditEntry(seq, opened, "system:executor", "step.writing", "p7", detail))
        closing = detail | {"opened": seq}
        later = opened + timedelta(seconds=1)
        rows.append(AuditEntry(seq + 1, later, "system:executor", "step.written", "p7", closing))
    return rows


def request(kind: str = "node.cordon", seconds: float = 30.5, **changes: Any) -> Request:
    made = Request(
        at=at(seconds),
        cluster=CLUSTER,
        verb="patch",
        resource="nodes",
        namespace="",
        name=NODE,
        subresource="",
        body=BODIES[kind],
        took_effect=True,
        ours=True,
    )
    return replace(made, **changes)


def requests() -> list[Request]:
    return [request(kind, 30.5 + 5 * number) for number, kind in enumerate(WHATS)]


def history(**changes: Any) -> History:
    moves = [("", "proposed", 0), ("proposed", "approved", 10), ("approved", "executing", 20)]
    moves += [("executing", "verifying", 50), ("verifying", "verified", 60)]
    decided = AuditEntry(5, at(10), "bo", "plan.approved", "p7", {"hash": "h"})
    held = History(
        now=at(600),
        plans=[plan()],
        steps=[StepRow("p7", kind, kind, "done", CLUSTER, NODE) for kind in WHATS],
        transitions=[TransitionRow("p7", was, to, at(s)) for was, to, s in moves],
        approvals=[ApprovalRow("p7", "h", "bo", "approve", at(10))],
        audit=[decided, *writes()],
        requests=requests(),
        nodes={CLUSTER: [node(), node("node-b"), node("node-c", "inference")]},
    )
    return replace(held, **changes)
