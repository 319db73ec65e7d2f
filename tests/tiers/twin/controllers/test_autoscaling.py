"""Autoscalers: bounds, metrics, patience, KEDA's ScaledObjects, and who wins against a hand."""

import pytest

from tiers.twin.controllers.keda import PAUSED_KEY, PAUSED_REPLICAS_KEY, PAUSED_SCALE_IN_KEY
from tiers.twin.controllers.pods import condition
from tiers.twin.kube.resources import DEPLOYMENTS, EVENTS, HPAS, SCALED_OBJECTS

WAITING = "vllm:num_requests_waiting"
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat"}


class Load:
    """So many requests wait in all; each ready pod has its share."""

    def __init__(self, world, total: float | None) -> None:
        self.world, self.total = world, total

    def __call__(self, namespace: str, workload: str, metric: str) -> float | None:
        assert (namespace, workload, metric) == ("inference", "chat", WAITING)
        held = self.world.store.get(DEPLOYMENTS, namespace, workload)
        ready = held["status"].get("readyReplicas", 0)
        return None if self.total is None or not ready else self.total / ready


def scaler(world, least: int, most: int, *, per_pod: str = "10", **spec) -> None:
    metric = {
        "type": "Pods",
        "pods": {
            "metric": {"name": WAITING},
            "target": {"type": "AverageValue", "averageValue": per_pod},
        },
    }
    body = {"scaleTargetRef": TARGET, "minReplicas": least, "maxReplicas": most}
    world.add(HPAS, {"metadata": {"name": "chat"}, "spec": {**body, "metrics": [metric], **spec}})


def scaled_object(world, **spec) -> None:
    trigger = {
        "type": "prometheus",
        "metadata": {
            "query": f"sum({WAITING})",
            "threshold": "10",
            "serverAddress": "http://prometheus",
        },
    }
    body = {"scaleTargetRef": {"name": "chat"}, "triggers": [trigger], **spec}
    world.add(SCALED_OBJECTS, {"metadata": {"name": "chat"}, "spec": body})


def replicas(world) -> int:
    return world.store.get(DEPLOYMENTS, "inference", "chat")["spec"]["replicas"]


def change(world, resource, **spec) -> None:
    held = world.store.get(resource, "inference", "chat")
    world.store.put(resource, {**held, "spec": held["spec"] | spec})


def start(world, count: int) -> None:
    world.add_node("n1", gpus=16)
    world.deploy(count)
    world.live(20)


def test_bounds_hold_at_once_even_without_a_metric(world):
    start(world, 2)
    scaler(world, 3, 6)
    world.live(2)
    assert replicas(world) == 3
    change(world, HPAS, minReplicas=1, maxReplicas=2)
    world.live(2)
    assert replicas(world) == 2
    hpa = world.store.get(HPAS, "inference", "chat")
    assert condition(hpa, "AbleToScale")["reason"] == "SucceededRescale"
    assert condition(hpa, "ScalingActive") is None  # no metric was asked
    assert hpa["status"]["desiredReplicas"] == 2


def test_widening_the_bounds_moves_nothing_by_itself(world):
    start(world, 2)
    scaler(world, 2, 2)
    change(world, HPAS, maxReplicas=8)
    world.live(20)
    assert replicas(world) == 2
    hpa = world.store.get(HPAS, "inference", "chat")
    found = condition(hpa, "ScalingActive")
    assert (found["status"], found["reason"]) == ("False", "FailedGetPodsMetric")


def test_load_above_target_scales_up_and_says_so(world):
    start(world, 2)
    scaler(world, 1, 8)
    world.live(2, metric=Load(world, 50))
    assert replicas(world) == 5
    hpa = world.store.get(HPAS, "inference", "chat")
    assert condition(hpa, "AbleToScale")["reason"] == "SucceededRescale"
    assert condition(hpa, "ScalingActive")["status"] == "True"
    said = [e["message"] for e in world.store.all(EVENTS) if e["reason"] == "SuccessfulRescale"]
    assert said == ["New size: 5; reason: metric above target"]
    owners = world.store.get(DEPLOYMENTS, "inference", "chat")["metadata"]["managedFields"]
    assert [(o["manager"], o.get("subresource")) for o in owners] == [
        ("kube-controller-manager", "scale")
    ]


def test_pods_that_still_load_do_not_make_it_overshoot(world):
    start(world, 2)
    scaler(world, 1, 12)
    load = Load(world, 50)
    for _ in range(20):
        world.live(2, metric=load)
        assert replicas(world) <= 5


def test_a_small_difference_is_tolerated(world):
    start(world, 4)
    scaler(world, 1, 8)
    world.live(10, metric=Load(world, 43))
    assert replicas(world) == 4


def test_it_waits_before_it_scales_down(world):
    start(world, 4)
    scaler(world, 1, 8)
    world.live(10, metric=Load(world, 40))
    world.live(20, metric=Load(world, 10))
    assert replicas(world) == 4
    hpa = world.store.get(HPAS, "inference", "chat")
    assert condition(hpa, "AbleToScale")["reason"] == "ScaleDownStabilized"
    world.live(20, metric=Load(world, 10))
    assert replicas(world) == 1


def test_a_direction_can_be_disabled(world):
    start(world, 2)
    scaler(world, 1, 8, behavior={"scaleUp": {"selectPolicy": "Disabled"}})
    world.live(20, metric=Load(world, 60))
    assert replicas(world) == 2


def test_replicas_patched_by_hand_are_put_back(world):
    start(world, 4)
    scaler(world, 1, 8)
    load = Load(world, 40)
    world.live(60, metric=load)
    for by_hand in (7, 2):
        world.scale(by_hand)
        world.live(10, metric=load)
        assert replicas(world) == 4


def test_a_workload_at_zero_is_left_alone(world):
    start(world, 2)
    scaler(world, 1, 8)
    world.scale(0)
    world.live(10, metric=Load(world, 40))
    assert replicas(world) == 0
    hpa = world.store.get(HPAS, "inference", "chat")
    assert condition(hpa, "ScalingActive")["reason"] == "ScalingDisabled"


def test_a_scaled_object_owns_an_hpa_and_its_bounds_are_what_moves(world):
    start(world, 2)
    scaled_object(world, minReplicaCount=1, maxReplicaCount=4)
    world.live(4, metric=Load(world, 60))
    hpa = world.store.get(HPAS, "inference", "keda-hpa-chat")
    assert hpa["metadata"]["ownerReferences"][0]["kind"] == "ScaledObject"
    assert replicas(world) == 4
    change(world, SCALED_OBJECTS, maxReplicaCount=6)
    world.live(10, metric=Load(world, 60))
    assert replicas(world) == 6
    world.store.put(HPAS, {**hpa, "spec": hpa["spec"] | {"maxReplicas": 2}})
    world.live(4, metric=Load(world, 60))
    held = world.store.get(HPAS, "inference", "keda-hpa-chat")
    assert held["spec"]["maxReplicas"] == 6 and replicas(world) == 6
    scaled = world.store.get(SCALED_OBJECTS, "inference", "chat")
    assert scaled["status"]["hpaName"] == "keda-hpa-chat"
    assert {c["type"]: c["status"] for c in scaled["status"]["conditions"]} == {
        "Ready": "True", "Active": "True", "Paused": "False", "Fallback": "False",
    }  # fmt: skip


def annotate(world, **notes: str) -> None:
    held = world.store.get(SCALED_OBJECTS, "inference", "chat")
    metadata = held["metadata"] | {"annotations": notes}
    world.store.put(SCALED_OBJECTS, {**held, "metadata": metadata})


def test_a_paused_scaled_object_holds_its_replicas(world):
    start(world, 2)
    scaled_object(world, minReplicaCount=1, maxReplicaCount=8)
    load = Load(world, 20)
    world.live(10, metric=load)
    annotate(world, **{PAUSED_KEY: "true"})
    load.total = 80
    world.live(10, metric=load)
    assert replicas(world) == 2 and world.store.all(HPAS) == []
    annotate(world, **{PAUSED_REPLICAS_KEY: "3"})
    world.live(10, metric=load)
    assert replicas(world) == 3
    scaled = world.store.get(SCALED_OBJECTS, "inference", "chat")
    assert condition(scaled, "Paused")["status"] == "True"
    annotate(world)
    world.live(10, metric=load)
    assert replicas(world) == 8


def test_keda_goes_to_zero_after_the_cooldown(world):
    start(world, 2)
    scaled_object(world, maxReplicaCount=8)
    world.live(20, metric=Load(world, 0))
    assert replicas(world) >= 1
    world.live(40, metric=Load(world, 0))
    assert replicas(world) == 0
    change(world, SCALED_OBJECTS, minReplicaCount=2)
    world.live(2, metric=Load(world, 0))
    assert replicas(world) == 2


def test_the_hpa_goes_with_its_scaled_object(world):
    start(world, 2)
    scaled_object(world, minReplicaCount=1)
    world.live(4)
    world.store.remove(SCALED_OBJECTS, "inference", "chat")
    world.live(4)
    assert world.store.all(HPAS) == []


def fallback(world, **more) -> None:
    rule = {"failureThreshold": 3, "replicas": 6, **more}
    scaled_object(world, minReplicaCount=1, maxReplicaCount=8, fallback=rule)


def fallback_condition(world) -> str:
    scaled = world.store.get(SCALED_OBJECTS, "inference", "chat")
    return condition(scaled, "Fallback")["status"]


def test_missing_metrics_freeze_the_replicas(world):
    start(world, 4)
    scaled_object(world, minReplicaCount=1, maxReplicaCount=8)
    world.live(4, metric=Load(world, 40))
    world.live(120, metric=Load(world, None))
    assert replicas(world) == 4
    scaled = world.store.get(SCALED_OBJECTS, "inference", "chat")
    (health,) = scaled["status"]["health"].values()
    assert health["status"] == "Failing" and health["numberOfFailures"] > 3


def test_a_fallback_is_taken_once_the_trigger_failed_too_often_and_given_up_again(world):
    start(world, 2)
    fallback(world)
    world.live(4, metric=Load(world, 20))
    world.live(4, metric=Load(world, None))
    assert (replicas(world), fallback_condition(world)) == (2, "False")
    world.live(10, metric=Load(world, None))
    assert (replicas(world), fallback_condition(world)) == (6, "True")
    world.live(60, metric=Load(world, 30))
    assert (replicas(world), fallback_condition(world)) == (3, "False")


@pytest.mark.parametrize(
    ("behavior", "expected"),
    [("currentReplicas", 2), ("currentReplicasIfHigher", 6), ("currentReplicasIfLower", 2)],
)
def test_a_fallback_may_heed_the_current_number(world, behavior, expected):
    start(world, 2)
    fallback(world, behavior=behavior)
    world.live(30, metric=Load(world, None))
    assert replicas(world) == expected


def test_a_paused_scale_in_lets_it_grow_only(world):
    start(world, 4)
    scaled_object(world, minReplicaCount=1, maxReplicaCount=8)
    annotate(world, **{PAUSED_SCALE_IN_KEY: "true"})
    world.live(60, metric=Load(world, 10))
    assert replicas(world) == 4
    world.live(20, metric=Load(world, 60))
    assert replicas(world) == 6
