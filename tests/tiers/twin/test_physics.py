"""Physics of one cluster: pods become replicas, GPUs report their pods, failures show."""

import numpy as np
import pytest

from tests.tiers.twin.objects import NOW_S, add_pod, change_pod, small_cluster
from tiers.twin.demand import BuiltInDemand, Surge
from tiers.twin.kube.resources import PODS
from tiers.twin.physics import ClusterPhysics

NODE = "eastus-h100-reserved-01"


class Steady:
    """Demand of one rate for one model."""

    description, notes = "steady", ()

    def __init__(self, **rates):
        self.rates = {name.replace("_", "-"): rate for name, rate in rates.items()}

    def rate_rps(self, region, model, t_s):
        return np.full(len(t_s), self.rates.get(model, 0.0))


def run(physics, seconds, *, since=0.0, **options):
    for t in np.arange(since + 2.0, since + seconds + 0.1, 2.0):
        physics.tick(NOW_S + t, **options)


def physics_with(store, **rates):
    return ClusterPhysics(store, Steady(**rates), seed=1, now_s=NOW_S)


def engine(physics, node=NODE):
    return [gpu.engine_active for gpu in physics.readings[node]]


def test_ready_pods_serve_and_their_gpus_are_busy():
    store = small_cluster()
    add_pod(store, "chat-70b-x-a", gpus=4)
    physics = physics_with(store, chat_70b=2.0)
    run(physics, 60)
    served = physics.models["chat-70b"]
    assert int(served.service.arrays.finished.sum()) > 50
    assert min(engine(physics)[:4]) > 0.7
    assert engine(physics)[4:] == [0.0] * 4
    assert [gpu.pod.name if gpu.pod else "" for gpu in physics.readings[NODE]] == [
        *["chat-70b-x-a"] * 4, *[""] * 4,
    ]  # fmt: skip
    held = physics.readings[NODE][0]
    memory = (held.memory_used_mib, held.memory_free_mib, held.memory_reserved_mib)
    assert sum(memory) == 81559
    assert held.power_w > physics.readings[NODE][7].power_w


def test_without_ready_pods_requests_wait():
    store = small_cluster()
    add_pod(store, "chat-7b-x-a", ready=False)
    physics = physics_with(store, chat_7b=5.0)
    run(physics, 20)
    assert physics.models["chat-7b"].service.waiting == pytest.approx(100, abs=35)
    assert physics.models["chat-7b"].replicas == {}


def test_a_second_pod_shortens_the_wait():
    waits = []
    for pods in (1, 2):
        store = small_cluster()
        for i in range(pods):
            add_pod(store, f"chat-70b-x-{i}", gpus=4)
        physics = physics_with(store, chat_70b=5.5)
        run(physics, 120)
        arrays = physics.models["chat-70b"].service.arrays
        waits.append(arrays.sums_s[:, 0].sum() / arrays.ttft_counts.sum())
    assert waits[1] < 0.7 * waits[0]


def test_a_deleted_pod_drains_and_then_disappears_with_its_counters():
    store = small_cluster()
    pod = add_pod(store, "chat-7b-x-a")
    physics = physics_with(store, chat_7b=3.0)
    run(physics, 20)
    physics.demand = Steady()
    change_pod(store, "chat-7b-x-a", deletionTimestamp="2026-11-24T12:00:30Z")
    physics.tick(NOW_S + 21)
    assert pod["metadata"]["uid"] in physics.models["chat-7b"].replicas
    run(physics, 60, since=21)
    assert physics.models["chat-7b"].replicas == {}
    assert physics.models["chat-7b"].service.in_system == 0


def test_a_removed_pod_loses_its_requests_to_the_queue_and_another_pod_serves_them():
    store = small_cluster()
    add_pod(store, "chat-7b-x-a")
    physics = physics_with(store, chat_7b=3.0)
    run(physics, 20)
    store.remove(PODS, "inference", "chat-7b-x-a")
    physics.demand = Steady()
    physics.tick(NOW_S + 22)
    lost = physics.models["chat-7b"].service.waiting
    assert lost > 0
    add_pod(store, "chat-7b-x-b")
    run(physics, 60, since=22)
    assert physics.models["chat-7b"].service.in_system == 0


def test_a_dead_node_stops_serving_and_reporting_before_the_api_knows():
    store = small_cluster()
    add_pod(store, "chat-7b-x-a")
    physics = physics_with(store, chat_7b=1.0)
    run(physics, 10)
    store.failed_nodes[NODE] = "2026-11-24T12:00:10Z"
    physics.tick(NOW_S + 12)
    assert physics.models["chat-7b"].replicas == {}
    assert NODE not in physics.readings
    assert len(physics.readings) == 13


def test_a_dark_region_serves_and_reports_nothing():
    store = small_cluster()
    add_pod(store, "chat-7b-x-a")
    physics = physics_with(store, chat_7b=1.0)
    run(physics, 10, dark=True)
    assert physics.readings == {}
    assert physics.models["chat-7b"].replicas == {}


def test_a_gang_computes_only_when_all_its_pods_run():
    store = small_cluster()
    first, second = "eastus-a100-reserved-01", "eastus-a100-reserved-02"
    for rank, node, ready in ((0, first, True), (1, second, False)):
        add_pod(store, f"train-001-{rank}", namespace="training", node=node, gpus=8,
                ready=ready, job="train-001")  # fmt: skip
    physics = physics_with(store)
    physics.tick(NOW_S + 2)
    assert engine(physics, first) == [0.1] * 8
    pod = store.get(PODS, "training", "train-001-1")
    status = {**pod["status"], "conditions": [{"type": "Ready", "status": "True"}]}
    store.put(PODS, {**pod, "status": status})
    physics.tick(NOW_S + 4)
    assert all(0.9 <= share <= 0.98 for share in engine(physics, first) + engine(physics, second))
    store.failed_nodes[second] = "2026-11-24T12:00:05Z"
    physics.tick(NOW_S + 6)
    assert engine(physics, first) == [0.1] * 8


def test_a_pod_keeps_its_gpus_when_another_leaves():
    store = small_cluster()
    add_pod(store, "chat-7b-x-a")
    add_pod(store, "chat-7b-x-b")
    physics = physics_with(store)
    physics.tick(NOW_S + 2)
    store.remove(PODS, "inference", "chat-7b-x-a")
    add_pod(store, "chat-13b-x-c")
    physics.tick(NOW_S + 4)
    names = [gpu.pod.name if gpu.pod else "" for gpu in physics.readings[NODE][:3]]
    assert names == ["chat-13b-x-c", "chat-7b-x-b", ""]


def test_a_surge_brings_more_requests():
    counts = []
    for factor in (1.0, 3.0):
        store = small_cluster()
        add_pod(store, "chat-7b-x-a")
        physics = ClusterPhysics(store, BuiltInDemand(1), seed=1, now_s=NOW_S)
        surge = Surge("eastus", "chat-7b", factor, NOW_S, NOW_S + 3600)
        run(physics, 30, surges=(surge,))
        service = physics.models["chat-7b"].service
        counts.append(int(service.arrays.marks[2]))
    assert counts[1] == pytest.approx(3 * counts[0], rel=0.15)


def test_the_same_seed_gives_the_same_fleet():
    totals = []
    for _ in range(2):
        store = small_cluster()
        add_pod(store, "chat-7b-x-a")
        physics = ClusterPhysics(store, BuiltInDemand(1), seed=4, now_s=NOW_S)
        run(physics, 20)
        totals.append(physics.models["chat-7b"].service.arrays.sums_s[0].tolist())
    assert totals[0] == totals[1]
