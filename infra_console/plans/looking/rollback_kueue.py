"""What a rollback would do to Kueue's objects: the quota put back, the victims queueing again."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from infra_console.cluster.errors import ObjectMissing
from infra_console.cluster.kueue import read_cluster_queue, read_workload
from infra_console.cluster.managers import names
from infra_console.cluster.takeovers import foreign
from infra_console.plans.marks import held_by
from infra_console.plans.models import Step

PAUSES = "the way back would pause"
ENDED = "has ended"


def recorded_back(step: Step) -> str:
    """What was written down to come back, known without looking; empty for other kinds."""
    if step.kind == "kueue.restore_quota":
        prior = step.params["prior"]
        return f"{prior['nominalQuota']} of {prior['flavor']}"
    return "queues again" if step.kind == "kueue.reactivate" else ""


def _queue(steps: Sequence[Step]) -> dict[str, Any]:
    target = steps[0].target
    queue = read_cluster_queue(target["cluster"], target["name"])
    now, stops = [], []
    for step in steps:
        prior = step.params["prior"]
        quota = queue.quota(prior["flavor"], prior["resource"])
        held = quota.amount if quota else "nothing"
        now.append(f"{held} of {prior['flavor']}")
        if quota is None or (
            quota.raw != prior["nominalQuota"] and quota.amount != int(step.params["from"])
        ):
            stops.append(f"the quota of {prior['flavor']} was changed since: {PAUSES}")
    if others := foreign(target["cluster"], "ClusterQueue", queue.owners):
        stops.append(f"its quota is owned by {names(others)}: {PAUSES}")
    then = ", ".join(recorded_back(step) for step in steps)
    return {"now": ", ".join(now), "then": then, "stops": tuple(stops)}


def _workload(steps: Sequence[Step]) -> dict[str, Any]:
    step = steps[0]
    target = step.target
    try:
        workload = read_workload(target["cluster"], target["namespace"], target["name"])
    except ObjectMissing:
        return {"now": ENDED, "then": ENDED}
    if workload.finished:
        return {"now": ENDED, "then": ENDED}
    ours = held_by(workload) == str(step.plan_id)
    stops = () if workload.active or ours else (f"deactivated by somebody else: {PAUSES}",)
    now = "queues or runs" if workload.active else "deactivated"
    return {"now": now, "then": "queues again", "stops": stops}


KUEUE_BACK: Mapping[str, Callable[[Sequence[Step]], dict[str, Any]]] = {
    "ClusterQueue": _queue,
    "Workload": _workload,
}
