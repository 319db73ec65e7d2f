"""What we write on a node while we hold it: whose it is, under which epoch, what stood before."""

import json
from collections.abc import Mapping

from infra_console.cluster.objects import NodeState

PLAN = "infra-console.dev/plan"
EPOCH = "infra-console.dev/epoch"
PRIOR = "infra-console.dev/prior"

CLEARED: Mapping[str, None] = {PLAN: None, EPOCH: None, PRIOR: None}


def marks(*, plan_id: str, epoch: int, node: NodeState, tier_key: str) -> dict[str, str | None]:
    """The annotations that go with our cordon."""
    prior = {
        "unschedulable": node.unschedulable,
        "label": node.labels.get(tier_key),
        "taints": [[t.key, t.value, t.effect] for t in node.taints if t.key == tier_key],
    }
    text = json.dumps(prior, sort_keys=True, separators=(",", ":"))
    return {PLAN: plan_id, EPOCH: str(epoch), PRIOR: text}


def held_by(node: NodeState) -> str:
    """The plan that holds a node, empty when none of ours does."""
    return node.annotations.get(PLAN, "")


def epoch_on(node: NodeState) -> int:
    """The epoch written on a node; 0 when there is none, or it is not a number."""
    text = node.annotations.get(EPOCH, "")
    return int(text) if text.isdecimal() else 0


def newer_epoch(node: NodeState, epoch: int) -> str:
    """What a node says that carries a higher epoch than the database: we work from an old copy."""
    return (
        f"{node.name} carries epoch {epoch_on(node)} of this plan and the database is at {epoch}: "
        "it was restored to an earlier time, so nothing is written"
    )
