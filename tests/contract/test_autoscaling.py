"""HorizontalPodAutoscalers: bounds win over a number written to the workload; metrics in between.

https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/
"""

import time

import pytest

from tests.contract import objects
from tests.contract.kinds import DEPLOYMENT, HPA
from tests.contract.kube import condition, refused, until


def replicas(kube, space) -> int:
    return kube.get(DEPLOYMENT, space, "chat")["spec"]["replicas"]


@pytest.fixture
def chat(kube, space) -> None:
    kube.create(DEPLOYMENT, space, objects.deployment("chat", "nowhere", replicas=1))


def test_an_hpa_keeps_its_bounds(kube, space, deployed):
    made = kube.create(HPA, space, objects.hpa("chat", target="chat", low=1, high=4))
    assert (made["spec"]["minReplicas"], made["spec"]["maxReplicas"]) == (1, 4)
    patched = kube.patch(HPA, space, "chat", {"spec": {"maxReplicas": 6}})
    assert patched["spec"]["maxReplicas"] == 6


def test_an_hpa_without_metrics_is_given_cpu(kube, space, deployed):
    made = kube.create(HPA, space, objects.hpa("chat", target="chat", low=1, high=4))
    (metric,) = made["spec"]["metrics"]
    assert metric["resource"]["name"] == "cpu"
    assert metric["resource"]["target"] == {"type": "Utilization", "averageUtilization": 80}


def test_the_highest_bound_is_not_below_the_lowest(kube, space, deployed):
    with refused(422) as caught:
        kube.create(HPA, space, objects.hpa("chat", target="chat", low=5, high=4))
    assert caught.value.causes[0]["field"] == "spec.maxReplicas"


@pytest.mark.needs("hpa")
def test_an_hpa_raises_a_deployment_to_its_minimum(cluster, kube, space, chat):
    kube.create(HPA, space, objects.hpa("chat", target="chat", low=3, high=5))
    until(lambda: replicas(kube, space) == 3, "three replicas", within_s=cluster.looks_s)


@pytest.mark.needs("hpa")
def test_an_hpa_lowers_a_deployment_to_its_maximum(cluster, kube, space, chat):
    kube.patch(DEPLOYMENT, space, "chat", {"spec": {"replicas": 6}}, "merge", "scale")
    kube.create(HPA, space, objects.hpa("chat", target="chat", low=1, high=4))
    until(lambda: replicas(kube, space) == 4, "four replicas", within_s=cluster.looks_s)


@pytest.mark.needs("hpa")
def test_a_scale_below_the_minimum_is_reverted(cluster, kube, space, chat):
    kube.create(HPA, space, objects.hpa("chat", target="chat", low=2, high=4))
    until(lambda: replicas(kube, space) == 2, "two replicas", within_s=cluster.looks_s)
    kube.patch(DEPLOYMENT, space, "chat", {"spec": {"replicas": 1}}, "merge", "scale")
    until(lambda: replicas(kube, space) == 2, "two replicas again", within_s=cluster.looks_s)


@pytest.mark.needs("hpa")
def test_an_hpa_lets_a_deployment_of_none_alone(cluster, kube, space, deployed):
    """Zero replicas switch it off; it says so."""
    kube.create(HPA, space, objects.hpa("chat", target="chat", low=2, high=4))

    def disabled() -> bool:
        found = condition(kube.get(HPA, space, "chat"), "ScalingActive")
        return (found.get("status"), found.get("reason")) == ("False", "ScalingDisabled")

    until(disabled, "scaling is disabled", within_s=cluster.looks_s)
    assert replicas(kube, space) == 0


def metric_of(kind: str) -> dict:
    goal = {"type": "AverageValue", "averageValue": "10"}
    source = {"metric": {"name": "requests_waiting"}, "target": goal}
    return {"type": kind, kind.lower(): source}


def follow(kube, space, *, low: int, high: int, kind: str = "Pods", **spec) -> None:
    """An HPA that wants ten a pod."""
    body = objects.hpa("chat", target="chat", low=low, high=high)
    body["spec"] |= {"metrics": [metric_of(kind)], **spec}
    kube.create(HPA, space, body)


def active(kube, space) -> tuple[str, str]:
    found = condition(kube.get(HPA, space, "chat"), "ScalingActive")
    return found.get("status", ""), found.get("reason", "")


@pytest.mark.needs("hpa")
@pytest.mark.parametrize("kind", ["Pods", "External"])
def test_a_metric_that_nobody_serves_freezes_the_number(cluster, kube, space, chat, kind):
    kube.patch(DEPLOYMENT, space, "chat", {"spec": {"replicas": 3}}, "merge", "scale")
    follow(kube, space, low=1, high=6, kind=kind)
    until(lambda: active(kube, space) == ("False", f"FailedGet{kind}Metric"),
          "it says which metric is missing", within_s=cluster.looks_s)  # fmt: skip
    assert replicas(kube, space) == 3


@pytest.mark.needs("hpa")
def test_the_owner_of_the_number_is_named(cluster, kube, space, chat):
    kube.create(HPA, space, objects.hpa("chat", target="chat", low=3, high=5))
    until(lambda: replicas(kube, space) == 3, "three replicas", within_s=cluster.looks_s)
    entries = kube.get(DEPLOYMENT, space, "chat")["metadata"]["managedFields"]
    owners = [e for e in entries if "f:replicas" in e["fieldsV1"].get("f:spec", {})]
    assert {(e.get("subresource"), e["manager"]) for e in owners} & {
        ("scale", "kube-controller-manager")
    }


@pytest.fixture
def served(cluster, kube, space, node):
    """Two Ready pods whose metric a test sets."""
    kube.create(DEPLOYMENT, space, objects.deployment("chat", space, replicas=2))
    until(
        lambda: kube.get(DEPLOYMENT, space, "chat")["status"].get("readyReplicas") == 2,
        "two pods are Ready",
        within_s=cluster.wait_s,
    )
    return lambda average: cluster.hands.measure(space, "chat", average)


@pytest.mark.needs("hpa", "metrics")
def test_load_above_the_target_adds_pods_in_proportion(cluster, kube, space, served):
    served(20.0)
    follow(kube, space, low=1, high=4)
    until(lambda: replicas(kube, space) == 4, "twice the pods", within_s=cluster.looks_s)
    assert active(kube, space) == ("True", "ValidMetricFound")


@pytest.mark.needs("hpa", "metrics")
def test_metrics_move_nothing_beyond_the_bounds(cluster, kube, space, served):
    served(1000.0)
    follow(kube, space, low=1, high=3)
    until(lambda: replicas(kube, space) == 3, "the maximum", within_s=cluster.looks_s)

    def limited() -> bool:
        return condition(kube.get(HPA, space, "chat"), "ScalingLimited").get("reason") == (
            "TooManyReplicas"
        )

    until(limited, "it says that it is limited", within_s=cluster.looks_s)
    assert replicas(kube, space) == 3


@pytest.mark.needs("hpa", "metrics")
def test_a_difference_within_the_tolerance_moves_nothing(cluster, kube, space, served):
    served(10.9)
    follow(kube, space, low=1, high=6)
    until(lambda: active(kube, space)[0] == "True", "it has looked", within_s=cluster.looks_s)
    assert replicas(kube, space) == 2


@pytest.mark.needs("hpa", "metrics")
def test_it_shrinks_only_after_its_window(cluster, kube, space, served):
    """The twin's clock makes 2000 seconds two."""
    served(10.0)
    window = {"scaleDown": {"stabilizationWindowSeconds": 2000}}
    follow(kube, space, low=1, high=6, behavior=window)
    until(lambda: active(kube, space)[0] == "True", "it has looked", within_s=cluster.looks_s)
    served(5.0)

    def stabilized() -> bool:
        return condition(kube.get(HPA, space, "chat"), "AbleToScale").get("reason") == (
            "ScaleDownStabilized"
        )

    until(stabilized, "it holds back", within_s=cluster.looks_s)
    assert replicas(kube, space) == 2
    until(lambda: replicas(kube, space) == 1, "it shrinks at last", within_s=cluster.looks_s)


@pytest.mark.needs("hpa", "metrics")
def test_a_metric_that_is_lost_freezes_the_number_and_never_shrinks_it(
    cluster, kube, space, served
):
    served(20.0)
    follow(kube, space, low=1, high=4)
    until(lambda: replicas(kube, space) == 4, "twice the pods", within_s=cluster.looks_s)
    served(None)
    until(lambda: active(kube, space) == ("False", "FailedGetPodsMetric"),
          "the metric is missing", within_s=cluster.looks_s)  # fmt: skip
    time.sleep(0.5)
    assert replicas(kube, space) == 4
