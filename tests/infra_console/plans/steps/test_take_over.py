"""Fields that others own, taken over by an admin's leave and handed back."""

from typing import Any

import pytest
from kubernetes.client import CustomObjectsApi

from infra_console.cluster.client import client_for
from infra_console.cluster.managers import UNRECORDED
from infra_console.cluster.takeovers import allow_take_over
from infra_console.plans.taking_back.rollback import roll_back
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.specs import scale_step
from tests.infra_console.plans.targets import (
    SPACE,
    add,
    held,
    leader_worker_set,
    plan_of,
    ref,
    room,
    stateful_set,
    step,
    survive,
    until,
    work,
)
from tests.people import person
from tiers.twin.kube.resources import (
    DEPLOYMENTS,
    HPAS,
    LEADER_WORKER_SETS,
    NODE_POOLS,
    QUOTAS,
    SCALED_OBJECTS,
    STATEFUL_SETS,
    Resource,
)

OWNER = "platform-team"
KEY = "requests.nvidia.com/gpu"
CLASS = {"nodeClassRef": {"group": "g", "kind": "k", "name": "n"}, "requirements": []}
AIM = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "embed"}


def applied(resource: Resource, name: str, spec: dict[str, Any], manager: str = OWNER) -> None:
    """Somebody applies these fields of an object that is there, and owns them from now on."""
    body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}}
    space = {"namespace": SPACE} if resource.namespaced else {}
    api = CustomObjectsApi(client_for(CLUSTER))
    scope = "namespaced" if resource.namespaced else "cluster"
    place = {"group": resource.group, "version": resource.version, "plural": resource.plural}
    if not resource.group:
        from kubernetes.client import CoreV1Api

        call, place = CoreV1Api(client_for(CLUSTER)).patch_namespaced_resource_quota, {}
    else:
        call = getattr(api, f"patch_{scope}_custom_object")
    call(
        name=name,
        body=body | {"spec": spec},
        field_manager=manager,
        force=True,
        _content_type="application/apply-patch+yaml",
        **place,
        **space,
    )


def owners(twin, resource: Resource, name: str, *path: str) -> set[tuple[str, str]]:
    """Who owns a field of the spec, and by which way of writing."""

    def holds(tree: dict[str, Any]) -> bool:
        for part in ("spec", *path):
            if f"f:{part}" not in tree:
                return False
            tree = tree[f"f:{part}"]
        return True

    entries = held(twin, resource, name)["metadata"].get("managedFields") or ()
    found = {(e["manager"], e["operation"]) for e in entries if holds(e["fieldsV1"])}
    return {(manager, by) for manager, by in found if manager != UNRECORDED}


def hpa(twin) -> Any:
    room(twin)
    stateful_set(twin, 2)
    until(lambda: held(twin, STATEFUL_SETS, "embed").get("status", {}).get("readyReplicas") == 2)
    body = {"metadata": {"name": "embed"}, "spec": {"scaleTargetRef": AIM, "maxReplicas": 4}}
    add(twin, HPAS, body)
    applied(HPAS, "embed", {"minReplicas": 2, "maxReplicas": 4, "scaleTargetRef": AIM})
    return _bound(ref("HorizontalPodAutoscaler", "embed"), (2, 4), (3, 4))


def scaled(twin) -> Any:
    body = {"metadata": {"name": "idle"}, "spec": {}}
    cron = {"timezone": "Etc/UTC", "start": "0 0 1 1 *", "end": "1 0 1 1 *", "desiredReplicas": "0"}
    keeps = {
        "scaleTargetRef": {"name": "chat-70b"},
        "triggers": [{"type": "cron", "metadata": cron}],
    }
    body["spec"] |= keeps | {"minReplicaCount": 0, "maxReplicaCount": 9}
    add(twin, SCALED_OBJECTS, body)
    applied(SCALED_OBJECTS, "idle", keeps | {"minReplicaCount": 0, "maxReplicaCount": 9})
    return _bound(ref("ScaledObject", "idle"), (0, 9), (1, 8))


def _bound(target, before, after) -> Any:
    pairs = {"from": before, "to": after}
    both = {k: {"min": low, "max": high} for k, (low, high) in pairs.items()}
    return step("workload.bound", target, **both)


def quota(twin) -> Any:
    body = {"metadata": {"name": "gpus"}, "spec": {"hard": {KEY: "64", "pods": "500"}}}
    add(twin, QUOTAS, body)
    applied(QUOTAS, "gpus", {"hard": {KEY: "64", "pods": "500"}})
    return step("quota.cap", ref("ResourceQuota", "gpus"), **{"from": 64, "to": 72})


def pool(twin) -> Any:
    spec = {"template": {"spec": CLASS}, "limits": {"nvidia.com/gpu": "16"}}
    add(twin, NODE_POOLS, {"metadata": {"name": "open"}, "spec": spec})
    applied(NODE_POOLS, "open", spec)
    until(lambda: held(twin, NODE_POOLS, "open").get("status"))
    return step("quota.cap", ref("NodePool", "open", ""), **{"from": 16, "to": 32})


def deployment(twin) -> Any:
    before = twin.deployment("chat-70b")["spec"]["replicas"]
    room(twin)
    applied(DEPLOYMENTS, "chat-70b", {"replicas": before})
    return scale_step("chat-70b", before, before - 1)


def _numbered(twin, make, resource: Resource, kind: str, name: str) -> Any:
    room(twin)
    make(twin, 1)
    until(lambda: held(twin, resource, name).get("status", {}).get("readyReplicas"))
    applied(resource, name, {"replicas": 1})
    return step("workload.scale_ordinal", ref(kind, name), **{"from": 1, "to": 2})


def numbered(twin) -> Any:
    return _numbered(twin, stateful_set, STATEFUL_SETS, "StatefulSet", "embed")


def groups(twin) -> Any:
    return _numbered(twin, leader_worker_set, LEADER_WORKER_SETS, "LeaderWorkerSet", "wide")


CASES = {
    "HorizontalPodAutoscaler": (hpa, HPAS, "embed", [("minReplicas",), ("maxReplicas",)]),
    "ScaledObject": (scaled, SCALED_OBJECTS, "idle", [("minReplicaCount",), ("maxReplicaCount",)]),
    "ResourceQuota": (quota, QUOTAS, "gpus", [("hard", KEY)]),
    "NodePool": (pool, NODE_POOLS, "open", [("limits", "nvidia.com/gpu")]),
    "Deployment": (deployment, DEPLOYMENTS, "chat-70b", [("replicas",)]),
    "StatefulSet": (numbered, STATEFUL_SETS, "embed", [("replicas",)]),
    "LeaderWorkerSet": (groups, LEADER_WORKER_SETS, "wide", [("replicas",)]),
}


def allow(kind: str) -> None:
    allow_take_over(CLUSTER, kind, manager=OWNER, by=person("admin"), reason="adopted")


def stood(twin, resource: Resource, name: str) -> tuple[Any, set[str]]:
    item = held(twin, resource, name)
    notes = item["metadata"].get("annotations") or {}
    return item["spec"], {k for k in notes if k.startswith("infra-console.dev/")}


@pytest.mark.parametrize("kind", CASES)
def test_a_field_of_another_is_left_until_an_admin_lets_it_be_taken_and_is_handed_back(
    twin, armed, approved, operator, kind
):
    make, resource, name, fields = CASES[kind]
    change, before = make(twin), twin.mutations()
    spec, _ = stood(twin, resource, name)
    plan = work(approved(plan_of(change)))
    assert plan.state == "paused"
    assert f"is owned by {OWNER}; it was left as it is" in plan.state_reason
    assert "let an admin take it over" in plan.state_reason
    assert twin.mutations() == before
    allow(kind)
    plan = resumed(plan, operator)
    assert plan.state == "verified", plan.state_reason
    roll_back(plan.id, by=operator, reason="enough")
    plan = work(plan)
    assert plan.state == "rolled_back", plan.state_reason
    assert stood(twin, resource, name) == (spec, set())
    for field in fields:
        names = {manager for manager, _ in owners(twin, resource, name, *field)}
        assert names == {OWNER}, field


def resumed(plan, operator):
    from infra_console.plans import services

    services.resume_execution(plan.id, by=operator)
    return work(plan)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("kind", ["HorizontalPodAutoscaler", "ResourceQuota"])
def test_killed_while_handing_back_the_next_worker_ends_it(
    twin, armed, approved, operator, monkeypatch, kind, number
):
    make, resource, name, fields = CASES[kind]
    change = make(twin)
    allow(kind)
    spec, _ = stood(twin, resource, name)
    plan = work(approved(plan_of(change)))
    assert plan.state == "verified", plan.state_reason
    roll_back(plan.id, by=operator, reason="enough")
    plan = survive(monkeypatch, plan, "after the write", number)
    assert plan.state == "rolled_back", plan.state_reason
    assert stood(twin, resource, name) == (spec, set())
    for field in fields:
        assert {manager for manager, _ in owners(twin, resource, name, *field)} == {OWNER}


def test_what_was_once_written_by_hand_is_anybodys_to_scale(twin, armed, approved):
    """`kubectl scale` is no standing opinion; an apply is."""
    from infra_console.cluster.reads import read_deployment
    from infra_console.cluster.writes import scale_deployment

    now = read_deployment(CLUSTER, SPACE, "chat-70b")
    scale_deployment(CLUSTER, now, now.replicas - 1, manager="kubectl", dry_run=False)
    until(lambda: twin.deployment("chat-70b")["status"].get("replicas") == now.replicas - 1)
    change = scale_step("chat-70b", now.replicas - 1, now.replicas)
    plan = work(approved(plan_of(change)))
    assert plan.state == "verified", plan.state_reason
