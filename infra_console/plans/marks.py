"""What we write on an object while we hold it: whose it is, its epoch, what stood before."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from infra_console.cluster.objects import NodeState
from infra_console.numbers import whole_number

PLAN = "infra-console.dev/plan"
EPOCH = "infra-console.dev/epoch"
PRIOR = "infra-console.dev/prior"


class Marked(Protocol):
    """An object as read, with room for our marks."""

    @property
    def name(self) -> str: ...
    @property
    def annotations(self) -> Mapping[str, str]: ...


CLEARED: Mapping[str, None] = {PLAN: None, EPOCH: None, PRIOR: None}


def marks(*, plan_id: str, epoch: int, node: NodeState, tier_key: str) -> dict[str, str | None]:
    """The annotations that go with our cordon."""
    prior = {
        "unschedulable": node.unschedulable,
        "label": node.labels.get(tier_key),
        "taints": [[t.key, t.value, t.effect] for t in node.taints if t.key == tier_key],
    }
    return marks_of(plan_id=plan_id, epoch=epoch, prior=prior)


def marks_of(*, plan_id: str, epoch: int, prior: Mapping[str, Any]) -> dict[str, str | None]:
    """The annotations of a write that changes what `prior` tells."""
    text = json.dumps(prior, sort_keys=True, separators=(",", ":"))
    return {PLAN: plan_id, EPOCH: str(epoch), PRIOR: text}


def noted_prior(held: Marked) -> dict[str, Any]:
    """What an object notes that stood there before; empty when that cannot be read."""
    try:
        noted = json.loads(held.annotations.get(PRIOR, ""))
    except ValueError:
        return {}
    return noted if isinstance(noted, dict) else {}


def held_by(held: Marked) -> str:
    """The plan that holds an object, empty when none of ours does."""
    return held.annotations.get(PLAN, "")


def epoch_on(held: Marked) -> int:
    """The epoch written on an object; 0 when there is none, or it is not a number."""
    return whole_number(held.annotations.get(EPOCH, "")) or 0


def newer_epoch(held: Marked, epoch: int) -> str:
    """What an object says of a higher epoch than the database's: we work from an old copy."""
    return (
        f"{held.name} carries epoch {epoch_on(held)} of this plan and the database is at {epoch}: "
        "it was restored to an earlier time, so nothing is written"
    )
