"""Whether what a plan relies on still holds, by reading its preconditions from the cluster.

Drift is semantic: uid, tier label, unschedulable, ready, allocatable GPUs, replicas, bounds, quota,
active. A heartbeat, an admission or a status that moved a resourceVersion voids nothing.
"""

from collections.abc import Iterable
from typing import Any

from infra_console.cluster.errors import ClusterError, ObjectMissing
from infra_console.cluster.reads import read_deployment
from infra_console.plans.errors import Drifted
from infra_console.plans.facts.kinds import read_facts
from infra_console.plans.facts.snapshot import Nodes
from infra_console.plans.models import Plan, Step
from infra_console.plans.spec import ObjectRef, Precondition
from infra_console.plans.states import STEP_ENDED


def check_drift(preconditions: Iterable[Precondition], *, tier_key: str) -> None:
    """Read every object that the plan relies on.

    Raises:
        Drifted: something changed, with one line each. ClusterError: it could not be read.
    """
    nodes = Nodes()
    if changes := [c for p in preconditions for c in _changes(p, nodes, tier_key)]:
        raise Drifted(changes)


def changes_ahead(plan: Plan, *, tier_key: str) -> list[str]:
    """What has changed of the objects that the plan has not written to yet, one line each.

    An object that cannot be read now tells nothing: the steps on it wait for its cluster.
    """
    begun, nodes = _begun(plan), Nodes()
    changes: list[str] = []
    for precondition in plan.spec.preconditions:
        if precondition.target in begun:
            continue
        try:
            changes += _changes(precondition, nodes, tier_key)
        except ClusterError:
            continue
    return changes


def _begun(plan: Plan) -> set[ObjectRef]:
    """The objects on which a step has ended, or has kept what stood there before its write."""
    return {
        ObjectRef.model_validate(step.target)
        for step in Step.objects.filter(plan=plan)
        if step.prior is not None or step.state in STEP_ENDED
    }


def _changes(precondition: Precondition, nodes: Nodes, tier_key: str) -> list[str]:
    name = _name(precondition.target)
    try:
        held = facts_of(precondition.target, nodes, tier_key=tier_key)
    except ObjectMissing:
        return [f"{name} is gone"]
    return [
        f"{name}: {fact} is {held.get(fact, 'not readable')}, was {wanted}"
        for fact, wanted in precondition.facts.items()
        if held.get(fact, ...) != wanted
    ]


def facts_of(target: ObjectRef, nodes: Nodes, *, tier_key: str) -> dict[str, Any]:
    """The facts of one object that a precondition may name; none for kinds we do not read."""
    if target.kind == "Node":
        node = nodes.get(target.cluster, target.name)
        return {
            "uid": node.uid,
            "tier": node.labels.get(tier_key),
            "unschedulable": node.unschedulable,
            "ready": node.ready,
            "gpus_allocatable": node.gpus_allocatable,
        }
    if target.kind == "Deployment":
        deployment = read_deployment(target.cluster, target.namespace, target.name)
        return {"uid": deployment.uid, "replicas": deployment.replicas}
    return read_facts(target)


def _name(target: ObjectRef) -> str:
    place = f"{target.namespace}/" if target.namespace else ""
    return f"{target.cluster} {target.kind.lower()} {place}{target.name}"
