"""Scaling a Deployment.

Replicas that somebody applies are theirs, unless an admin let us take them over: then the way back
writes the count in the owner's name.

Params: from, to, victims (pod names to stop first when it shrinks), floor (replicas that no shrink
may go below; none when it is missing).
"""

from collections.abc import Sequence

from infra_console.cluster.errors import ObjectConflict, ObjectMissing
from infra_console.cluster.managers import Manager, appliers
from infra_console.cluster.objects import DeploymentState
from infra_console.cluster.reads import read_deployment, read_pod
from infra_console.cluster.scaling import read_scaled
from infra_console.cluster.writes import DELETION_COST, scale_deployment, set_deletion_cost
from infra_console.plans.spec import StepSpec
from infra_console.plans.steps.base import Done, Failed, Outcome, StepContext, Undo, Waiting
from infra_console.plans.steps.ours import by, owned, owner_before, owners_kept

FIRST_TO_GO = -1000
POLL_S = 1.0
MARK_TRIES = 3


class Scale:
    """Set replicas; done when as many pods as asked for are there, and ready."""

    def run(self, step: StepContext) -> Outcome:
        held, to = _deployment(step), int(step.params["to"])
        if held.replicas != to:
            if refusal := _refuse(step, held):
                return refusal
            prior = {"replicas": held.replicas, **owners_kept(appliers(_owners(step)))}
            step.keep_prior(prior)
            _write(step, held, to)
            step.keep_prior({**prior, "written": True})
            held = _deployment(step)
        return _victims_still_there(step) or _confirm(held, to)

    def rehearse(self, step: StepContext) -> Outcome:
        held, to = _deployment(step), int(step.params["to"])
        if refusal := _refuse(step, held):
            return refusal
        _write(step, held, to)
        return Done(f"the server would scale {held.replicas} → {to}")

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        """Back to what the plan relied on; a shrink on the way back keeps the same floor."""
        before = step.params.get("from")
        back = {"from": step.params.get("to"), "to": before, "floor": step.params.get("floor")}
        title = f"Scale {step.target.name} back to {before}"
        return (Undo("workload.scale", title, step.tier, back),)


def _deployment(step: StepContext) -> DeploymentState:
    return read_deployment(step.cluster, step.target.namespace, step.target.name)


def _refuse(step: StepContext, held: DeploymentState) -> Outcome | None:
    """Why it may not be scaled: somebody else set its replicas, or it would break its floor."""
    to, floor = int(step.params["to"]), step.params.get("floor")
    if floor is not None and to < min(int(floor), held.replicas):
        return Failed(f"floor: {held.name} would keep {to} replicas, below its floor of {floor}")
    if held.replicas not in (step.params["from"], step.params["to"]):
        return Failed(
            f"{held.name} has {held.replicas} replicas, set by somebody else; "
            f"the plan relies on {step.params['from']}"
        )
    if step.prior is not None and step.prior.get("written"):
        who = by(_owners(step))
        return Failed(f"{held.name} has {held.replicas} replicas again, reverted by {who}")
    keepers = appliers(_owners(step)) if held.replicas != to else []
    return owned(step, f"the count of {held.name}", keepers)


def _owners(step: StepContext) -> tuple[Manager, ...]:
    at = step.target
    return read_scaled(step.cluster, "Deployment", at.namespace, at.name).owners


def _write(step: StepContext, held: DeploymentState, to: int) -> None:
    if to < held.replicas:
        for name in step.params.get("victims") or ():
            _mark_victim(step, name)
    step.write(
        f"scale {held.namespace}/{held.name} {held.replicas} → {to}",
        lambda: scale_deployment(
            step.cluster, held, to, manager=owner_before(step), dry_run=step.dry_run
        ),
    )


def _mark_victim(step: StepContext, name: str) -> None:
    """Make a pod the first to go; one that has gone, or changes all the time, is left."""
    for _ in range(MARK_TRIES):
        try:
            _mark_once(step, name)
        except ObjectConflict:  # its kubelet wrote in between: read again
            continue
        except ObjectMissing:
            return
        return


def _mark_once(step: StepContext, name: str) -> None:
    pod = read_pod(step.cluster, step.target.namespace, name)
    if pod.annotations.get(DELETION_COST) == str(FIRST_TO_GO):
        return
    step.write(
        f"stop {pod.namespace}/{name} first",
        lambda: set_deletion_cost(step.cluster, pod, FIRST_TO_GO, dry_run=step.dry_run),
    )


def _victims_still_there(step: StepContext) -> Outcome | None:
    """A shrink frees GPUs when its victims are gone, not when the controller let go of them."""
    for name in step.params.get("victims") or ():
        try:
            pod = read_pod(step.cluster, step.target.namespace, name)
        except ObjectMissing:
            continue
        if pod.deleting:
            return Waiting(f"waits for {name} to stop", POLL_S)
    return None


def _confirm(held: DeploymentState, to: int) -> Outcome:
    if not held.observed or held.pods != to:
        return Waiting(f"{held.pods} of {to} pods of {held.name} are there", POLL_S)
    if held.ready < to:
        return Waiting(f"{held.ready} of {to} pods of {held.name} are ready", POLL_S)
    return Done(f"{to} pods of {held.name} are ready")
