"""What a drain owes to the gangs on its node before it evicts one of their pods.

Evicting one pod restarts its whole gang. A gang that Kueue runs leaves whole, as a victim that the
plan names: the drain waits for those to be gone, and stops at one that it does not name. Any other
gang is asked for a checkpoint and given its grace.

A node that goes back to another tier holds whatever Kueue admitted since, which no plan could name:
those leave whole too, deactivated under a note of the node, and queue again once it is empty.

Params: grace_s and victims (`namespace/name` of Workloads) of the drain, requeue of one on the way
back; without them nobody is waited for.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain

from infra_console.cluster.kueue import list_workloads, set_active
from infra_console.cluster.kueue_objects import WorkloadState
from infra_console.cluster.objects import PodState
from infra_console.cluster.reads import list_pods
from infra_console.plans import clock
from infra_console.plans.marks import CLEARED, marks_of, noted_prior
from infra_console.plans.steps.base import Blocked, Outcome, StepContext, Waiting
from infra_console.plans.steps.checkpoint_queues import any_rules
from infra_console.plans.steps.checkpoints import ask_and_wait
from infra_console.plans.steps.kueue_victims import belongs
from infra_console.plans.steps.owned import is_ours

POLL_S = 1.0


def gangs_first(step: StepContext, pods: Sequence[PodState]) -> Outcome | None:
    """Why no pod may be evicted yet; None when all may."""
    if "victims" in step.params and (waits := _victims_first(step, pods)):
        return waits
    if "grace_s" not in step.params:
        return None
    gangs = _gangs(step, pods)
    # Where no queue has a rule nothing is read of Kueue, which we may have no right to.
    workloads = _workloads_of(step, chain(*gangs.values())) if any_rules() else []
    waits_for = [
        f"{namespace}/{job}, {left}"
        for (namespace, job), gang in gangs.items()
        if (left := ask_and_wait(step, gang, now=clock.now(), queue=_queue_of(gang, workloads)))
    ]
    if waits_for:
        return Waiting(f"waits for a checkpoint of {'; '.join(waits_for)}", POLL_S)
    return _leave_whole(step, pods) if step.params.get("requeue") else None


def let_back(step: StepContext) -> None:
    """Let the gangs queue again that this drain sent off its node; those of no other step."""
    for gang in list_workloads(step.cluster):
        if is_ours(step, gang) and noted_prior(gang).get("left") == step.target.name:
            step.write(
                f"reactivate {gang.full_name} that left {step.target.name}",
                partial(
                    set_active, step.cluster, gang, True, annotations=CLEARED, dry_run=step.dry_run
                ),
            )


def _leave_whole(step: StepContext, pods: Iterable[PodState]) -> Outcome | None:
    """Deactivate the Workloads that have a pod here, and wait for them to be gone."""
    there = [w for w in _workloads_of(step, pods) if not w.finished]
    for gang in there:
        if gang.active:
            prior = {"active": True, "left": step.target.name}
            ours = marks_of(plan_id=step.plan_id, epoch=step.epoch, prior=prior)
            step.write(
                f"deactivate {gang.full_name} to leave {step.target.name}",
                partial(
                    set_active, step.cluster, gang, False, annotations=ours, dry_run=step.dry_run
                ),
            )
    named = ", ".join(w.full_name for w in there)
    return Waiting(f"waits for {named} to leave", POLL_S) if there else None


def _victims_first(step: StepContext, pods: Iterable[PodState]) -> Outcome | None:
    named, there = set(step.params["victims"]), _workloads_of(step, pods)
    if unnamed := sorted(w.full_name for w in there if w.full_name not in named):
        return Blocked(
            f"{', '.join(unnamed)} runs on {step.target.name} and is no victim that the plan "
            "names; stop it and resume, or abort and plan anew"
        )
    if waited := sorted(w.full_name for w in there):
        return Waiting(f"waits for {', '.join(waited)} to leave", POLL_S)
    return None


def _workloads_of(step: StepContext, pods: Iterable[PodState]) -> list[WorkloadState]:
    """The Workloads of Kueue that these pods belong to."""
    mine = list(pods)
    spaces = sorted({p.namespace for p in mine})
    found = [w for space in spaces for w in list_workloads(step.cluster, namespace=space)]
    return [w for w in found if any(belongs(p, w) for p in mine)]


def _queue_of(gang: Iterable[PodState], workloads: Iterable[WorkloadState]) -> str:
    """The ClusterQueue that admitted a gang, whose webhook and metric count; empty for none."""
    pods = list(gang)
    return next((w.cluster_queue for w in workloads if any(belongs(p, w) for p in pods)), "")


def _gangs(step: StepContext, pods: Iterable[PodState]) -> dict[tuple[str, str], list[PodState]]:
    """Every pod of each Job that has one here, on whichever nodes the others run."""
    jobs = {(p.namespace, p.owner_name) for p in pods if p.owner_kind == "Job" and not p.deleting}
    gangs: dict[tuple[str, str], list[PodState]] = {}
    for namespace in sorted({namespace for namespace, _ in jobs}):
        for pod in list_pods(step.cluster, namespace=namespace):
            key = (pod.namespace, pod.owner_name)
            if pod.owner_kind == "Job" and key in jobs and pod.node and not pod.finished:
                gangs.setdefault(key, []).append(pod)
    return gangs
