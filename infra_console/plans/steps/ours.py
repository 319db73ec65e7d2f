"""What the steps on shared objects ask before they write: is it the one, and whose is the field?

A field that stands otherwise than we wrote it was reverted: a state for a person to look at, never
a reason to write again.
"""

from collections.abc import Sequence

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


def reverted(step: StepContext, what: str, owners: Sequence[str]) -> Blocked:
    """`what` says how the field stands now that we had written."""
    return Blocked(f"{what}, reverted by {by(owners)}; it was left as it is")
