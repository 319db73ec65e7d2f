"""Objects of a served cluster that plans scale and bound, and workers killed at a boundary."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from infra_console.plans.executing import executor
from infra_console.plans.executing.runner import Runner
from infra_console.plans.holding.fence import Fence
from infra_console.plans.models import Execution, Plan
from infra_console.plans.spec import ObjectRef, StepSpec
from tests.infra_console.kube import CLUSTER, Twin
from tests.infra_console.plans.conftest import let_lease_run_out
from tests.infra_console.plans.specs import spec
from tests.tiers.twin.kube import objects
from tiers.twin.kube.resources import LEADER_WORKER_SETS, NODES, STATEFUL_SETS, Obj, Resource
from tiers.twin.kube.validate import with_defaults

SPACE = "inference"
# Where a worker may die: before a write, after it took effect, and before its result is recorded.
BOUNDARIES = ("before the write", "after the write", "before the record")
DEATHS = (*(("there", where) for where in BOUNDARIES), ("back", BOUNDARIES[1]))


class Killed(BaseException):
    """The worker is gone at this instant."""


def add(twin: Twin, resource: Resource, body: Obj, namespace: str = SPACE) -> Obj:
    if resource.namespaced:
        body["metadata"]["namespace"] = namespace

    def put() -> Obj:
        return twin.store.create(resource, with_defaults(resource, body), datetime.now(UTC))

    made: Obj = twin.call(put)
    return made


def handed_over(resource: Resource, body: Obj, **keeps: Any) -> Obj:
    """The object as its writer left it who owns `keeps` of the spec and gave up the rest."""
    fields = {"f:spec": {f"f:{name}": {} for name in keeps}}
    entry = {
        "manager": "kubectl",
        "operation": "Update",
        "apiVersion": resource.api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    metadata = {**body["metadata"], "managedFields": [entry]}
    return {**body, "metadata": metadata, "spec": body["spec"] | keeps}


def held(twin: Twin, resource: Resource, name: str, namespace: str = SPACE) -> Obj:
    found: Obj = twin.call(twin.store.get, resource, namespace if resource.namespaced else "", name)
    return found


def room(twin: Twin, name: str = "spare-01", **labels: str) -> None:
    """One more node of the inference tier, with nobody on it."""
    made = objects.node(name)
    made["metadata"]["labels"] |= labels
    add(twin, NODES, made)


def stateful_set(twin: Twin, replicas: int, name: str = "embed") -> None:
    body = objects.deployment(name, replicas=replicas)
    body["spec"] |= {"serviceName": name, "podManagementPolicy": "Parallel"}
    add(twin, STATEFUL_SETS, body)


def leader_worker_set(twin: Twin, replicas: int, name: str = "wide", size: int = 2) -> None:
    template = objects.deployment(name)["spec"]["template"]
    group = {"workerTemplate": template, "size": size}
    body = {
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "leaderWorkerTemplate": group},
    }
    add(twin, LEADER_WORKER_SETS, body)


def ref(kind: str, name: str, namespace: str = SPACE) -> ObjectRef:
    return ObjectRef(cluster=CLUSTER, kind=kind, namespace=namespace, name=name)


def step(kind: str, target: ObjectRef, wave: int = 0, tier: Any = "inference", **params: Any):
    return StepSpec(
        key=f"{CLUSTER}/{target.namespace or 'all'}/{target.name}/{kind}",
        kind=kind,
        title=f"{kind} of {target.name}",
        target=target,
        tier=tier,
        wave=wave,
        params=params,
    )


def plan_of(*steps: StepSpec, **changes: Any):
    """A document with these steps and no moves of nodes or Deployments."""
    return spec(moves=(), steps=steps, guards=(), **changes)


def until(condition: Callable[[], Any], tries: int = 200) -> None:
    import time

    for _ in range(tries):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never came about")


def die_once(monkeypatch: pytest.MonkeyPatch, where: str, number: int = 1) -> None:
    """The n-th time that a worker comes to this boundary, it dies."""
    came, write, record = 0, Fence.write, Runner._record

    def count() -> bool:
        nonlocal came
        came += 1
        return came == number

    def dying_write(self, **call):
        if where == "before the write" and count():
            raise Killed
        result = write(self, **call)
        if where == "after the write" and count():
            raise Killed
        return result

    def dying_record(self, *given):
        if where == "before the record" and count():
            raise Killed
        return record(self, *given)

    monkeypatch.setattr(Fence, "write", dying_write)
    monkeypatch.setattr(Runner, "_record", dying_record)


def work(plan: Plan, turns: int = 8) -> Plan:
    """Call the executor as the sweep would until the plan has ended, or waits for a person."""
    for _ in range(turns):
        executor.execute(plan.id)
        plan.refresh_from_db()
        if plan.state not in executor.ACTIVE:
            break
        Execution.objects.filter(plan=plan).update(not_before=None)
    return plan


def survive(
    monkeypatch: pytest.MonkeyPatch, plan: Plan, where: str, number: int = 1, turns: int = 8
) -> Plan:
    """Work until the worker dies there, let its lease run out, and go on."""
    with monkeypatch.context() as dying:
        die_once(dying, where, number)
        with pytest.raises(Killed):
            work(plan)
    let_lease_run_out(plan)
    return work(plan, turns)
