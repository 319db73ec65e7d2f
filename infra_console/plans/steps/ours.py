"""What the steps on shared objects ask before they write: is it the one, and whose is the field?

A field that stands otherwise than we wrote it was reverted: a state for a person to look at, never
a reason to write again.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from infra_console.cluster.managers import Manager, names
from infra_console.cluster.takeovers import foreign
from infra_console.numbers import whole_number
from infra_console.plans.marks import EPOCH, PLAN, PRIOR
from infra_console.plans.steps.base import Blocked, Failed, StepContext

NOBODY = "somebody else"


def by(owners: Sequence[Manager]) -> str:
    """Who did it, for people."""
    return names(owners) or NOBODY


def another_object(step: StepContext, uid: str) -> Failed | None:
    """The refusal when an object was replaced since the plan was made; None when it is the same."""
    wanted = step.params.get("uid")
    if not wanted or wanted == uid:
        return None
    return Failed(f"{step.target.name} was replaced by another {step.target.kind} of its name")


def has_written(step: StepContext) -> bool:
    """Whether an earlier try of this step wrote its value."""
    return bool(step.prior and step.prior.get("written"))


def reverted(what: str, owners: Sequence[Manager]) -> Blocked:
    """`what` says how the field stands now that we had written."""
    return Blocked(f"{what}, reverted by {by(owners)}; it was left as it is")


def owned(step: StepContext, what: str, owners: Sequence[Manager]) -> Blocked | None:
    """The refusal while `what` belongs to managers from whom no admin let us take it over."""
    others = foreign(step.cluster, step.target.kind, owners)
    if not others:
        return None
    return Blocked(
        f"{what} is owned by {by(others)}; it was left as it is. Make the change there, let its "
        "owner hand it over, or let an admin take it over and resume"
    )


def owners_kept(owners: Sequence[Manager]) -> dict[str, list[str]]:
    """Of whom a field is taken over, for the step's `prior`, and which of them apply it."""
    names_of = dict.fromkeys(m.name for m in owners)
    applies = dict.fromkeys(m.name for m in owners if m.applies)
    return {"owners": list(names_of), "applies": list(applies)}


def owner_before(step: StepContext) -> str:
    """On the way back: in whose name a count is written, because we took it over from them."""
    return next(iter((step.params.get("prior") or {}).get("owners") or ()), "")


def marks_of(step: StepContext, prior: Mapping[str, Any]) -> dict[str, str]:
    """The annotations of a write that changes what `prior` tells."""
    text = json.dumps(dict(prior), sort_keys=True, separators=(",", ":"))
    return {PLAN: step.plan_id, EPOCH: str(step.epoch), PRIOR: text}


def overtaken(step: StepContext, annotations: Mapping[str, str]) -> Blocked | None:
    """The refusal when the object knows a later epoch of this plan than our database."""
    epoch = whole_number(annotations.get(EPOCH, ""))
    if annotations.get(PLAN) != step.plan_id or epoch is None or epoch <= step.epoch:
        return None
    return Blocked(
        f"{step.target.name} carries epoch {epoch} of this plan and the database is at "
        f"{step.epoch}: it was restored to an earlier time, so nothing is written"
    )
