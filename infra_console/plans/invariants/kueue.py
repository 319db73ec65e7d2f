"""Whether each write to Kueue's objects is what its plan says of that very object, by its body.

A quota is set to what a step says, or on the way back to what stood before; `active` is taken from
named victims, or of whom a node is emptied that goes back, and given back to them. No other field
of theirs is ever ours.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from infra_console.plans.invariants.history import History, PlanRow, Request
from infra_console.plans.invariants.writes import Account

QUEUES, WORKLOADS = "clusterqueues", "workloads"
DRAIN_BACK = "node.drain_back"
QUOTA, ACTIVE = "/nominalQuota", "/spec/active"


def beyond_the_steps(history: History, kept: Account) -> list[str]:
    """Writes that changed something else than the plan says."""
    plans = {p.id: p for p in history.plans}
    steps = {(s.plan, s.key): s for s in history.steps}
    found: list[str] = []
    for write, request in kept.effects:
        plan = plans.get(write.plan)
        if plan is None or request is None or request.resource not in (QUEUES, WORKLOADS):
            continue
        if write.hand_back:  # judged by itself: it changes no field at all
            continue
        step = steps.get((write.plan, write.step))
        if step is not None and step.kind == DRAIN_BACK and request.resource == WORKLOADS:
            continue  # who ran on a node that goes back was in nobody's plan
        back = step is not None and step.back
        found += [f"{write} {why}" for why in _beyond(plan, request, back)]
    return found


def _beyond(plan: PlanRow, request: Request, back: bool) -> Iterator[str]:
    listed = [s for s in plan.document.get("steps", ()) if _speaks_of(s, request)]
    for operation in _changes(request.body):
        path, value = str(operation["path"]), operation.get("value")
        if request.resource == QUEUES and path.endswith(QUOTA):
            end = "from" if back else "to"
            if str(value) not in {str(s["params"].get(end)) for s in listed}:
                yield f"set a quota of {value}, which {plan} does not say"
        elif request.resource == WORKLOADS and path == ACTIVE:
            if not listed or value is not back:
                yield f"set active to {value}, which {plan} does not say"
        else:
            yield f"changed {path}, which is not ours"


def _speaks_of(step: Mapping[str, Any], request: Request) -> bool:
    kinds = {"kueue.set_quota", "kueue.deactivate"}
    target = step["target"]
    same = (target["namespace"], target["name"]) == (request.namespace, request.name)
    return step["kind"] in kinds and same


def _changes(body: Any) -> list[Mapping[str, Any]]:
    """The operations of a JSON patch that change something beside annotations of ours."""
    if not isinstance(body, list):
        return []
    return [
        op
        for op in body
        if op.get("op") != "test" and not str(op["path"]).startswith("/metadata/annotations")
    ]
