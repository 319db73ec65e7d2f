"""`metadata.generation`: which changes a controller is to act on.

https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md
("Metadata") and https://kubernetes.io/docs/concepts/workloads/pods/#pod-generation
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import DEPLOYMENT, DEVICE_CLASS, POD, STATEFUL_SET

OURS = "infra-console.dev/contract"


def test_generation_starts_at_one_and_counts_changes_of_the_spec(kube, space, deployed):
    assert deployed["metadata"]["generation"] == 1
    changed = kube.patch(DEPLOYMENT, space, "chat", {"spec": {"minReadySeconds": 3}})
    assert changed["metadata"]["generation"] == 2


def test_generation_does_not_count_labels(kube, space, deployed):
    body = {"metadata": {"labels": {"team": "blue"}}}
    assert kube.patch(DEPLOYMENT, space, "chat", body)["metadata"]["generation"] == 1


def test_a_deployments_annotations_count_since_its_replica_set_gets_them(kube, space, deployed):
    body = {"metadata": {"annotations": {"note": "x"}}}
    assert kube.patch(DEPLOYMENT, space, "chat", body)["metadata"]["generation"] == 2


def test_a_stateful_sets_annotations_do_not_count(kube, space):
    kube.create(STATEFUL_SET, space, objects.stateful_set("chat", "nowhere", replicas=0))
    body = {"metadata": {"annotations": {"note": "x"}}}
    assert kube.patch(STATEFUL_SET, space, "chat", body)["metadata"]["generation"] == 1


def test_the_generation_of_a_pod_counts_its_changes_but_not_its_binding(kube, space, node):
    pod = objects.pod("one", "nowhere")
    assert kube.create(POD, space, pod)["metadata"]["generation"] == 1
    kube.bind(space, "one", node)
    held = kube.get(POD, space, "one")
    assert held["metadata"]["generation"] == 1
    more = [*held["spec"].get("tolerations", ()), {"key": "other", "operator": "Exists"}]
    changed = kube.patch(POD, space, "one", {"spec": {"tolerations": more}})
    assert changed["metadata"]["generation"] == 2


def test_to_begin_to_leave_is_a_new_generation(kube, space, deployed):
    kube.patch(DEPLOYMENT, space, "chat", {"metadata": {"finalizers": [OURS]}})
    kube.delete(DEPLOYMENT, space, "chat")
    assert kube.get(DEPLOYMENT, space, "chat")["metadata"]["generation"] == 2
    kube.patch(DEPLOYMENT, space, "chat", {"metadata": {"finalizers": None}})


@pytest.mark.needs("dra-api")
def test_a_device_class_has_a_generation(kube, unique):
    name = unique("class")
    made = kube.create(DEVICE_CLASS, "", {"metadata": {"name": name}, "spec": {}})
    selectors = [{"cel": {"expression": 'device.driver == "gpu.nvidia.com"'}}]
    changed = kube.patch(DEVICE_CLASS, "", name, {"spec": {"selectors": selectors}})
    kube.delete(DEVICE_CLASS, "", name)
    assert (made["metadata"]["generation"], changed["metadata"]["generation"]) == (1, 2)


def test_generation_does_not_count_the_status(kube, space, deployed):
    condition = {"type": "Noted", "status": "True", "reason": "Test", "message": ""}
    body = {"status": {"conditions": [condition]}}
    changed = kube.patch(DEPLOYMENT, space, "chat", body, "strategic", "status")
    assert changed["metadata"]["generation"] == 1
