"""`pods/binding`, how a scheduler places a pod, and `namespaces/finalize`, how a namespace ends.

https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/binding-v1/ and
https://kubernetes.io/docs/tasks/administer-cluster/namespaces/#deleting-a-namespace
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import NAMESPACE, POD
from tests.contract.kube import Refused, condition, refused, until

OURS = "infra-console.dev/contract"


@pytest.fixture
def unplaced(kube, space) -> str:
    """A pod that fits nowhere, so no scheduler binds it; a binding does not ask about that."""
    kube.create(POD, space, objects.pod("one", "nowhere"))
    return "one"


def test_a_binding_puts_a_pod_on_a_node(kube, space, node, unplaced):
    code, answer = kube.bind(space, unplaced, node)
    assert (code, answer["kind"], answer["status"]) == (201, "Status", "Success")
    pod = kube.get(POD, space, unplaced)
    assert pod["spec"]["nodeName"] == node
    assert condition(pod, "PodScheduled")["status"] == "True"


def test_a_bound_pod_is_not_bound_again(kube, space, make_node, unplaced):
    first, second = make_node(), make_node()
    kube.bind(space, unplaced, first)
    with refused(409) as caught:
        kube.bind(space, unplaced, second)
    assert caught.value.reason == "Conflict"
    assert "already assigned to node" in caught.value.message
    assert kube.get(POD, space, unplaced)["spec"]["nodeName"] == first


def test_the_node_of_a_pod_is_not_written_by_an_update(kube, space, node, unplaced):
    with refused(422):
        kube.patch(POD, space, unplaced, {"spec": {"nodeName": node}})


def test_a_gated_pod_is_not_bound(kube, space, node):
    gates = [{"name": "infra-console.dev/held"}]
    kube.create(POD, space, objects.pod("gated", "nowhere", schedulingGates=gates))
    with refused(409) as caught:
        kube.bind(space, "gated", node)
    assert "schedulingGates" in caught.value.message
    kube.patch(POD, space, "gated", {"spec": {"schedulingGates": None}})
    assert kube.bind(space, "gated", node)[0] == 201


def test_a_missing_pod_is_not_bound(kube, space, node):
    with refused(404):
        kube.bind(space, "gone", node)


@pytest.fixture
def waiting(cluster, kube, unique) -> str:
    """A namespace that is not to go before we let it."""
    name = unique("waits")
    metadata = objects.meta(name, labels={objects.RUN_KEY: cluster.run})
    kube.create(NAMESPACE, "", {"metadata": metadata, "spec": {"finalizers": [OURS]}})
    return name


def finalize(kube, name: str, finalizers: list[str]) -> bool:
    """False when the namespace controller wrote in between."""
    held = kube.get(NAMESPACE, "", name)
    held["spec"]["finalizers"] = finalizers
    try:
        kube.replace(NAMESPACE, "", name, held, "finalize")
    except Refused as answer:
        assert answer.code == 409
        return False
    return True


def test_a_namespace_waits_for_its_finalizers(cluster, kube, waiting):
    assert set(kube.get(NAMESPACE, "", waiting)["spec"]["finalizers"]) == {OURS, "kubernetes"}
    kube.delete(NAMESPACE, "", waiting)
    assert kube.get(NAMESPACE, "", waiting)["status"]["phase"] == "Terminating"
    until(lambda: finalize(kube, waiting, []), "it is finalized", within_s=cluster.wait_s)
    until(lambda: kube.find(NAMESPACE, "", waiting) is None, "it is gone", within_s=cluster.wait_s)


def test_only_finalize_writes_the_finalizers_of_a_namespace(cluster, kube, waiting):
    held = kube.get(NAMESPACE, "", waiting)
    replaced = kube.replace(NAMESPACE, "", waiting, {**held, "spec": {"finalizers": []}})
    assert replaced["spec"] == held["spec"]
    kube.delete(NAMESPACE, "", waiting)
    until(lambda: finalize(kube, waiting, []), "it is finalized", within_s=cluster.wait_s)
