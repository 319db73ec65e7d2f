"""What serves as one: StatefulSet pods like any pod, LeaderWorkerSet groups whole or not at all."""

import pytest

from tests.tiers.twin.exporters.text import parse
from tests.tiers.twin.objects import NOW_S, add_pod, change_pod, small_cluster
from tests.tiers.twin.test_physics import NODE, engine, physics_with, run
from tiers.twin.controllers.leaderworkerset import (
    GROUP_INDEX_KEY,
    NAME_KEY,
    SIZE_KEY,
    WORKER_INDEX_KEY,
)
from tiers.twin.exporters.vllm import render_vllm
from tiers.twin.kube.resources import PODS

SECOND = "eastus-h100-reserved-02"


def add_member(store, index: int, *, group: int = 0, node: str = NODE, ready: bool = True) -> str:
    """One pod of a group of two, four GPUs each."""
    name = f"chat-405b-{group}" + (f"-{index}" if index else "")
    add_pod(store, name, node=node, gpus=4, ready=ready)
    labels = {NAME_KEY: "chat-405b", GROUP_INDEX_KEY: str(group), WORKER_INDEX_KEY: str(index)}
    change_pod(store, name, labels=labels, annotations={SIZE_KEY: "2"})
    return name


def set_ready(store, name: str, ready: bool = True) -> None:
    pod = store.get(PODS, "inference", name)
    status = {**pod["status"], "conditions": [{"type": "Ready", "status": str(ready)}]}
    store.put(PODS, {**pod, "status": status})


def finished(physics, model: str = "chat-405b") -> int:
    return int(physics.models[model].service.arrays.finished.sum())


def test_a_pod_of_a_stateful_set_serves():
    store = small_cluster()
    add_pod(store, "chat-7b-0")
    owner = {"kind": "StatefulSet", "name": "chat-7b", "uid": "s"}
    change_pod(store, "chat-7b-0", ownerReferences=[owner])
    physics = physics_with(store, chat_7b=3.0)
    run(physics, 30)
    assert finished(physics, "chat-7b") > 20


def test_a_group_serves_once_all_its_pods_are_ready():
    store = small_cluster()
    add_member(store, 0)
    worker = add_member(store, 1, node=SECOND, ready=False)
    physics = physics_with(store, chat_405b=0.5)
    run(physics, 40)
    assert physics.models["chat-405b"].replicas == {}
    assert engine(physics)[:4] == [0.0] * 4  # the leader waits for the rest, with its memory full
    assert physics.readings[NODE][0].memory_used_mib > 70_000
    set_ready(store, worker)
    run(physics, 60, since=40)
    assert finished(physics) > 10
    assert len(physics.models["chat-405b"].replicas) == 1
    assert min(engine(physics)[:4] + engine(physics, SECOND)[:4]) > 0.1


def test_a_group_without_one_of_its_pods_is_no_replica():
    store = small_cluster()
    add_member(store, 0)
    physics = physics_with(store, chat_405b=0.5)
    run(physics, 10)
    assert physics.models["chat-405b"].replicas == {}


@pytest.mark.parametrize("way", ["removed", "unready", "dead node"])
def test_a_lost_worker_sends_the_groups_requests_back(way):
    store = small_cluster()
    add_member(store, 0)
    worker = add_member(store, 1, node=SECOND)
    physics = physics_with(store, chat_405b=0.5)
    run(physics, 30)
    assert physics.models["chat-405b"].service.running > 0
    before = physics.models["chat-405b"].service
    known = before.in_system + finished(physics)
    if way == "removed":
        store.remove(PODS, "inference", worker)
    elif way == "unready":
        set_ready(store, worker, ready=False)
    else:
        store.failed_nodes[SECOND] = "2026-11-24T12:00:30Z"
    physics.demand.rates = {}
    physics.tick(NOW_S + 32)
    assert physics.models["chat-405b"].replicas == {}
    assert physics.models["chat-405b"].service.running == 0
    assert physics.models["chat-405b"].service.waiting == known - finished(physics)


def test_a_group_that_is_deleted_drains():
    store = small_cluster()
    names = [add_member(store, 0), add_member(store, 1, node=SECOND)]
    physics = physics_with(store, chat_405b=0.5)
    run(physics, 30)
    for name in names:
        change_pod(store, name, deletionTimestamp="2026-11-24T12:00:30Z")
    physics.demand.rates = {}
    physics.tick(NOW_S + 32)
    assert len(physics.models["chat-405b"].replicas) == 1
    run(physics, 120, since=32)
    assert physics.models["chat-405b"].service.in_system == 0


def test_only_the_leader_of_a_group_exports():
    store = small_cluster()
    for group, node in ((0, NODE), (1, SECOND)):
        for index in range(2):
            add_member(store, index, group=group, node=node)
    physics = physics_with(store, chat_405b=0.5)
    run(physics, 20)
    seen = parse(render_vllm(physics))
    assert {dict(labels)["pod"] for _, labels in seen} == {"chat-405b-0", "chat-405b-1"}
