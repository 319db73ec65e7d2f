"""KEDA: a ScaledObject owns an HPA, may be paused, and may fall back when its trigger fails.

https://keda.sh/docs/latest/concepts/scaling-deployments/ and
https://keda.sh/docs/latest/reference/scaledobject-spec/
"""

import time

import pytest

from tests.contract import objects
from tests.contract.kinds import DEPLOYMENT, HPA, SCALED_OBJECT
from tests.contract.kube import Refused, condition, until

OWN_HPA = "keda-hpa-chat"
PAUSED = "autoscaling.keda.sh/paused"


def replicas(kube, space) -> int:
    return kube.get(DEPLOYMENT, space, "chat")["spec"]["replicas"]


@pytest.fixture
def chat(kube, space) -> None:
    kube.create(DEPLOYMENT, space, objects.deployment("chat", "nowhere", replicas=1))


@pytest.fixture
def scaled(cluster, kube, space, chat) -> dict:
    """Between two and five; the HPA that KEDA made of it."""
    kube.create(SCALED_OBJECT, space, objects.scaled_object("chat", target="chat", low=2, high=5))
    return until(lambda: kube.find(HPA, space, OWN_HPA), "KEDA's HPA", within_s=cluster.wait_s)


def annotate(kube, space, **notes: str | None) -> None:
    kube.patch(SCALED_OBJECT, space, "chat", {"metadata": {"annotations": notes}})


@pytest.mark.needs("keda")
def test_keda_makes_an_hpa_of_its_bounds(scaled):
    assert (scaled["spec"]["minReplicas"], scaled["spec"]["maxReplicas"]) == (2, 5)
    assert scaled["spec"]["metrics"][0]["type"] == "External"
    assert scaled["metadata"]["ownerReferences"][0]["kind"] == "ScaledObject"


@pytest.mark.needs("keda")
def test_keda_passes_a_new_bound_on(cluster, kube, space, scaled):
    kube.patch(SCALED_OBJECT, space, "chat", {"spec": {"maxReplicaCount": 7}})

    def passed_on() -> bool:
        return kube.get(HPA, space, OWN_HPA)["spec"]["maxReplicas"] == 7

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


@pytest.mark.needs("keda")
def test_a_bound_written_to_kedas_hpa_is_put_back(cluster, kube, space, scaled):
    kube.patch(HPA, space, OWN_HPA, {"spec": {"maxReplicas": 9}})

    def put_back() -> bool:
        return kube.get(HPA, space, OWN_HPA)["spec"]["maxReplicas"] == 5

    until(put_back, "the bound of the ScaledObject", within_s=2 * cluster.looks_s)


@pytest.mark.needs("keda")
def test_pausing_takes_the_hpa_away_and_resuming_brings_it_back(cluster, kube, space, scaled):
    annotate(kube, space, **{PAUSED: "true"})
    until(lambda: not kube.find(HPA, space, OWN_HPA), "no HPA", within_s=cluster.looks_s)
    until(
        lambda: condition(kube.get(SCALED_OBJECT, space, "chat"), "Paused").get("status") == "True",
        "it says that it is paused",
        within_s=cluster.looks_s,
    )
    kube.patch(DEPLOYMENT, space, "chat", {"spec": {"replicas": 7}}, "merge", "scale")
    time.sleep(0.5 if cluster.is_twin else 5.0)
    assert replicas(kube, space) == 7, "nobody minds the bounds meanwhile"
    annotate(kube, space, **{PAUSED: None})
    until(lambda: kube.find(HPA, space, OWN_HPA), "the HPA again", within_s=cluster.looks_s)


@pytest.mark.needs("keda")
def test_the_hpa_goes_with_its_scaled_object_and_the_number_stays(cluster, kube, space, scaled):
    kube.patch(DEPLOYMENT, space, "chat", {"spec": {"replicas": 3}}, "merge", "scale")
    kube.delete(SCALED_OBJECT, space, "chat")
    until(lambda: not kube.find(HPA, space, OWN_HPA), "no HPA", within_s=cluster.looks_s)
    assert replicas(kube, space) == 3


def failing(**spec) -> dict:
    """Scaled by a Prometheus that is not there."""
    body = objects.scaled_object("chat", target="chat", low=1, high=5)
    metadata = {"serverAddress": "http://prometheus.invalid:9090", "threshold": "10",
                "query": "sum(vllm:num_requests_waiting)"}  # fmt: skip
    body["spec"]["triggers"] = [{"type": "prometheus", "metadata": metadata}]
    body["spec"] |= spec
    return body


@pytest.mark.needs("keda", "hpa")
def test_a_trigger_that_fails_leaves_the_number_alone(cluster, kube, space, chat):
    kube.patch(DEPLOYMENT, space, "chat", {"spec": {"replicas": 3}}, "merge", "scale")
    kube.create(SCALED_OBJECT, space, failing())

    def noticed() -> bool:
        status = kube.get(SCALED_OBJECT, space, "chat").get("status") or {}
        health = status.get("health") or {}
        return any(one["status"] == "Failing" for one in health.values())

    until(noticed, "the failure is counted", within_s=2 * cluster.looks_s)
    assert replicas(kube, space) == 3


@pytest.mark.needs("keda", "hpa")
def test_a_trigger_that_fails_too_often_falls_back_to_a_number(cluster, kube, space, node):
    """On running pods: the formula divides by those that are ready."""
    kube.create(DEPLOYMENT, space, objects.deployment("chat", space, replicas=1))
    kube.create(SCALED_OBJECT, space, failing(fallback={"failureThreshold": 1, "replicas": 3}))
    until(lambda: replicas(kube, space) == 3, "three replicas", within_s=3 * cluster.looks_s)
    held = kube.get(SCALED_OBJECT, space, "chat")
    assert condition(held, "Fallback").get("status") == "True"
