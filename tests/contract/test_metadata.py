"""Objects and their metadata: create, read, replace, delete, and what the server keeps of each.

https://kubernetes.io/docs/reference/using-api/api-concepts/ (resource versions, generateName) and
https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md
(metadata, generation, spec and status).
"""

import contextlib
import re
import uuid

import pytest

from tests.contract import objects
from tests.contract.kinds import (
    DEPLOYMENT,
    LEASE,
    NAMESPACE,
    NODE,
    POD,
    QUOTA,
)
from tests.contract.kube import Refused, refused, until

OURS = "infra-console.dev/contract"


def test_a_new_object_has_a_uid_a_version_and_a_time(kube, space, lease):
    meta = lease["metadata"]
    assert uuid.UUID(meta["uid"])
    assert meta["resourceVersion"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", meta["creationTimestamp"])
    assert (meta["name"], meta["namespace"]) == ("held", space)
    assert (lease["apiVersion"], lease["kind"]) == ("coordination.k8s.io/v1", "Lease")


def test_what_is_created_is_what_is_read(kube, space, lease):
    assert kube.get(LEASE, space, "held") == lease


def test_creating_answers_201_and_reading_200(kube, space):
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **objects.lease("held")}
    assert kube.send("POST", LEASE.path(space), body)[0] == 201
    assert kube.send("GET", LEASE.path(space, "held"))[0] == 200


def test_a_change_moves_the_resource_version(kube, space, lease):
    changed = kube.patch(LEASE, space, "held", {"spec": {"holderIdentity": "console-b"}})
    assert changed["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"]
    assert changed["metadata"]["uid"] == lease["metadata"]["uid"]
    assert changed["metadata"]["creationTimestamp"] == lease["metadata"]["creationTimestamp"]


def test_a_write_that_changes_nothing_keeps_the_resource_version(kube, space, lease):
    version = lease["metadata"]["resourceVersion"]
    replaced = kube.replace(LEASE, space, "held", lease)
    assert replaced["metadata"]["resourceVersion"] == version
    patched = kube.patch(LEASE, space, "held", {"spec": {"holderIdentity": "console-a"}})
    assert patched["metadata"]["resourceVersion"] == version


def test_uid_and_creation_time_cannot_be_chosen(kube, space):
    body = objects.lease("held")
    body["metadata"]["uid"] = "00000000-0000-4000-8000-000000000002"
    body["metadata"]["creationTimestamp"] = "2001-01-01T00:00:00Z"
    made = kube.create(LEASE, space, body)["metadata"]
    assert made["uid"] != body["metadata"]["uid"]
    assert not made["creationTimestamp"].startswith("2001")


def test_a_recreated_name_is_another_object(kube, space, lease):
    kube.delete(LEASE, space, "held")
    again = kube.create(LEASE, space, objects.lease("held"))
    assert again["metadata"]["uid"] != lease["metadata"]["uid"]


def test_a_new_object_must_not_bring_a_resource_version(kube, space):
    body = objects.lease("held")
    body["metadata"]["resourceVersion"] = "1"
    with pytest.raises(Refused) as caught:  # the storage refuses it, so servers differ in the code
        kube.create(LEASE, space, body)
    assert "resourceVersion should not be set on objects to be created" in caught.value.text
    assert kube.find(LEASE, space, "held") is None


def test_the_main_resource_does_not_write_the_status(kube, space, deployed):
    body = {"status": {"observedGeneration": 77}, "metadata": {"labels": {"team": "blue"}}}
    changed = kube.patch(DEPLOYMENT, space, "chat", body)
    assert changed["metadata"]["labels"]["team"] == "blue"
    assert changed["status"].get("observedGeneration") != 77


def test_the_status_subresource_does_not_write_the_spec(kube, space):
    kube.create(QUOTA, space, objects.quota("gpus", gpus=4))
    body = {"spec": {"hard": {"requests.nvidia.com/gpu": "99"}}, "status": {"used": {}}}
    kube.patch(QUOTA, space, "gpus", body, "merge", "status")
    assert kube.get(QUOTA, space, "gpus")["spec"]["hard"] == {"requests.nvidia.com/gpu": "4"}


def test_a_status_sent_with_a_new_object_is_dropped(kube, space):
    body = objects.deployment("chat", space, replicas=0)
    body["status"] = {"replicas": 55, "readyReplicas": 55}
    made = kube.create(DEPLOYMENT, space, body)
    assert made.get("status", {}).get("replicas", 0) == 0


def test_generate_name_makes_a_new_name_each_time(kube, space):
    body = {"metadata": {"generateName": "held-"}, "spec": {}}
    names = [kube.create(LEASE, space, body)["metadata"]["name"] for _ in range(3)]
    assert len(set(names)) == 3
    assert all(re.fullmatch(r"held-[a-z0-9]{5}", name) for name in names), names


def test_a_name_is_needed(kube, space):
    with refused(422) as caught:
        kube.create(LEASE, space, {"metadata": {}, "spec": {}})
    assert caught.value.reason == "Invalid"
    assert "name or generateName is required" in caught.value.message


def test_defaults_are_filled_in(kube, space, deployed):
    spec = deployed["spec"]
    assert spec["strategy"]["type"] == "RollingUpdate"
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": "25%", "maxSurge": "25%"}
    assert (spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (10, 600)
    pod = spec["template"]["spec"]
    assert (pod["restartPolicy"], pod["schedulerName"]) == ("Always", "default-scheduler")
    assert pod["containers"][0]["terminationMessagePath"] == "/dev/termination-log"


def test_limits_of_an_extended_resource_are_its_requests(kube, space):
    body = objects.pod("one", space, gpus=2)
    del body["spec"]["containers"][0]["resources"]["requests"]
    made = kube.create(POD, space, body)
    amounts = made["spec"]["containers"][0]["resources"]
    assert amounts["requests"]["nvidia.com/gpu"] == amounts["limits"]["nvidia.com/gpu"] == "2"


def test_a_new_pod_is_pending(kube, space):
    assert kube.create(POD, space, objects.pod("one", space))["status"]["phase"] == "Pending"


def test_a_new_namespace_is_active(kube, space):
    assert kube.get(NAMESPACE, "", space)["status"]["phase"] == "Active"


def test_a_node_needs_no_kubelet_to_exist(kube, node):
    held = kube.get(NODE, "", node)
    assert held["status"]["allocatable"]["nvidia.com/gpu"] == "8"


def test_deleting_answers_success_and_the_object_is_gone(kube, space, lease):
    answer = kube.delete(LEASE, space, "held")
    assert (answer["kind"], answer["status"]) == ("Status", "Success")
    assert answer["details"]["name"] == "held"
    assert answer["details"]["uid"] == lease["metadata"]["uid"]
    assert kube.find(LEASE, space, "held") is None


def test_a_finalizer_keeps_a_deleted_object_until_it_is_taken_off(kube, space):
    body = objects.lease("held")
    body["metadata"]["finalizers"] = ["infra-console.dev/contract"]
    kube.create(LEASE, space, body)
    kube.delete(LEASE, space, "held")
    leaving = kube.get(LEASE, space, "held")["metadata"]
    assert leaving["deletionTimestamp"]
    assert leaving["finalizers"] == ["infra-console.dev/contract"]
    kube.patch(LEASE, space, "held", {"metadata": {"finalizers": None}})
    assert kube.find(LEASE, space, "held") is None


def test_no_finalizer_can_be_added_to_what_is_leaving(kube, space):
    body = objects.lease("held")
    body["metadata"]["finalizers"] = ["infra-console.dev/contract"]
    kube.create(LEASE, space, body)
    kube.delete(LEASE, space, "held")
    more = ["infra-console.dev/contract", "infra-console.dev/late"]
    with refused(422):
        kube.patch(LEASE, space, "held", {"metadata": {"finalizers": more}})
    kube.patch(LEASE, space, "held", {"metadata": {"finalizers": None}})


def test_foreground_deletion_waits_for_the_garbage_collector(kube, space, lease):
    answer = kube.delete(LEASE, space, "held", {"propagationPolicy": "Foreground"})
    assert answer["kind"] == "Lease"
    assert answer["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert answer["metadata"]["deletionTimestamp"]
    with contextlib.suppress(Refused):  # where one is at work, it is gone by now
        kube.patch(LEASE, space, "held", {"metadata": {"finalizers": None}})


@pytest.mark.needs("deployments", "garbage")
def test_foreground_deletion_takes_the_dependents_first(cluster, kube, space):
    kube.create(DEPLOYMENT, space, objects.deployment("chat", "nowhere", replicas=1))
    until(lambda: kube.items(POD, space), "there is a pod", within_s=cluster.wait_s)
    kube.delete(DEPLOYMENT, space, "chat", {"propagationPolicy": "Foreground"})
    until(lambda: not kube.find(DEPLOYMENT, space, "chat"), "it is gone", within_s=cluster.wait_s)
    assert kube.items(POD, space) == []


def test_a_collection_is_deleted_by_selector(kube, space):
    for name, team in (("a", "blue"), ("b", "red"), ("c", "blue")):
        kube.create(LEASE, space, objects.lease(name, labels={"team": team}))
    kube.send("DELETE", LEASE.path(space), labelSelector="team=blue")
    assert [lease["metadata"]["name"] for lease in kube.items(LEASE, space)] == ["b"]


def test_a_bound_pod_is_given_its_grace(kube, space, node):
    kube.create(POD, space, objects.pod("one", space, on=node))
    answer = kube.delete(POD, space, "one")
    assert answer["kind"] == "Pod"
    assert answer["metadata"]["deletionTimestamp"]
    assert answer["metadata"]["deletionGracePeriodSeconds"] == 2


def test_a_deleted_pod_leaves_once_its_kubelet_lets_it_go(cluster, kube, space, running_pods):
    running_pods(1)
    kube.delete(POD, space, "chat-0")
    until(lambda: not kube.find(POD, space, "chat-0"), "the pod is gone", within_s=cluster.wait_s)


def test_an_unbound_pod_goes_at_once(kube, space):
    kube.create(POD, space, objects.pod("one", "nowhere"))
    kube.delete(POD, space, "one")
    assert kube.find(POD, space, "one") is None


def test_a_pod_without_grace_goes_at_once(kube, space, node):
    kube.create(POD, space, objects.pod("one", space, on=node))
    kube.delete(POD, space, "one", {"gracePeriodSeconds": 0})
    assert kube.find(POD, space, "one") is None


def test_the_default_namespace_cannot_be_deleted(kube):
    with refused(403) as caught:
        kube.delete(NAMESPACE, "", "default", dryRun="All")
    assert "may not be deleted" in caught.value.message


def test_a_leaving_namespace_takes_nothing_new(kube, space):
    body = objects.lease("held")
    body["metadata"]["finalizers"] = ["infra-console.dev/contract"]
    kube.create(LEASE, space, body)
    kube.delete(NAMESPACE, "", space)
    assert kube.get(NAMESPACE, "", space)["status"]["phase"] == "Terminating"
    with refused(403) as caught:
        kube.create(LEASE, space, objects.lease("late"))
    assert "because it is being terminated" in caught.value.message
    assert caught.value.causes[0]["reason"] == "NamespaceTerminating"
    kube.patch(LEASE, space, "held", {"metadata": {"finalizers": None}})


@pytest.mark.parametrize("kind", [LEASE, DEPLOYMENT])
def test_managed_fields_say_who_wrote_what(kube, space, kind):
    made = {"Lease": objects.lease("held"), "Deployment": objects.deployment("held", space)}
    kept = kube.create(kind, space, made[kind.kind], fieldManager="maker")["metadata"]
    (entry,) = [e for e in kept["managedFields"] if e["manager"] == "maker"]
    assert (entry["operation"], entry["apiVersion"]) == ("Update", kind.group_version)
    assert entry["fieldsType"] == "FieldsV1"
    assert "f:spec" in entry["fieldsV1"]
    assert entry["time"]
