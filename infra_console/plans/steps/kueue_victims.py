"""Named training victims under Kueue: asked for a checkpoint, deactivated, reactivated.

A victim is a Workload: a whole gang to Kueue. It has left when its pods are gone and the status of
its ClusterQueue no longer counts what it held. One that ended by itself has left as well.

Params: uid where known; grace_s for the checkpoint.
"""

from collections.abc import Iterable, Sequence

from infra_console.cluster.errors import ObjectMissing
from infra_console.cluster.kueue import (
    KUEUE_ITSELF,
    list_workloads,
    read_cluster_queue,
    read_workload,
    set_active,
)
from infra_console.cluster.kueue_objects import FlavorResource, WorkloadState
from infra_console.cluster.managers import Manager
from infra_console.cluster.objects import PodState
from infra_console.cluster.reads import list_pods
from infra_console.plans import clock
from infra_console.plans.marks import CLEARED, marks_of
from infra_console.plans.spec import StepSpec
from infra_console.plans.steps.base import (
    Blocked,
    Done,
    Outcome,
    StepContext,
    Undo,
    Waiting,
)
from infra_console.plans.steps.checkpoints import ask_and_wait, saved_words
from infra_console.plans.steps.ours import owners_kept
from infra_console.plans.steps.owned import (
    below_floor,
    is_ours,
    overtaken,
    owned_by_others,
    replaced,
    reverted,
)

POLL_S = 1.0
WORKLOAD_NOTE = "kueue.x-k8s.io/workload"
ENDED = "it has ended by itself"


class Signal:
    """Ask a victim for a checkpoint, and wait for it within its grace."""

    def run(self, step: StepContext) -> Outcome:
        victim = _victim(step)
        if not isinstance(victim, WorkloadState):
            return victim
        pods = running_pods(step, victim)
        if not pods:
            return Done("none of its pods runs: there is nothing to save")
        if waits := ask_and_wait(step, pods, now=clock.now(), queue=victim.cluster_queue):
            return Waiting(f"waits for a checkpoint of {victim.full_name}, {waits}", POLL_S)
        return Done(saved_words(step, pods, now=clock.now(), queue=victim.cluster_queue))

    def rehearse(self, step: StepContext) -> Outcome:
        victim = _victim(step)
        if not isinstance(victim, WorkloadState):
            return victim
        pods = running_pods(step, victim)
        ask_and_wait(step, pods, now=clock.now(), queue=victim.cluster_queue)
        return Done(f"the server would ask {len(pods)} pods for a checkpoint")

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        return ()  # a checkpoint more does no harm


class Deactivate:
    """Stop a victim: its pods go, and its quota is released."""

    def run(self, step: StepContext) -> Outcome:
        victim = _victim(step)
        if not isinstance(victim, WorkloadState):
            return victim
        if victim.active:
            if refusal := _refuse(step, victim):
                return refusal
            prior = step.prior or _prior(victim)
            step.keep_prior(prior)
            _write(step, victim, active=False)
            step.keep_prior({**prior, "written": True})
            victim = read_workload(step.cluster, victim.namespace, victim.name)
        return _left(step, victim)

    def rehearse(self, step: StepContext) -> Outcome:
        victim = _victim(step)
        if not isinstance(victim, WorkloadState):
            return victim
        if not victim.active:
            return Done("it is deactivated already")
        if refusal := _refuse(step, victim):
            return refusal
        _write(step, victim, active=False)
        return Done(f"the server would deactivate {victim.full_name}")

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        title = f"Let {step.target.name} queue again"
        return (Undo("kueue.reactivate", title, step.tier, dict(step.params)),)


class Reactivate:
    """Let a victim queue again; when it runs is for Kueue to say."""

    def run(self, step: StepContext) -> Outcome:
        victim = _victim(step)
        if not isinstance(victim, WorkloadState):
            return victim
        if not victim.active and not is_ours(step, victim):
            return Blocked(
                f"{victim.full_name} was deactivated by somebody else since; it was left as it is"
            )
        if refusal := overtaken(step, victim):
            return refusal
        if is_ours(step, victim):
            _write(step, victim, active=True)
            victim = read_workload(step.cluster, victim.namespace, victim.name)
        if victim.reserved:
            return Done(f"{victim.full_name} has its quota again")
        if victim.requeued is False:
            return Waiting(f"Kueue has not yet taken {victim.full_name} back in line", POLL_S)
        return Done(f"{victim.full_name} waits in {victim.local_queue} again")

    def rehearse(self, step: StepContext) -> Outcome:
        return Done(f"{step.target.name} would queue again")

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        return ()


def running_pods(step: StepContext, victim: WorkloadState) -> list[PodState]:
    return [p for p in pods_of(step, victim) if p.node and not p.deleting]


def pods_of(step: StepContext, victim: WorkloadState) -> list[PodState]:
    """The pods of a Workload that have not ended."""
    pods = list_pods(step.cluster, namespace=victim.namespace)
    return [p for p in pods if not p.finished and belongs(p, victim)]


def belongs(pod: PodState, workload: WorkloadState) -> bool:
    """A pod of the job that the Workload stands for, or one that Kueue itself ties to it."""
    if pod.namespace != workload.namespace:
        return False
    if pod.annotations.get(WORKLOAD_NOTE) == workload.name:
        return True
    job = (workload.job_kind, workload.job_name)
    return all(job) and job == (pod.owner_kind, pod.owner_name)


def _victim(step: StepContext) -> WorkloadState | Outcome:
    """The Workload, or why there is nothing (more) to do about it."""
    try:
        victim = read_workload(step.cluster, step.target.namespace, step.target.name)
    except ObjectMissing:
        return Done(f"{ENDED} and is gone")
    if refusal := replaced(step, "Workload", victim.uid):
        return refusal
    return Done(ENDED) if victim.finished else victim


def _refuse(step: StepContext, victim: WorkloadState) -> Outcome | None:
    """Why it may not be stopped now; None when it may."""
    if refusal := overtaken(step, victim):
        return refusal
    owners = _owners(victim)
    if (step.prior and step.prior.get("written")) or is_ours(step, victim):
        return reverted(step, f"{victim.full_name} is active again", owners)
    return owned_by_others(step, owners) or below_floor(step)


def _owners(victim: WorkloadState) -> list[Manager]:
    return [m for m in victim.owners if m.name not in KUEUE_ITSELF]


def _prior(victim: WorkloadState) -> dict[str, object]:
    return {
        "active": True,
        "queue": victim.cluster_queue,
        "held": [[*key, gpus] for key, gpus in sorted(victim.usage.items())],
        **owners_kept(_owners(victim)),
    }


def _write(step: StepContext, victim: WorkloadState, *, active: bool) -> None:
    ours = marks_of(plan_id=step.plan_id, epoch=step.epoch, prior={"active": True})
    verb = "reactivate" if active else "deactivate"
    step.write(
        f"{verb} {victim.full_name}",
        lambda: set_active(
            step.cluster,
            victim,
            active,
            annotations=CLEARED if active else ours,
            dry_run=step.dry_run,
        ),
    )


def _left(step: StepContext, victim: WorkloadState) -> Outcome:
    """Whether a deactivated Workload's pods are gone and its quota is nobody's any more."""
    if pods := pods_of(step, victim):
        return Waiting(f"waits for {len(pods)} pods of {victim.full_name} to stop", POLL_S)
    if victim.reserved:
        return Waiting(f"Kueue has not yet taken back the quota of {victim.full_name}", POLL_S)
    prior = step.prior or {}
    if queue := str(prior.get("queue") or ""):
        held = [(str(f), str(r)) for f, r, _ in prior.get("held") or ()]
        if late := _still_counted(step, queue, held):
            return Waiting(late, POLL_S)
    freed = ", ".join(f"{gpus} {r}" for _, r, gpus in prior.get("held") or ())
    return Done(f"stopped, its quota is free{f' ({freed})' if freed else ''}")


def _still_counted(step: StepContext, queue: str, held: Iterable[FlavorResource]) -> str:
    """Whether the queue's status counts more than the Workloads that hold its quota now."""
    try:
        status = read_cluster_queue(step.cluster, queue).reserved
    except ObjectMissing:
        return ""
    holders = [w for w in list_workloads(step.cluster) if w.reserved and not w.finished]
    mine = [w for w in holders if w.cluster_queue == queue]
    for key in held:
        counted, right = status.get(key, 0), sum(w.usage.get(key, 0) for w in mine)
        if counted > right:
            return f"{queue} still counts {counted} {key[1]} as reserved, of {right}"
    return ""
