"""The weights of one HTTPRoute: which part of its requests each region gets.

Params: model; regions (of each backend); from and to (weights by backend); into (requests/s of the
model that each region gets in all under `to`); without (by region that may be lost: `to` and `into`
as they are approved for that case); uid; restore (on the way back).

What holds at every write: nothing goes to more than the room of a region, to one outside the
route's law, or to one that is lost or drained. A region lost meanwhile is met by the weights that
were approved for its loss; where none were, the plan pauses. The route of a lost region itself is
left as it stands. Done when every gateway has accepted this very generation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra_console.cluster.errors import ClusterUnavailable
from infra_console.cluster.managers import names
from infra_console.cluster.routes import RouteState, Weights, in_force, read_route, set_weights
from infra_console.fleet.queries import list_clusters, list_regions
from infra_console.plans.marks import CLEARED, marks_of
from infra_console.plans.spec import ObjectRef, StepSpec
from infra_console.plans.steps.base import (
    Blocked,
    Done,
    Failed,
    Outcome,
    Skipped,
    StepContext,
    Undo,
    Waiting,
)
from infra_console.plans.steps.looks import Look
from infra_console.plans.steps.ours import owners_kept
from infra_console.plans.steps.owned import (
    NOBODY,
    is_ours,
    overtaken,
    owned_by_others,
    replaced,
    reverted,
)
from regions.core.law import ANYWHERE
from regions.liveness import life_of
from regions.queries import drained, room_of
from regions.route_facts import residency_of

POLL_S = 1.0
UNSURE_S = 5.0


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The approved weights that hold as things are, and what each region gets in all by them."""

    weights: Weights
    into: Mapping[str, float]
    lost: str = ""


class RouteWeights:
    """Write the weights; done when the gateways have accepted them."""

    def run(self, step: StepContext) -> Outcome:
        try:
            held = _read(step.target)
        except ClusterUnavailable as err:
            if not step.params.get("restore") and _is_lost_itself(step):
                return Skipped(f"its own region is lost, its route is left as it stands: {err}")
            raise
        if refusal := replaced(step, "HTTPRoute", held.uid) or overtaken(step, held):
            return refusal
        wanted = _wanted(step)
        if not isinstance(wanted, _Wanted):
            return wanted
        if not _stands(held, wanted.weights) or _marks_remain(step, held):
            if stop := _refuse(step, held, wanted) or _write(step, held, wanted):
                return stop
            held = _read(step.target)
        return _confirm(held, wanted)

    def rehearse(self, step: StepContext) -> Outcome:
        held = _read(step.target)
        wanted = _wanted(step)
        if not isinstance(wanted, _Wanted):
            return wanted
        refusal = replaced(step, "HTTPRoute", held.uid) or _refuse(step, held, wanted)
        return (
            refusal
            or _write(step, held, wanted)
            or Done(f"the server would set {words(wanted.weights)}")
        )

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        kept = {k: step.params[k] for k in ("uid", "model", "regions") if k in step.params}
        back = {"from": step.params.get("to"), "to": step.params.get("from"), "restore": True}
        title = f"Set the weights of {step.target.name} in {step.target.cluster} back"
        return (Undo("route.weights", title, step.tier, kept | back),)

    def look(self, target: ObjectRef, params: Mapping[str, Any]) -> Look:
        held = _read(target)
        now, then = words(held.weights), words(params["to"])
        approved = [params["to"], *(case["to"] for case in params.get("without", {}).values())]
        if not any(_stands(held, case) for case in approved):
            return Look(now, then, problem=f"{now}, planned {then}")
        return Look(now, then, problem=held.unmet)


def words(weights: Weights) -> str:
    return ", ".join(f"{name} {weight}" for name, weight in in_force(weights).items())


def _read(target: ObjectRef) -> RouteState:
    return read_route(target.cluster, target.namespace, target.name)


def _stands(held: RouteState, weights: Weights) -> bool:
    return held.weights == in_force(weights)


def _marks_remain(step: StepContext, held: RouteState) -> bool:
    return bool(step.params.get("restore")) and is_ours(step, held)


def _is_lost_itself(step: StepContext) -> bool:
    region = next((c.region_id for c in list_clusters() if c.id == step.cluster), "")
    return bool(region) and life_of([region])[region] == "lost"


def _wanted(step: StepContext) -> _Wanted | Outcome:
    """What is to be written as things are: the plan's weights, or those for a region's loss."""
    if step.params.get("restore"):
        return _Wanted(step.params["prior"]["raw"], {})
    whole = _Wanted(step.params["to"], step.params["into"])
    life = life_of(_receivers(step, whole.weights))
    if unsure := [r for r, said in life.items() if said == "unsure"]:
        said = ", ".join(unsure)
        return Waiting(f"the API of {said} is silent and its metrics are not", UNSURE_S)
    lost = [region for region, said in life.items() if said == "lost"]
    if not lost:
        return whole
    case = step.params.get("without", {}).get(lost[0])
    if len(lost) > 1 or case is None:
        return Blocked(
            f"{', '.join(lost)} is lost and the plan has no weights for that; nothing was written. "
            "Abort it: the next proposal knows"
        )
    return _Wanted(case["to"], case["into"], lost[0])


def _receivers(step: StepContext, weights: Weights) -> list[str]:
    regions = step.params["regions"]
    return [regions[name] for name, weight in weights.items() if weight != 0]


def _refuse(step: StepContext, held: RouteState, wanted: _Wanted) -> Outcome | None:
    """Why these weights may not be written now; None when they may."""
    if set(held.raw) != set(wanted.weights):
        return Failed(f"{step.target.name} has other backends than the plan relies on")
    wrote = (step.prior or {}).get("wrote")
    if wrote is not None and not _stands(held, wrote):
        return reverted(step, f"{step.target.name} has {words(held.weights)} again", held.owners)
    if wrote is None and not _as_found(step, held):
        return Failed(
            f"{step.target.name} has {words(held.weights)}, set by {names(held.owners) or NOBODY}; "
            f"the plan relies on {words(step.params['from'])}"
        )
    theirs = owned_by_others(step, held.owners)
    return theirs or _refuse_floor(step, held, wanted)


def _as_found(step: StepContext, held: RouteState) -> bool:
    """As the plan relies on; on the way back also as it left the route when a region was lost."""
    kept = (step.params.get("prior") or {}).get("wrote")
    known = [step.params["from"], *([kept] if kept else [])]
    if step.params.get("restore"):
        known.append(step.params["prior"]["raw"])
    return any(_stands(held, weights) for weights in known)


def _refuse_floor(step: StepContext, held: RouteState, wanted: _Wanted) -> Outcome | None:
    """Law, drains and room, as they are now, of every region that would get more."""
    receivers = _receivers(step, wanted.weights)
    if not receivers:
        return Failed(f"no region would get the requests of {step.target.name}")
    grows = [r for r in receivers if _grows(step, held, wanted, r)]
    if outside := _outside_the_law(held, receivers):
        return Failed(f"the law of {step.target.name} does not let {', '.join(outside)} serve it")
    if closed := sorted(set(grows) & drained()):
        return Blocked(f"{', '.join(closed)} was drained and is given nothing more")
    if step.params.get("restore"):
        lost = [r for r, said in life_of(grows).items() if said != "lives"]
        return Blocked(f"{', '.join(lost)} does not answer and gets nothing") if lost else None
    return _over_room(step, wanted, grows)


def _over_room(step: StepContext, wanted: _Wanted, grows: Sequence[str]) -> Outcome | None:
    room = room_of(step.params["model"])
    for region in grows:
        gets, has = wanted.into.get(region, 0.0), room.get(region)
        if has is None:
            return Waiting(f"the room of {region} is unknown, so it gets nothing more", UNSURE_S)
        if gets > has:
            return Blocked(f"{region} would get {gets:.1f} requests/s and has room for {has:.1f}")
    return None


def _grows(step: StepContext, held: RouteState, wanted: _Wanted, region: str) -> bool:
    then, backends = in_force(wanted.weights), step.params["regions"].items()
    return any(then[b] > held.weights.get(b, 0) for b, r in backends if r == region)


def _outside_the_law(held: RouteState, receivers: Sequence[str]) -> list[str]:
    residency = residency_of(held)
    if residency == ANYWHERE:
        return []
    jurisdiction = {region.id: region.jurisdiction for region in list_regions()}
    return [r for r in receivers if jurisdiction.get(r) not in residency]


def _write(step: StepContext, held: RouteState, wanted: _Wanted) -> Outcome | None:
    stood = step.prior or {"raw": dict(held.raw), **owners_kept(held.owners)}
    if not step.dry_run:
        step.keep_prior(stood)
    restore, owners = step.params.get("restore"), _owners_before(step)
    ours = marks_of(plan_id=step.plan_id, epoch=step.epoch, prior={"weights": stood["raw"]})
    step.write(
        f"weigh {held.namespace}/{held.name} {words(wanted.weights)}",
        lambda: set_weights(
            step.cluster,
            held,
            wanted.weights,
            annotations=CLEARED if restore else ours,
            manager=owners[0] if restore and len(owners) == 1 else "",
            dry_run=step.dry_run,
        ),
    )
    if not step.dry_run:
        step.keep_prior({**stood, "wrote": dict(wanted.weights)})
    return None


def _owners_before(step: StepContext) -> list[str]:
    """On the way back: in whose name the weights are written, since we took them over."""
    return list((step.params.get("prior") or {}).get("owners") or ())


def _confirm(held: RouteState, wanted: _Wanted) -> Outcome:
    if not _stands(held, wanted.weights):
        return Waiting(f"{held.name} has {words(held.weights)} by now", POLL_S)
    if held.unmet:
        return Waiting(held.unmet, POLL_S)
    lost = f"; {wanted.lost} is lost and gets nothing" if wanted.lost else ""
    return Done(f"{words(wanted.weights)} stands, accepted by its gateways{lost}")
