"""What the steps on shared objects ask before they write: is it the one, and whose is the field?

A field that stands otherwise than we wrote it was reverted: a state for a person to look at, never
a reason to write again.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from infra_console.plans.marks import EPOCH, PLAN, PRIOR
from infra_console.plans.steps.base import Blocked, Failed, StepContext

NOBODY = "somebody else"


def by(owners: Sequence[str]) -> str:
    """Who did it, for people."""
    return ", ".join(owners) or NOBODY


def another_object(step: StepContext, uid: str) -> Failed | None:
    """The refusal when an object was replaced since the plan was made; None when it is the same."""
    wanted = step.params.get("uid")
    if not wanted or wanted == uid:
        return None
    return Failed(f"{step.target.name} was replaced by another {step.target.kind} of its name")


def has_written(step: StepContext) -> bool:
    """Whether an earlier try of this step wrote its value."""
    return bool(step.prior and step.prior.get("written"))


def reverted(what: str, owners: Sequence[str]) -> Blocked:
    """`what` says how the field stands now that we had written."""
    return Blocked(f"{what}, reverted by {by(owners)}; it was left as it is")


def owned(what: str, owners: Sequence[str]) -> Blocked:
    """`what` belongs to other managers: nothing is forced, a person settles it with them."""
    return Blocked(
        f"{what} is owned by {by(owners)}; it was left as it is. Let its owner hand it over, "
        "or make the change there"
    )


def marks_of(step: StepContext, prior: Mapping[str, Any]) -> dict[str, str]:
    """The annotations of a write that changes what `prior` tells."""
    text = json.dumps(dict(prior), sort_keys=True, separators=(",", ":"))
    return {PLAN: step.plan_id, EPOCH: str(step.epoch), PRIOR: text}


def overtaken(step: StepContext, annotations: Mapping[str, str]) -> Blocked | None:
    """The refusal when the object knows a later epoch of this plan than our database."""
    text = annotations.get(EPOCH, "")
    if annotations.get(PLAN) != step.plan_id or not text.isdecimal() or int(text) <= step.epoch:
        return None
    return Blocked(
        f"{step.target.name} carries epoch {text} of this plan and the database is at "
        f"{step.epoch}: it was restored to an earlier time, so nothing is written"
    )
