"""Kinds defined by CustomResourceDefinitions: patches, status, scale, generations, rules."""

import json

import pytest
from kubernetes.client import ApiException

KUEUE = ("kueue.x-k8s.io", "v1beta2")
LWS = ("leaderworkerset.x-k8s.io", "v1")
KEDA = ("keda.sh", "v1alpha1")
KARPENTER = ("karpenter.sh", "v1")
CAPI = ("cluster.x-k8s.io", "v1beta2")
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


def refused(code: int, text: str = ""):
    return pytest.raises(
        ApiException,
        check=lambda err: err.status == code and text in json.loads(err.body)["message"],
    )


def flavor(name: str, gpus: int) -> dict:
    return {"name": name, "resources": [{"name": "nvidia.com/gpu", "nominalQuota": str(gpus)}]}


def groups(*flavors: dict) -> list[dict]:
    return [{"coveredResources": ["nvidia.com/gpu"], "flavors": list(flavors)}]


@pytest.fixture
def queue(custom, space) -> str:
    name = f"cq-{space}"
    body = {"metadata": {"name": name}, "spec": {"resourceGroups": groups(flavor("h100", 8))}}
    custom.create_cluster_custom_object(*KUEUE, "clusterqueues", body)
    return name


@pytest.fixture
def workers(custom, space) -> str:
    template = {"spec": {"containers": [{"name": "server", "image": "server:1"}]}}
    spec = {"replicas": 2, "leaderWorkerTemplate": {"size": 4, "workerTemplate": template}}
    body = {"metadata": {"name": "llama"}, "spec": spec}
    custom.create_namespaced_custom_object(*LWS, space, "leaderworkersets", body)
    return "llama"


def test_a_strategic_merge_is_unsupported(running, queue):
    answer = running.raw(
        "PATCH",
        f"/apis/kueue.x-k8s.io/v1beta2/clusterqueues/{queue}",
        {"spec": {"stopPolicy": "Hold"}},
        Content_Type="application/strategic-merge-patch+json",
    )
    assert answer.status == 415
    assert answer.json()["message"] == (
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    )


def test_defaults_of_the_schema_are_filled_in(custom, queue):
    spec = custom.get_cluster_custom_object(*KUEUE, "clusterqueues", queue)["spec"]
    assert (spec["queueingStrategy"], spec["stopPolicy"]) == ("BestEffortFIFO", "None")
    assert spec["preemption"]["reclaimWithinCohort"] == "Never"


def test_spec_moves_the_generation_and_metadata_does_not(custom, queue):
    def patch(body):
        done = custom.patch_cluster_custom_object(*KUEUE, "clusterqueues", queue, body)
        return done["metadata"]["generation"]

    assert patch({"metadata": {"labels": {"team": "blue"}}}) == 1
    assert patch({"spec": {"stopPolicy": "Hold"}}) == 2


def test_status_and_spec_are_written_apart(custom, queue):
    args = (*KUEUE, "clusterqueues", queue)
    held = custom.get_cluster_custom_object(*args)
    held["spec"]["stopPolicy"], held["status"] = "Hold", {"pendingWorkloads": 5}
    held = custom.replace_cluster_custom_object(*args, held)
    assert held["spec"]["stopPolicy"] == "Hold" and "status" not in held
    held["spec"]["stopPolicy"], held["status"] = "None", {"pendingWorkloads": 5}
    held = custom.replace_cluster_custom_object_status(*args, held)
    assert held["spec"]["stopPolicy"] == "Hold"
    assert held["status"] == {"pendingWorkloads": 5}
    assert held["metadata"]["generation"] == 2


def test_a_replace_must_name_its_version(custom, queue):
    args = (*KUEUE, "clusterqueues", queue)
    held = custom.get_cluster_custom_object(*args)
    del held["metadata"]["resourceVersion"]
    with refused(422, "metadata.resourceVersion: Invalid value: 0x0: must be specified for"):
        custom.replace_cluster_custom_object(*args, held)


def apply(custom, queue, spec, manager, **options):
    body = {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": "ClusterQueue",
        "metadata": {"name": queue},
        "spec": spec,
    }
    return custom.patch_cluster_custom_object(
        *KUEUE, "clusterqueues", queue, body, field_manager=manager, _content_type=APPLY, **options
    )


def test_quotas_of_a_cluster_queue_are_one_atomic_list(custom, queue):
    wanted = {"resourceGroups": groups(flavor("a100", 4))}
    with refused(409, ".spec.resourceGroups"):
        apply(custom, queue, wanted, "console")
    done = apply(custom, queue, wanted, "console", force=True)
    assert done["spec"]["resourceGroups"] == wanted["resourceGroups"]
    entry = next(e for e in done["metadata"]["managedFields"] if e["manager"] == "console")
    assert entry["fieldsV1"] == {"f:spec": {"f:resourceGroups": {}}}


def test_conditions_of_a_status_merge_by_type(custom, space):
    args = (*KUEUE, space, "workloads", "job-1")
    pods = {"containers": [{"name": "t", "image": "t:1"}], "restartPolicy": "Never"}
    body = {
        "metadata": {"name": "job-1"},
        "spec": {"podSets": [{"name": "main", "count": 2, "template": {"spec": pods}}]},
    }
    custom.create_namespaced_custom_object(*KUEUE, space, "workloads", body)

    def conditions(kind: str, manager: str):
        condition = {"type": kind, "status": "True", "reason": "x", "message": "",
                     "lastTransitionTime": "2026-11-24T00:00:00Z"}  # fmt: skip
        sent = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "Workload",
                "metadata": {"name": "job-1"}, "status": {"conditions": [condition]}}  # fmt: skip
        return custom.patch_namespaced_custom_object_status(
            *args, sent, field_manager=manager, _content_type=APPLY
        )

    conditions("QuotaReserved", "kueue")
    done = conditions("Evicted", "console")
    assert {c["type"] for c in done["status"]["conditions"]} == {"QuotaReserved", "Evicted"}
    assert {e.get("subresource") for e in done["metadata"]["managedFields"]} == {None, "status"}
    change = {"spec": {"podSets": [{**body["spec"]["podSets"][0], "count": 3}]}}
    with refused(422, "spec.podSets: Invalid value"):
        custom.patch_namespaced_custom_object(*args, change)


def test_a_workload_can_be_deactivated(custom, space):
    args = (*KUEUE, space, "workloads", "job-2")
    body = {"metadata": {"name": "job-2"}, "spec": {"podSets": [{"name": "main", "count": 1}]}}
    made = custom.create_namespaced_custom_object(*KUEUE, space, "workloads", body)
    assert made["spec"]["active"] is True
    done = custom.patch_namespaced_custom_object(*args, {"spec": {"active": False}})
    assert done["spec"]["active"] is False
    with refused(422, "spec.active in body must be of type boolean"):
        custom.patch_namespaced_custom_object(*args, {"spec": {"active": "no"}})


def test_scale_reads_the_paths_of_the_definition(custom, space, workers):
    args = (*LWS, space, "leaderworkersets", workers)
    status = {"replicas": 2, "hpaPodSelector": "leaderworkerset.sigs.k8s.io/name=llama"}
    custom.patch_namespaced_custom_object_status(*args, {"status": status})
    scale = custom.get_namespaced_custom_object_scale(*args)
    assert scale["spec"] == {"replicas": 2}
    assert scale["status"] == {"replicas": 2, "selector": status["hpaPodSelector"]}
    done = custom.patch_namespaced_custom_object_scale(
        *args, {"spec": {"replicas": 5}}, field_manager="console"
    )
    assert done["spec"]["replicas"] == 5
    held = custom.get_namespaced_custom_object(*args)
    assert (held["spec"]["replicas"], held["metadata"]["generation"]) == (5, 2)
    owner = next(e for e in held["metadata"]["managedFields"] if e.get("subresource") == "scale")
    assert owner["fieldsV1"] == {"f:spec": {"f:replicas": {}}}


def test_a_kind_without_scale_has_none(running, queue):
    path = f"/apis/kueue.x-k8s.io/v1beta2/clusterqueues/{queue}/scale"
    assert running.raw("GET", path).status == 404


def node_pool(name: str, **spec) -> dict:
    reference = {"group": "karpenter.azure.com", "kind": "AKSNodeClass", "name": "gpu"}
    inner = {"nodeClassRef": reference, "requirements": []}
    return {"metadata": {"name": name}, "spec": {"template": {"spec": inner}, **spec}}


def test_a_static_node_pool_is_scaled(custom, space):
    args = (*KARPENTER, "nodepools", f"pool-{space}")
    made = custom.create_cluster_custom_object(
        *KARPENTER, "nodepools", node_pool(f"pool-{space}", replicas=3)
    )
    assert made["spec"]["disruption"]["consolidationPolicy"] == "WhenEmptyOrUnderutilized"
    scale = custom.patch_cluster_custom_object_scale(*args, {"spec": {"replicas": 1}})
    assert scale["spec"]["replicas"] == 1


@pytest.mark.parametrize(
    ("group", "plural", "body", "text"),
    [
        (KEDA, "scaledobjects", {"spec": {}}, "spec.triggers: Required value"),
        (
            KEDA,
            "scaledobjects",
            {"spec": {"scaleTargetRef": {"name": "a"}, "triggers": [], "minReplicaCount": "1"}},
            "spec.minReplicaCount in body must be of type integer",
        ),
        (LWS, "leaderworkersets", {"spec": {"replicas": -1}}, "greater than or equal to 0"),
        (CAPI, "machinedeployments", {"spec": {}}, "spec.clusterName: Required value"),
        (KUEUE, "localqueues", {"spec": {"stopPolicy": "Stop"}}, 'Unsupported value: "Stop"'),
    ],
)
def test_what_the_schema_forbids_is_invalid(custom, space, group, plural, body, text):
    with refused(422, text):
        custom.create_namespaced_custom_object(
            *group, space, plural, {"metadata": {"name": "x"}, **body}
        )


def test_a_borrowing_limit_needs_a_cohort(custom, queue):
    quota = {"name": "nvidia.com/gpu", "nominalQuota": "8", "borrowingLimit": "2"}
    spec = {"resourceGroups": groups({"name": "h100", "resources": [quota]})}
    with refused(422, "must be nil when cohort is empty"):
        custom.patch_cluster_custom_object(*KUEUE, "clusterqueues", queue, {"spec": spec})


def test_a_quota_is_changed_while_it_is_what_was_read(custom, queue):
    path = "/spec/resourceGroups/0/flavors/0/resources/0/nominalQuota"
    change = [
        {"op": "test", "path": path, "value": "8"},
        {"op": "replace", "path": path, "value": "4"},
    ]
    args = (*KUEUE, "clusterqueues", queue, change)
    as_json_patch = {"_content_type": "application/json-patch+json"}
    done = custom.patch_cluster_custom_object(*args, **as_json_patch)
    assert done["metadata"]["generation"] == 2
    with refused(422):
        custom.patch_cluster_custom_object(*args, **as_json_patch)


def test_a_machine_deployment_is_scaled(custom, space):
    spec = {"clusterName": "c", "selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {}}}
    body = {"metadata": {"name": "gpu"}, "spec": spec}
    made = custom.create_namespaced_custom_object(*CAPI, space, "machinedeployments", body)
    assert made["spec"]["replicas"] == 1
    args = (*CAPI, space, "machinedeployments", "gpu")
    scale = custom.patch_namespaced_custom_object_scale(
        *args, {"spec": {"replicas": 4}}, _content_type=MERGE
    )
    assert scale["spec"]["replicas"] == 4
