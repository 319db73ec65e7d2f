"""Others who write: a GitOps agent that reverts its fields, a health agent that taints sick nodes.

What the API owes such agents (ownership, conflicts) stands in test_apply; here is what they do.
"""

import time

import pytest

from tests.contract import objects
from tests.contract.kinds import DEPLOYMENT, NODE, POD
from tests.contract.kube import Refused, condition, until
from tests.contract.placing import unschedulable

US, AGENT = "infra-console", "argocd-controller"
HEALTH_TAINT, HEALTH_CONDITION = "nvidia.com/gpu-health", "GpuUnhealthy"


def replicas(kube, space) -> int:
    return kube.get(DEPLOYMENT, space, "chat")["spec"]["replicas"]


def owners(kube, space) -> set[str]:
    entries = kube.get(DEPLOYMENT, space, "chat")["metadata"]["managedFields"]
    return {e["manager"] for e in entries if "f:replicas" in e["fieldsV1"].get("f:spec", {})}


@pytest.fixture
def owned(cluster, kube, space):
    """A Deployment of two whose number stands in the agent's repository."""
    kube.create(DEPLOYMENT, space, objects.deployment("chat", "nowhere", replicas=1))
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "chat", "namespace": space},
        "spec": {"replicas": 2},
    }
    cluster.hands.own(manifest)
    until(lambda: AGENT in owners(kube, space), "the agent owns it", within_s=cluster.looks_s)
    yield manifest
    cluster.hands.disown(manifest)


@pytest.mark.needs("gitops")
def test_the_agent_sets_what_its_repository_says(kube, space, owned):
    assert replicas(kube, space) == 2


@pytest.mark.needs("gitops")
def test_an_apply_of_its_field_conflicts_and_names_it(kube, space, owned):
    with pytest.raises(Refused) as caught:
        kube.apply(DEPLOYMENT, space, "chat", {"spec": {"replicas": 5}}, US)
    assert caught.value.code == 409
    assert AGENT in caught.value.text


@pytest.mark.needs("gitops")
def test_what_is_forced_upon_it_is_reverted_at_its_next_sync(cluster, kube, space, owned):
    kube.apply(DEPLOYMENT, space, "chat", {"spec": {"replicas": 5}}, US, force=True)
    until(lambda: replicas(kube, space) == 2, "it is reverted", within_s=cluster.looks_s)
    assert owners(kube, space) == {AGENT}


@pytest.mark.needs("gitops")
def test_fields_that_it_does_not_hold_are_left_alone(cluster, kube, space, owned):
    kube.patch(DEPLOYMENT, space, "chat", {"spec": {"minReadySeconds": 7}})
    time.sleep(0.6)
    assert kube.get(DEPLOYMENT, space, "chat")["spec"]["minReadySeconds"] == 7


@pytest.fixture
def sick(cluster, kube, node):
    cluster.hands.sicken(node, 79)
    until(lambda: HEALTH_TAINT in taints(kube, node), "it is tainted", within_s=cluster.wait_s)
    return node


def taints(kube, node: str) -> dict[str, dict]:
    return {t["key"]: t for t in kube.get(NODE, "", node)["spec"].get("taints") or ()}


@pytest.mark.needs("health")
def test_a_sick_node_is_tainted_and_says_so_by_the_agents_hand(kube, sick):
    held = kube.get(NODE, "", sick)
    assert taints(kube, sick)[HEALTH_TAINT]["effect"] == "NoSchedule"
    assert condition(held, HEALTH_CONDITION)["status"] == "True"
    managers = {e["manager"] for e in held["metadata"]["managedFields"]}
    assert "gpu-health-agent" in managers


@pytest.mark.needs("health")
def test_a_sick_node_takes_no_new_pods(cluster, kube, space, sick):
    kube.create(POD, space, objects.pod("one", space, gpus=1))
    unschedulable(cluster, space, "one", "untolerated taint")


@pytest.mark.needs("health")
def test_a_taint_of_the_agents_that_somebody_lifts_comes_back(cluster, kube, sick):
    kube.patch(NODE, "", sick, {"spec": {"taints": None}})
    until(lambda: HEALTH_TAINT in taints(kube, sick), "it is back", within_s=cluster.wait_s)


@pytest.mark.needs("health")
def test_a_healed_node_loses_the_agents_taint_and_no_other(cluster, kube, make_node):
    name = make_node(taints=[objects.taint("inference")])
    cluster.hands.sicken(name, 79)
    until(lambda: HEALTH_TAINT in taints(kube, name), "it is tainted", within_s=cluster.wait_s)
    cluster.hands.sicken(name, 0)
    until(
        lambda: set(taints(kube, name)) == {objects.TIER_KEY},
        "our taint is left",
        within_s=cluster.wait_s,
    )
