"""Custom kinds, by the example of Kueue's: what differs from built-in ones.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/ and
Kueue's kueue.x-k8s.io/v1beta2 (ClusterQueue.spec.resourceGroups is one atomic list).
"""

import pytest
from kubernetes import client

from tests.contract import objects
from tests.contract.kinds import CLUSTER_QUEUE, FLAVOR, LOCAL_QUEUE
from tests.contract.kube import refused

pytestmark = pytest.mark.needs("kueue-api")
US, THEM = "infra-console", "argocd-controller"


@pytest.fixture
def flavor(unique, make_custom) -> str:
    name = unique("flavor")
    make_custom(FLAVOR, objects.flavor(name))
    return name


@pytest.fixture
def queue(unique, make_custom, flavor) -> str:
    """A ClusterQueue of eight GPUs, written by another manager, with nobody in it."""
    name = unique("queue")
    body = objects.cluster_queue(name, {flavor: 8}, stopPolicy="Hold")
    make_custom(CLUSTER_QUEUE, body, fieldManager=THEM)
    return name


def test_a_custom_object_is_made_like_any(kube, queue):
    held = kube.get(CLUSTER_QUEUE, "", queue)
    assert (held["apiVersion"], held["kind"]) == ("kueue.x-k8s.io/v1beta2", "ClusterQueue")
    assert held["metadata"]["uid"]
    assert held["spec"]["resourceGroups"][0]["coveredResources"] == ["nvidia.com/gpu"]


def test_its_defaults_are_filled_in(kube, queue):
    spec = kube.get(CLUSTER_QUEUE, "", queue)["spec"]
    assert spec["queueingStrategy"] == "BestEffortFIFO"
    assert spec["preemption"]["reclaimWithinCohort"] == "Never"
    assert spec["preemption"]["withinClusterQueue"] == "Never"


def test_a_strategic_merge_patch_is_a_415(kube, queue):
    with refused(415) as caught:
        kube.patch(CLUSTER_QUEUE, "", queue, {"spec": {"stopPolicy": "None"}}, "strategic")
    assert caught.value.reason == "UnsupportedMediaType"


def test_merge_patch_and_json_patch_are_taken(kube, queue):
    merged = kube.patch(CLUSTER_QUEUE, "", queue, {"metadata": {"labels": {"team": "blue"}}})
    assert merged["metadata"]["labels"]["team"] == "blue"
    body = [{"op": "replace", "path": "/metadata/labels/team", "value": "red"}]
    patched = kube.patch(CLUSTER_QUEUE, "", queue, body, "json")
    assert patched["metadata"]["labels"]["team"] == "red"


def test_its_generation_counts_changes_of_the_spec(kube, queue):
    before = kube.get(CLUSTER_QUEUE, "", queue)["metadata"]["generation"]
    labelled = kube.patch(CLUSTER_QUEUE, "", queue, {"metadata": {"labels": {"team": "blue"}}})
    assert labelled["metadata"]["generation"] == before
    body = {"spec": {"queueingStrategy": "StrictFIFO"}}
    assert kube.patch(CLUSTER_QUEUE, "", queue, body)["metadata"]["generation"] == before + 1


def test_a_replace_needs_the_version(kube, queue):
    held = kube.get(CLUSTER_QUEUE, "", queue)
    del held["metadata"]["resourceVersion"]
    with refused(422) as caught:
        kube.replace(CLUSTER_QUEUE, "", queue, held)
    assert "must be specified for an update" in caught.value.message


def test_a_value_outside_its_enumeration_is_a_422(kube, queue):
    with refused(422) as caught:
        kube.patch(CLUSTER_QUEUE, "", queue, {"spec": {"stopPolicy": "Sometimes"}})
    assert "spec.stopPolicy" in {cause["field"] for cause in caught.value.causes}


def test_an_applied_quota_owns_every_flavour(kube, queue, flavor):
    """Why quotas are not written by apply: the list of resource groups is one value."""
    groups = {"spec": {"resourceGroups": [objects.resource_group({flavor: 4})]}}
    with refused(409) as caught:
        kube.apply(CLUSTER_QUEUE, "", queue, groups, US)
    assert [cause["field"] for cause in caught.value.causes] == [".spec.resourceGroups"]
    taken = kube.apply(CLUSTER_QUEUE, "", queue, groups, US, force=True)
    (entry,) = [e for e in taken["metadata"]["managedFields"] if e["manager"] == US]
    assert entry["fieldsV1"]["f:spec"] == {"f:resourceGroups": {}}


def test_an_applied_scalar_owns_itself_alone(kube, queue):
    applied = kube.apply(
        CLUSTER_QUEUE, "", queue, {"spec": {"queueingStrategy": "StrictFIFO"}}, US, force=True
    )
    (entry,) = [e for e in applied["metadata"]["managedFields"] if e["manager"] == US]
    assert entry["fieldsV1"]["f:spec"] == {"f:queueingStrategy": {}}
    assert applied["spec"]["stopPolicy"] == "Hold"


def test_one_quota_is_moved_by_json_patch_under_a_test(kube, queue):
    path = "/spec/resourceGroups/0/flavors/0/resources/0/nominalQuota"
    body = [
        {"op": "test", "path": path, "value": "8"},
        {"op": "replace", "path": path, "value": "6"},
    ]
    patched = kube.patch(CLUSTER_QUEUE, "", queue, body, "json")
    held = patched["spec"]["resourceGroups"][0]["flavors"][0]["resources"][0]
    assert held == {"name": "nvidia.com/gpu", "nominalQuota": "6"}
    with refused(422):
        kube.patch(CLUSTER_QUEUE, "", queue, body, "json")


def test_the_status_subresource_is_apart(kube, queue):
    before = kube.get(CLUSTER_QUEUE, "", queue)["metadata"]["generation"]
    body = {"status": {"pendingWorkloads": 0}, "spec": {"queueingStrategy": "StrictFIFO"}}
    patched = kube.patch(CLUSTER_QUEUE, "", queue, body, "merge", "status")
    assert patched["metadata"]["generation"] == before
    assert patched["spec"]["queueingStrategy"] == "BestEffortFIFO"


def test_dry_run_keeps_nothing(kube, queue):
    before = kube.get(CLUSTER_QUEUE, "", queue)["spec"]
    body = {"spec": {"queueingStrategy": "StrictFIFO"}}
    answer = kube.patch(CLUSTER_QUEUE, "", queue, body, dryRun="All")
    assert answer["spec"]["queueingStrategy"] == "StrictFIFO"
    assert kube.get(CLUSTER_QUEUE, "", queue)["spec"] == before


def test_the_official_client_reads_custom_objects(api, space, kube, queue):
    kube.create(LOCAL_QUEUE, space, objects.local_queue("training", queue))
    custom = client.CustomObjectsApi(api)
    held = custom.get_namespaced_custom_object(
        "kueue.x-k8s.io", "v1beta2", space, "localqueues", "training"
    )
    assert held["spec"]["clusterQueue"] == queue
    listed = custom.list_cluster_custom_object("kueue.x-k8s.io", "v1beta2", "clusterqueues")
    assert queue in {item["metadata"]["name"] for item in listed["items"]}
