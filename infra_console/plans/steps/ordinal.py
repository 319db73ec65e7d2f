"""Scaling a StatefulSet or a LeaderWorkerSet: the highest number leaves, whoever runs there.

So nobody chooses the victim: the step names who will leave, and on which nodes they run where the
plan counts on these, and writes only while that is still so. A LeaderWorkerSet's unit is the group;
a growth is done when every pod of a new one is ready, a shrink when every pod of one is gone.

Replicas that somebody applies are theirs, unless an admin let us take them over: then the way back
writes the count in the owner's name.

Params: from, to; leaves (names of the highest replicas, as `chat-2`), nodes (by such a name, the
nodes that the plan empties), floor (replicas that no shrink may go below), uid.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from infra_console.cluster.managers import appliers
from infra_console.cluster.objects import PodState
from infra_console.cluster.reads import list_pods
from infra_console.cluster.scaling import ScaleState, numbered_pods, read_scaled, scale_object
from infra_console.plans.spec import ObjectRef, StepSpec
from infra_console.plans.steps.base import Done, Failed, Outcome, StepContext, Undo, Waiting
from infra_console.plans.steps.looks import Look
from infra_console.plans.steps.ours import (
    another_object,
    by,
    has_written,
    owned,
    owner_before,
    owners_kept,
    reverted,
)

POLL_S = 1.0
Numbered = Mapping[int, Sequence[PodState]]


class ScaleOrdinal:
    """Set replicas; done when whoever came is ready and whoever left is gone."""

    def run(self, step: StepContext) -> Outcome:
        held, to = read_target(step.target), int(step.params["to"])
        if other := another_object(step, held.uid):
            return other
        if held.replicas != to:
            if refusal := _refuse(step, held):
                return refusal
            prior = {"replicas": held.replicas, **owners_kept(appliers(held.owners))}
            step.keep_prior(prior)
            _write(step, held, to)
            step.keep_prior({**prior, "written": True})
            held = read_target(step.target)
        return _confirm(step, held)

    def rehearse(self, step: StepContext) -> Outcome:
        held, to = read_target(step.target), int(step.params["to"])
        if refusal := another_object(step, held.uid) or _refuse(step, held):
            return refusal
        _write(step, held, to)
        return Done(f"the server would scale {held.replicas} → {to}")

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        """Back to what the plan relied on; what came last goes first, under the same floor."""
        params, before = step.params, step.params.get("from")
        back: dict[str, Any] = {"from": params.get("to"), "to": before}
        back |= {k: params[k] for k in ("floor", "uid") if k in params}
        title = f"Scale {step.target.name} back to {before}"
        return (Undo("workload.scale_ordinal", title, step.tier, back),)

    def look(self, target: ObjectRef, params: Mapping[str, Any]) -> Look:
        held, to = read_target(target), int(params["to"])
        leaves = tuple(_leaving(held, to)) if held.replicas and to < held.replicas else ()
        stops: tuple[str, ...] = ()
        if held.replicas not in (params["from"], to):
            stops = (f"replicas were set by {by(held.owners)}",)
        elif _below_floor(held, params):
            stops = (f"floor: {to} replicas are below its floor of {params['floor']}",)
        facts = f"{held.replicas} replicas, {held.ready} of them ready"
        problem = "" if held.replicas == held.ready == to else f"{facts}, planned {to}"
        now, then = f"{held.replicas} replicas", f"{to} replicas"
        return Look(now, then, problem=problem, leaves=leaves, stops=stops)


def read_target(target: ObjectRef) -> ScaleState:
    return read_scaled(target.cluster, target.kind, target.namespace, target.name)


def _refuse(step: StepContext, held: ScaleState) -> Outcome | None:
    """Why it may not be scaled: set by others, below its floor, or others would leave."""
    to, replicas = int(step.params["to"]), held.replicas or 0
    if _below_floor(held, step.params):
        floor = step.params["floor"]
        return Failed(f"floor: {held.name} would keep {to} replicas, below its floor of {floor}")
    if has_written(step):
        return reverted(f"{held.name} has {replicas} replicas again", held.owners)
    if replicas != step.params["from"]:
        return Failed(
            f"{held.name} has {replicas} replicas, set by {by(held.owners)}; "
            f"the plan relies on {step.params['from']}"
        )
    if theirs := owned(step, f"the count of {held.name}", appliers(held.owners)):
        return theirs
    return _refuse_leaving(step, held) if to < replicas else None


def _below_floor(held: ScaleState, params: Mapping[str, Any]) -> bool:
    floor = params.get("floor")
    return floor is not None and int(params["to"]) < min(int(floor), held.replicas or 0)


def _refuse_leaving(step: StepContext, held: ScaleState) -> Failed | None:
    """Why a shrink would not free what the plan says it frees; None when it would."""
    leaving = _leaving(held, int(step.params["to"]))
    named = step.params.get("leaves")
    if named is not None and sorted(named) != sorted(leaving):
        return Failed(
            f"{held.name} would lose {', '.join(leaving)}; the plan names {', '.join(named)}"
        )
    pods = _pods(step, held)
    for name, nodes in (step.params.get("nodes") or {}).items():
        number = int(name.removeprefix(f"{held.name}-"))
        found = sorted({p.node for p in pods.get(number, ()) if p.node})
        if found != sorted(nodes):
            where = ", ".join(found) or "no node"
            return Failed(f"{name} runs on {where}; the plan frees {', '.join(sorted(nodes))}")
    return None


def _leaving(held: ScaleState, to: int) -> list[str]:
    numbers = range(held.first + to, held.first + (held.replicas or 0))
    return [f"{held.name}-{n}" for n in reversed(numbers)]


def _pods(step: StepContext, held: ScaleState) -> Numbered:
    return numbered_pods(held, list_pods(step.cluster, namespace=held.namespace))


def _write(step: StepContext, held: ScaleState, to: int) -> None:
    step.write(
        f"scale {held.namespace}/{held.name} {held.replicas} → {to}",
        lambda: scale_object(
            step.cluster, held, to, manager=owner_before(step), dry_run=step.dry_run
        ),
    )


def _confirm(step: StepContext, held: ScaleState) -> Outcome:
    to, pods = int(step.params["to"]), _pods(step, held)
    wanted = range(held.first, held.first + to)
    if gone := sorted(n for n in pods if n not in wanted):
        return Waiting(_still_there(held, gone, pods), POLL_S)
    if not held.observed or held.there != to:
        return Waiting(f"{held.there} of {to} replicas of {held.name} are there", POLL_S)
    lacking = [n for n in wanted if not _is_whole(held, pods.get(n, ()))]
    if lacking or held.ready < to:
        names = ", ".join(f"{held.name}-{n}" for n in lacking) or held.name
        return Waiting(f"waits for {names} to be ready", POLL_S)
    return Done(f"{to} replicas of {held.name} are ready")


def _is_whole(held: ScaleState, pods: Sequence[PodState]) -> bool:
    ready = sum(p.ready and not p.deleting for p in pods)
    return ready == len(pods) == held.group_size


def _still_there(held: ScaleState, numbers: Iterable[int], pods: Numbered) -> str:
    names = ", ".join(f"{held.name}-{n}" for n in numbers)
    if held.kind == "StatefulSet" and (low := _unready(held, pods)):
        return f"waits for {names} to stop; an ordered set does so once {low} is ready"
    return f"waits for {names} to stop"


def _unready(held: ScaleState, pods: Numbered) -> str:
    """The lowest of the pods that stay and are not ready: it holds an ordered set up."""
    stay = (n for n in sorted(pods) if n < held.first + (held.replicas or 0))
    return next((f"{held.name}-{n}" for n in stay if not _is_whole(held, pods[n])), "")
