"""Buying and giving back machines: a MachineDeployment or a static NodePool, through `scale`.

These are the only steps that start or stop paying. Only an empty node is given back: its machine is
marked to go first, and the step is done when it is gone. A growth is done when every machine is
ready; where the provider has none the plan pauses with its reason and the plan's own fallback.

Params: from, to; leaves (the nodes that are given back, which the plan has emptied), nodes_in (the
cluster of these nodes, where the machines are managed from another one), fallback (what to do when
there is no capacity), uid.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from infra_console.cluster.machines import MachineState, list_machines, mark_machine
from infra_console.cluster.reads import list_pods
from infra_console.cluster.scaling import ScaleState, read_scaled, scale_object
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
from infra_console.plans.steps.ours import another_object, by, has_written, reverted

POLL_S = 5.0


class ScaleMachines:
    """Set how many machines there are; done when who came is ready and who left is gone."""

    def run(self, step: StepContext) -> Outcome:
        held, to = read_target(step.target), int(step.params["to"])
        machines = list_machines(step.cluster, held)
        if other := another_object(step, held.uid):
            return other
        if held.replicas != to:
            if refusal := _refuse(step, held, machines):
                return refusal
            prior = {"replicas": held.replicas, "machines": sorted(m.name for m in machines)}
            step.keep_prior(prior)
            _write(step, held, machines)
            step.keep_prior(prior | {"written": True})
            held, machines = read_target(step.target), list_machines(step.cluster, held)
        return _confirm(step, held, machines)

    def rehearse(self, step: StepContext) -> Outcome:
        held = read_target(step.target)
        machines = list_machines(step.cluster, held)
        if refusal := another_object(step, held.uid) or _refuse(step, held, machines):
            return refusal
        _write(step, held, machines)
        return Done(f"the server would scale {held.replicas} → {step.params['to']}")

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        """The same count again. What was given back is bought anew; what came is given back."""
        params, before = step.params, step.params.get("from")
        back: dict[str, Any] = {"from": params.get("to"), "to": before}
        back |= {k: params[k] for k in ("uid", "nodes_in", "fallback") if k in params}
        title = f"Scale {step.target.name} back to {before}"
        return (Undo("machines.scale", title, step.tier, back),)

    def look(self, target: ObjectRef, params: Mapping[str, Any]) -> Look:
        held, to = read_target(target), int(params["to"])
        stops: tuple[str, ...] = ()
        if held.replicas not in (params["from"], to):
            stops = (f"the count was set by {by(held.owners)}",)
        facts = f"{held.replicas} machines, {held.ready} of them ready"
        stands = held.replicas == held.there == held.ready == to
        problem = "" if stands else f"{facts}, planned {to}"
        return Look(facts, f"{to} machines", problem=problem, stops=stops)


def read_target(target: ObjectRef) -> ScaleState:
    return read_scaled(target.cluster, target.kind, target.namespace, target.name)


def _refuse(
    step: StepContext, held: ScaleState, machines: Sequence[MachineState]
) -> Outcome | None:
    """Why the count may not change: it is not ours to set, or a node is still in use."""
    to = int(step.params["to"])
    if held.replicas is None:
        return Failed(f"{held.name} makes nodes as pods need them; it has no count to set")
    if held.autoscaled:
        return Blocked(f"the count of {held.name} is owned by the cluster autoscaler")
    if has_written(step):
        return reverted(f"{held.name} has {held.replicas} machines again", held.owners)
    if held.replicas != step.params["from"]:
        return Failed(
            f"{held.name} has {held.replicas} machines, set by {by(held.owners)}; "
            f"the plan relies on {step.params['from']}"
        )
    return _refuse_leaving(step, held, machines) if to < held.replicas else None


def _refuse_leaving(
    step: StepContext, held: ScaleState, machines: Sequence[MachineState]
) -> Outcome | None:
    """Why these nodes may not be given back; None when each is there and empty."""
    leaving = _leaving(step, machines)
    many = (held.replicas or 0) - int(step.params["to"])
    if len(leaving) != many:
        names = ", ".join(m.node or m.name for m in leaving) or "none"
        return Failed(f"{many} machines of {held.name} are to go, and the plan names {names}")
    for node in (m.node for m in leaving if m.node):
        cluster = step.params.get("nodes_in") or step.cluster
        busy = [p for p in list_pods(cluster, node=node) if p.gpus and not p.finished]
        if busy:
            return Blocked(f"{node} still runs {busy[0].namespace}/{busy[0].name}; empty it first")
    return None


def _leaving(step: StepContext, machines: Sequence[MachineState]) -> list[MachineState]:
    """The machines of the nodes that the plan names; on the way back, those that came with it."""
    named = step.params.get("leaves")
    if named is None:
        before = (step.params.get("prior") or {}).get("machines", [m.name for m in machines])
        return [m for m in machines if m.name not in before and not m.leaving]
    return [m for m in machines if m.node in named or m.name in named]


def _write(step: StepContext, held: ScaleState, machines: Sequence[MachineState]) -> None:
    to = int(step.params["to"])
    if to < (held.replicas or 0) and held.kind == "MachineDeployment":
        for machine in _leaving(step, machines):
            _mark(step, machine)
    step.write(
        f"scale {held.kind} {held.name} {held.replicas} → {to}",
        lambda: scale_object(step.cluster, held, to, dry_run=step.dry_run),
    )


def _mark(step: StepContext, machine: MachineState) -> None:
    if not machine.mark:
        what = f"let {machine.namespace}/{machine.name} go first"
        _write_mark(step, machine, what, step.plan_id)


def _unmark(step: StepContext, machines: Sequence[MachineState]) -> None:
    """Take our marks off machines that stay: a plan that ended between mark and scale left them."""
    for machine in machines:
        if machine.mark == step.plan_id and not machine.leaving:
            _write_mark(step, machine, f"let {machine.namespace}/{machine.name} stay", None)


def _write_mark(step: StepContext, machine: MachineState, what: str, mark: str | None) -> None:
    step.write(what, lambda: mark_machine(step.cluster, machine, mark, dry_run=step.dry_run))


def _confirm(step: StepContext, held: ScaleState, machines: Sequence[MachineState]) -> Outcome:
    to = int(step.params["to"])
    if refused := [m for m in machines if m.refused and not m.leaving]:
        return Blocked(_no_capacity(step, held, refused))
    going = [m for m in machines if m.leaving]
    if going or len(machines) > to:
        names = ", ".join(m.node or m.name for m in going) or f"{len(machines) - to} machines"
        return Waiting(f"waits for {names} to be given back", POLL_S)
    ready = sum(m.ready for m in machines)
    if ready < to or held.there != to or held.ready < to:
        return Waiting(f"{ready} of {to} machines of {held.name} are ready", POLL_S)
    if step.params.get("prior"):
        _unmark(step, machines)
    return Done(f"{to} machines of {held.name} are ready and paid for")


def _no_capacity(step: StepContext, held: ScaleState, refused: Sequence[MachineState]) -> str:
    fallback = step.params.get("fallback") or "roll back, or wait and resume"
    return (
        f"the provider has no machine for {len(refused)} of {held.name} "
        f"({refused[0].refused}); fallback: {fallback}"
    )
