"""Autoscalers: their bounds win over a number written to the workload.

https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ and
https://keda.sh/docs/latest/concepts/scaling-deployments/
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import DEPLOYMENT, HPA, SCALED_OBJECT
from tests.contract.kube import Refused, condition, refused, until


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


@pytest.mark.needs("deployments")
def test_an_hpa_raises_a_deployment_to_its_minimum(cluster, kube, space, chat):
    kube.create(HPA, space, objects.hpa("chat", target="chat", low=3, high=5))
    at_work(cluster, kube, space)
    until(lambda: replicas(kube, space) == 3, "three replicas", within_s=cluster.looks_s)


@pytest.mark.needs("deployments")
def test_an_hpa_lowers_a_deployment_to_its_maximum(cluster, kube, space, chat):
    kube.patch(DEPLOYMENT, space, "chat", {"spec": {"replicas": 6}}, "merge", "scale")
    kube.create(HPA, space, objects.hpa("chat", target="chat", low=1, high=4))
    at_work(cluster, kube, space)
    until(lambda: replicas(kube, space) == 4, "four replicas", within_s=cluster.looks_s)


@pytest.mark.needs("deployments")
def test_a_scale_below_the_minimum_is_reverted(cluster, kube, space, chat):
    kube.create(HPA, space, objects.hpa("chat", target="chat", low=2, high=4))
    at_work(cluster, kube, space)
    until(lambda: replicas(kube, space) == 2, "two replicas", within_s=cluster.looks_s)
    kube.patch(DEPLOYMENT, space, "chat", {"spec": {"replicas": 1}}, "merge", "scale")
    until(lambda: replicas(kube, space) == 2, "two replicas again", within_s=cluster.looks_s)


@pytest.mark.needs("deployments")
def test_an_hpa_lets_a_deployment_of_none_alone(cluster, kube, space, deployed):
    """Zero replicas switch it off; it says so."""
    kube.create(HPA, space, objects.hpa("chat", target="chat", low=2, high=4))
    at_work(cluster, kube, space)

    def disabled() -> bool:
        found = condition(kube.get(HPA, space, "chat"), "ScalingActive")
        return (found.get("status"), found.get("reason")) == ("False", "ScalingDisabled")

    until(disabled, "scaling is disabled", within_s=cluster.looks_s)
    assert replicas(kube, space) == 0


def at_work(cluster, kube, space) -> None:
    """Skip on a real cluster whose HPA controller never looks."""
    try:
        until(
            lambda: (kube.get(HPA, space, "chat").get("status") or {}).get("conditions"),
            "the HPA has been looked at",
            within_s=cluster.looks_s,
        )
    except pytest.fail.Exception:
        if cluster.is_twin:
            raise
        pytest.skip("hpa: no HorizontalPodAutoscaler controller is at work")


@pytest.mark.needs("keda")
def test_keda_makes_an_hpa_of_its_bounds(cluster, kube, space, chat):
    kube.create(SCALED_OBJECT, space, objects.scaled_object("chat", target="chat", low=2, high=5))
    made = until(
        lambda: kube.find(HPA, space, "keda-hpa-chat"), "KEDA's HPA", within_s=cluster.wait_s
    )
    assert (made["spec"]["minReplicas"], made["spec"]["maxReplicas"]) == (2, 5)
    assert made["metadata"]["ownerReferences"][0]["kind"] == "ScaledObject"


@pytest.mark.needs("keda")
def test_keda_passes_a_new_bound_on(cluster, kube, space, chat):
    kube.create(SCALED_OBJECT, space, objects.scaled_object("chat", target="chat", low=2, high=5))
    until(lambda: kube.find(HPA, space, "keda-hpa-chat"), "KEDA's HPA", within_s=cluster.wait_s)
    kube.patch(SCALED_OBJECT, space, "chat", {"spec": {"maxReplicaCount": 7}})

    def passed_on() -> bool:
        return kube.get(HPA, space, "keda-hpa-chat")["spec"]["maxReplicas"] == 7

    until(passed_on, "the new maximum", within_s=cluster.wait_s)


@pytest.mark.needs("keda")
def test_a_paused_scaled_object_holds_its_number(cluster, kube, space, chat):
    kube.create(SCALED_OBJECT, space, objects.scaled_object("chat", target="chat", low=2, high=5))
    paused = {"annotations": {"autoscaling.keda.sh/paused-replicas": "4"}}
    kube.patch(SCALED_OBJECT, space, "chat", {"metadata": paused})
    until(lambda: replicas(kube, space) == 4, "four replicas", within_s=cluster.looks_s)


@pytest.mark.needs("keda-api")
def test_a_scaled_objects_bounds_are_owned_by_who_applies_them(kube, space):
    kube.create(SCALED_OBJECT, space, objects.scaled_object("chat", target="chat", low=1, high=5))
    applied = kube.apply(
        SCALED_OBJECT, space, "chat", {"spec": {"maxReplicaCount": 6}}, "infra-console", force=True
    )
    assert applied["spec"]["maxReplicaCount"] == 6
    with pytest.raises(Refused) as caught:
        kube.apply(SCALED_OBJECT, space, "chat", {"spec": {"maxReplicaCount": 7}}, "somebody")
    assert caught.value.code == 409
