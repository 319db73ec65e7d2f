"""What every step that writes a field of somebody's object asks first: whose is it, and is it ours?

A field that another manager owns is theirs: the plan pauses and says who. A field of ours that
stands otherwise than we wrote it was reverted, which is a state for a person, not a reason to write
again.
"""

from collections.abc import Sequence

from infra_console.cluster.managers import Manager, names
from infra_console.cluster.takeovers import FIELDS, foreign
from infra_console.plans.marks import Marked, epoch_on, held_by, newer_epoch
from infra_console.plans.steps.base import Blocked, Failed, StepContext

NOBODY = "somebody else"


def replaced(step: StepContext, kind: str, uid: str) -> Failed | None:
    """Why this is not the object that was approved; None when it is."""
    wanted = step.params.get("uid")
    if not wanted or wanted == uid:
        return None
    return Failed(f"{step.target.name} was replaced by another {kind} of its name")


def is_ours(step: StepContext, held: Marked) -> bool:
    return held_by(held) == step.plan_id


def overtaken(step: StepContext, held: Marked) -> Blocked | None:
    """The refusal when the object knows a later epoch of this plan than our database."""
    if is_ours(step, held) and epoch_on(held) > step.epoch:
        return Blocked(newer_epoch(held, step.epoch))
    return None


def owned_by_others(step: StepContext, owners: Sequence[Manager]) -> Blocked | None:
    """The refusal that names who owns the field; None when it is free, or may be taken over."""
    kind = step.target.kind
    others = foreign(step.cluster, kind, owners)
    if not others:
        return None
    return Blocked(
        f"{FIELDS[kind]} of {step.target.name} is owned by {names(others)}; it was left as it is. "
        "Ask its owner, or let an admin take it over and resume"
    )


def below_floor(step: StepContext) -> Blocked | None:
    """The refusal while the step's tier is under its floor, for whatever reason."""
    broken = step.guards.below_floor(step.tier)
    return Blocked(f"floor: {broken}") if broken else None


def reverted(step: StepContext, what: str, owners: Sequence[Manager]) -> Blocked:
    """A field that we had written and that stands otherwise now."""
    return Blocked(f"{what}, reverted by {names(owners) or NOBODY}; it was left as it is")
