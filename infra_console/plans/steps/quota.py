"""The limit of GPUs of a namespace (ResourceQuota) or of a Karpenter NodePool.

A limit is a permission: it is done when it stands, takes nothing away from who is there, and never
goes below what is used. One that another manager owns is theirs, unless an admin let us take it
over: then the way back writes what stood there in its owner's name.

Params: from and to, GPUs or null for no limit; uid; restore (on the way back: the limit is written
as it was, and our marks come off).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from infra_console.cluster.caps import CapState, apply_cap, give_back_cap, read_cap
from infra_console.cluster.errors import FieldOwned
from infra_console.cluster.managers import named
from infra_console.plans.marks import PLAN
from infra_console.plans.spec import ObjectRef, StepSpec
from infra_console.plans.steps.base import (
    Blocked,
    Done,
    Failed,
    Outcome,
    StepContext,
    Undo,
    Waiting,
)
from infra_console.plans.steps.looks import Look
from infra_console.plans.steps.ours import (
    another_object,
    by,
    has_written,
    marks_of,
    overtaken,
    owned,
    owner_before,
    owners_kept,
    reverted,
)

POLL_S = 1.0


class Cap:
    """Set the limit; done when it stands."""

    def run(self, step: StepContext) -> Outcome:
        held, to = read_target(step.target), step.params["to"]
        if other := another_object(step, held.at.uid) or overtaken(step, held.annotations):
            return other
        if held.gpus != to or _half_given_back(step, held):
            if refusal := _refuse(step, held) or _write(step, held):
                return refusal
            held = read_target(step.target)
        if held.gpus != to:
            return Waiting(f"{held.at.name} has {words(held.gpus)} by now", POLL_S)
        return Done(f"{words(to)} stands, {_used(held)}")

    def rehearse(self, step: StepContext) -> Outcome:
        held = read_target(step.target)
        refusal = another_object(step, held.at.uid) or _refuse(step, held) or _write(step, held)
        return refusal or Done(f"the server would set {words(step.params['to'])}")

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        back = {"from": step.params.get("to"), "to": step.params.get("from"), "restore": True}
        kept = {"uid": step.params["uid"]} if "uid" in step.params else {}
        title = f"Set the limit of {step.target.name} back"
        return (Undo("quota.cap", title, step.tier, back | kept),)

    def look(self, target: ObjectRef, params: Mapping[str, Any]) -> Look:
        held, to = read_target(target), params["to"]
        stops: tuple[str, ...] = ()
        if held.gpus not in (params["from"], to):
            stops = (f"{words(held.gpus)} was set by {by(held.owners)}",)
        elif low := _below_used(held, to):
            stops = (low,)
        problem = "" if held.gpus == to else f"{words(held.gpus)}, planned {words(to)}"
        return Look(f"{words(held.gpus)}, {_used(held)}", words(to), problem=problem, stops=stops)


def read_target(target: ObjectRef) -> CapState:
    return read_cap(target.cluster, target.kind, target.namespace, target.name)


def words(gpus: int | None) -> str:
    return "no limit" if gpus is None else f"a limit of {gpus} GPUs"


def _used(held: CapState) -> str:
    return "used: unknown" if held.used is None else f"{held.used} used"


def _refuse(step: StepContext, held: CapState) -> Outcome | None:
    """Why the limit may not be set now: theirs, set by others, or below what is used."""
    to = step.params["to"]
    if has_written(step):
        return reverted(f"{held.at.name} has {words(held.gpus)} again", held.owners)
    if held.gpus not in (step.params["from"], to):
        return Failed(
            f"{held.at.name} has {words(held.gpus)}, set by {by(held.owners)}; "
            f"the plan relies on {words(step.params['from'])}"
        )
    theirs = owned(step, f"the limit of {held.at.name}", held.owners) if held.gpus != to else None
    if theirs:
        return theirs
    low = _below_used(held, to)
    return Blocked(low) if low else None


def _below_used(held: CapState, to: int | None) -> str:
    """Why a limit would be too low; an unknown use lets nothing be lowered."""
    if to is None or (held.gpus is not None and to >= held.gpus):
        return ""
    if held.used is None:
        return f"what {held.at.name} uses is unknown, so its limit is not lowered"
    if to < held.used:
        return f"a limit of {to} GPUs is below the {held.used} that {held.at.name} uses now"
    return ""


def _write(step: StepContext, held: CapState) -> Outcome | None:
    """Apply; the refusal that names the owner where the limit is somebody else's."""
    to, stood = step.params["to"], {"limit": held.text}
    prior = {**stood, **owners_kept(held.owners)}
    if not step.dry_run:
        step.keep_prior(prior)
    text = None if to is None else str(to)
    marks, force = marks_of(step, stood), bool(held.owners)
    if step.params.get("restore"):
        text, marks, force = step.params["prior"]["limit"], {}, False
        if owner := owner_before(step):
            held, text = _give_back(step, held, text, owner), None
    try:
        step.write(
            f"limit {held.at.words} to {'no' if to is None else to} GPUs",
            lambda: apply_cap(
                step.cluster, held, text, annotations=marks, force=force, dry_run=step.dry_run
            ),
        )
    except FieldOwned as err:
        what = f"the limit of {held.at.name}"
        return owned(step, what, named(err.owners)) or Waiting(f"{what} changes hands", POLL_S)
    if not step.dry_run:
        step.keep_prior({**prior, "written": True})
    return None


def _half_given_back(step: StepContext, held: CapState) -> bool:
    """Whether its owner has the limit again while our mark and our claim still stand."""
    ours = held.annotations.get(PLAN) == step.plan_id
    return ours and bool(step.params.get("restore") and owner_before(step))


def _give_back(step: StepContext, held: CapState, text: str | None, owner: str) -> CapState:
    """The limit in the name of whoever owned it; what we apply afterwards leaves it out."""
    step.write(
        f"give the limit of {held.at.words} back to {owner}",
        lambda: give_back_cap(step.cluster, held, text, manager=owner, dry_run=step.dry_run),
    )
    return read_target(step.target)
