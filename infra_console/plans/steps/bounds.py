"""The bounds of the autoscaler that owns a workload: an HPA, or the ScaledObject that makes one.

Bounds are permissions. A raised minimum is done when so many pods are ready; a lowered one when it
stands, for who leaves then, and when, is the autoscaler's to say. The maximum never goes below the
replicas that are there.

A bound that another manager owns is theirs, unless an admin let us take it over: then its owner is
kept with what stood there, and the way back writes that in the owner's name.

Params: from and to, each {min, max} with null for a bound that is not written down; uid; restore
(on the way back: our marks come off).
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from infra_console.cluster.bounds import (
    BoundsState,
    apply_bounds,
    give_back_bounds,
    read_bounds,
)
from infra_console.cluster.errors import FieldOwned
from infra_console.cluster.managers import named
from infra_console.cluster.scaling import KINDS as SCALABLE
from infra_console.cluster.scaling import ScaleState, read_scaled
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
    owners_kept,
    reverted,
)

POLL_S = 1.0
Bounds = Mapping[str, int | None]


class Bound:
    """Set both bounds; done when they stand, and a raised minimum is filled."""

    def run(self, step: StepContext) -> Outcome:
        held = read_target(step.target)
        if refusal := _refuse_object(step, held):
            return refusal
        if bounds_of(held) != step.params["to"] or _half_given_back(step, held):
            if refusal := _refuse(step, held, _workload(step.target, held)):
                return refusal
            if refusal := _write(step, held):
                return refusal
            held = read_target(step.target)
        return _confirm(step, held)

    def rehearse(self, step: StepContext) -> Outcome:
        held = read_target(step.target)
        refusal = _refuse_object(step, held) or _refuse(step, held, _workload(step.target, held))
        if refusal or (refusal := _write(step, held)):
            return refusal
        return Done(f"the server would set {words(step.params['to'])}")

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        back = {"from": step.params.get("to"), "to": step.params.get("from"), "restore": True}
        kept = {"uid": step.params["uid"]} if "uid" in step.params else {}
        title = f"Set the bounds of {step.target.name} back"
        return (Undo("workload.bound", title, step.tier, back | kept),)

    def look(self, target: ObjectRef, params: Mapping[str, Any]) -> Look:
        held = read_target(target)
        scaled, stands = _workload(target, held), bounds_of(held)
        now = f"{words(stands)}, {scaled.replicas} replicas"
        stops: tuple[str, ...] = ()
        if stands not in (params["from"], params["to"]):
            stops = (f"{words(stands)} was set by {by(held.owners)}",)
        elif stands != params["to"] and (low := _below_need(held, params["to"], scaled)):
            stops = (low,)
        problem = ""
        if stands != params["to"]:
            problem = f"{words(stands)}, planned {words(params['to'])}"
        elif _raised(params) and scaled.ready < held.least:
            problem = f"{scaled.ready} replicas are ready, the minimum is {held.least}"
        return Look(now, words(params["to"]), problem=problem, stops=stops)


def read_target(target: ObjectRef) -> BoundsState:
    return read_bounds(target.cluster, target.kind, target.namespace, target.name)


def bounds_of(held: BoundsState) -> dict[str, int | None]:
    return {"min": held.low, "max": held.high}


def words(bounds: Bounds) -> str:
    low, high = (("default" if v is None else str(v)) for v in (bounds["min"], bounds["max"]))
    return f"min {low}, max {high}"


def _workload(target: ObjectRef, held: BoundsState) -> ScaleState:
    kind, name = held.target
    return read_scaled(target.cluster, kind, target.namespace, name)


def _refuse_object(step: StepContext, held: BoundsState) -> Outcome | None:
    """Why this is not an autoscaler to set bounds on; None when it is."""
    if other := another_object(step, held.at.uid):
        return other
    if held.maker:
        return Failed(f"{held.at.name} is made by ScaledObject {held.maker}: bound that instead")
    if held.target[0] not in SCALABLE:
        return Failed(f"{held.at.name} scales a {held.target[0]}, which we cannot read")
    if held.paused:
        return Blocked(f"{held.at.name} is paused, so its bounds move nothing")
    return overtaken(step, held.annotations)


def _refuse(step: StepContext, held: BoundsState, scaled: ScaleState) -> Outcome | None:
    """Why the bounds may not be set now: theirs, set by others, or below what is needed."""
    stands, to = bounds_of(held), step.params["to"]
    if has_written(step):
        return reverted(f"{held.at.name} has {words(stands)} again", held.owners)
    if stands not in (step.params["from"], to):
        return Failed(
            f"{held.at.name} has {words(stands)}, set by {by(held.owners)}; "
            f"the plan relies on {words(step.params['from'])}"
        )
    theirs = owned(step, f"a bound of {held.at.name}", held.owners) if stands != to else None
    if theirs:
        return theirs
    low = _below_need(held, to, scaled)
    return Blocked(low) if low else None


def _below_need(held: BoundsState, to: Bounds, scaled: ScaleState) -> str:
    need = max(scaled.replicas or 0, scaled.there)
    if to["max"] is None or to["max"] >= need or to["max"] >= held.most:
        return ""
    return f"max {to['max']} is below the {need} replicas that {scaled.name} needs now"


def _raised(params: Mapping[str, Any]) -> bool:
    low, before = params["to"]["min"], params["from"]["min"]
    return low is not None and low > (before or 0)


def _write(step: StepContext, held: BoundsState) -> Outcome | None:
    """Apply; the refusal that names the owner where the fields are somebody else's."""
    stood, to = bounds_of(held), step.params["to"]
    prior = {**stood, **owners_kept(held.owners), "owners": _owners_of(held)}
    if not step.dry_run:
        step.keep_prior(prior)
    marks, taken = marks_of(step, stood), _taken(step)
    if step.params.get("restore"):
        marks = {}
        held = _give_back(step, held, taken)
        to = {end: value for end, value in to.items() if end not in taken}
    try:
        step.write(
            f"bound {held.at.namespace}/{held.at.name} to {words(step.params['to'])}",
            lambda: apply_bounds(
                step.cluster,
                held,
                to.get("min"),
                to.get("max"),
                annotations=marks,
                force=bool(held.owners) and not step.params.get("restore"),
                dry_run=step.dry_run,
            ),
        )
    except FieldOwned as err:
        what = f"a bound of {held.at.name}"
        return owned(step, what, named(err.owners)) or Waiting(f"{what} changes hands", POLL_S)
    if not step.dry_run:
        step.keep_prior({**prior, "written": True})
    return None


def _owners_of(held: BoundsState) -> dict[str, str]:
    """Who owns each bound that is about to be taken over, the first of them where several do."""
    both = (("min", held.low_owners), ("max", held.high_owners))
    return {end: owners[0].name for end, owners in both if owners}


def _taken(step: StepContext) -> dict[str, str]:
    """On the way back: whose each bound was that the plan took over."""
    return (step.params.get("prior") or {}).get("owners") or {}


def _half_given_back(step: StepContext, held: BoundsState) -> bool:
    """Whether the owners have theirs again while our mark and our claim still stand."""
    ours = held.annotations.get(PLAN) == step.plan_id
    return ours and bool(step.params.get("restore") and _taken(step))


def _give_back(step: StepContext, held: BoundsState, taken: Mapping[str, str]) -> BoundsState:
    """Each bound in the name of whoever owned it; what we apply afterwards leaves these out."""
    for manager in sorted(set(taken.values())):
        bounds = {end: step.params["to"][end] for end, owner in taken.items() if owner == manager}
        step.write(
            f"give the bounds of {held.at.namespace}/{held.at.name} back to {manager}",
            partial(
                give_back_bounds, step.cluster, held, bounds, manager=manager, dry_run=step.dry_run
            ),
        )
        held = read_target(step.target)
    return held


def _confirm(step: StepContext, held: BoundsState) -> Outcome:
    if bounds_of(held) != step.params["to"]:
        return Waiting(f"{held.at.name} has {words(bounds_of(held))} by now", POLL_S)
    stands = f"{words(bounds_of(held))} stands"
    if not _raised(step.params):
        return Done(f"{stands}; who leaves is the autoscaler's to say")
    scaled = _workload(step.target, held)
    if scaled.ready < held.least:
        return Waiting(
            f"{scaled.ready} of {held.least} replicas of {scaled.name} are ready", POLL_S
        )
    return Done(f"{stands}, {scaled.ready} replicas of {scaled.name} are ready")
