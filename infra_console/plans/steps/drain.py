"""The step that empties a node, as its disruption budgets allow.

Params: as in node.py, `grace_s`, in which gangs may save their work, and `victims`, the Workloads
of Kueue that the plan stops before: see gangs.py.
"""

from collections.abc import Iterable, Sequence
from functools import partial

from infra_console.cluster.errors import EvictionBlocked, ObjectMissing
from infra_console.cluster.objects import PodState
from infra_console.cluster.reads import list_pods
from infra_console.cluster.writes import evict_pod
from infra_console.plans.spec import StepSpec
from infra_console.plans.steps.base import Blocked, Done, Outcome, StepContext, Undo, Waiting
from infra_console.plans.steps.gangs import gangs_first
from infra_console.plans.steps.node import read_target, refuse_other, refuse_unheld
from infra_console.plans.steps.owned import below_floor

DRAIN_POLL_S = 1.0
MAX_RETRY_S = 10.0
NAMES_SHOWN = 3


class Drain:
    """Evict what runs on a node, as its disruption budgets allow, until it is gone.

    A pod that nothing would make anew elsewhere is never evicted: a person decides about it.
    """

    side_by_side = True

    def run(self, step: StepContext) -> Outcome:
        node = read_target(step)
        if refusal := refuse_other(step, node) or refuse_unheld(step, node):
            return refusal
        pods = leaving(step)
        if not pods:
            return Done("no pod is left that must leave")
        staying = [p for p in pods if not p.deleting]
        floor = below_floor(step) if staying else None
        if refusal := _for_good(pods) or floor or gangs_first(step, pods):
            return refusal
        blocked = _evict_all(step, staying)
        if blocked:
            wait_s = min(MAX_RETRY_S, max(b.retry_after_s for b in blocked.values()))
            names = _names(blocked)
            return Waiting(f"a disruption budget keeps {names}, try {step.attempts}", wait_s)
        return Waiting(f"waits for {_names(p.name for p in pods)} to stop", DRAIN_POLL_S)

    def rehearse(self, step: StepContext) -> Outcome:
        if refusal := refuse_other(step, read_target(step)):
            return refusal
        pods = leaving(step)
        if lost := _for_good(pods):
            return lost
        blocked = _evict_all(step, [p for p in pods if not p.deleting])
        if blocked:
            return Done(f"a disruption budget would make it wait for {_names(blocked)}")
        return Done(f"the server would evict {len(pods)} pods")

    def undo(self, step: StepSpec) -> Sequence[Undo]:
        return ()  # what was evicted runs elsewhere by now


def leaving(step: StepContext) -> list[PodState]:
    pods = list_pods(step.cluster, node=step.target.name)
    return [p for p in pods if not p.stays_on_drain]


def _for_good(pods: Iterable[PodState]) -> Blocked | None:
    """The refusal when an eviction would end a pod for good; None when all would come again."""
    bare = [f"{p.namespace}/{p.name}" for p in pods if not (p.owner_kind or p.deleting)]
    if not bare:
        return None
    return Blocked(
        f"{_names(bare)} has no controller that would start it elsewhere; "
        "stop or move it and resume, or abort"
    )


def _evict_all(step: StepContext, pods: list[PodState]) -> dict[str, EvictionBlocked]:
    """Ask for every pod's eviction; those that a budget keeps, with its refusal."""
    blocked: dict[str, EvictionBlocked] = {}
    for pod in pods:
        try:
            step.write(
                f"evict {pod.namespace}/{pod.name}",
                partial(evict_pod, step.cluster, pod, dry_run=step.dry_run),
            )
        except EvictionBlocked as err:
            blocked[pod.name] = err
        except ObjectMissing:  # gone between the list and the request
            continue
    return blocked


def _names(names: Iterable[str]) -> str:
    every = sorted(names)
    more = f" and {len(every) - NAMES_SHOWN} more" if len(every) > NAMES_SHOWN else ""
    return ", ".join(every[:NAMES_SHOWN]) + more
