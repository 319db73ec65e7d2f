"""Built-in kinds beyond pods and nodes: what is filled in, what is refused, what may not change."""

import json

import pytest
from kubernetes import client
from kubernetes.client import ApiException

from tests.tiers.twin.kube import objects


def refused(code: int, text: str):
    return pytest.raises(
        ApiException, check=lambda e: e.status == code and text in json.loads(e.body)["message"]
    )


def stateful_set(**spec) -> dict:
    made = objects.deployment("llama")
    made["spec"] |= {"serviceName": "llama", **spec}
    return made


def autoscaler(**spec) -> dict:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat"}
    return {"metadata": {"name": "chat"}, "spec": {"scaleTargetRef": target, **spec}}


def test_a_stateful_set_scales_and_keeps_its_shape(apps, space):
    made = apps.create_namespaced_stateful_set(space, stateful_set())
    assert made.spec.pod_management_policy == "OrderedReady"
    assert made.spec.update_strategy.rolling_update.partition == 0
    apps.patch_namespaced_stateful_set_scale("llama", space, {"spec": {"replicas": 4}})
    assert apps.read_namespaced_stateful_set("llama", space).spec.replicas == 4
    with refused(422, "updates to statefulset spec for fields other than"):
        apps.patch_namespaced_stateful_set("llama", space, {"spec": {"serviceName": "other"}})


def test_a_deployment_gets_the_defaults_that_rollouts_read(apps, space):
    made = apps.create_namespaced_deployment(space, objects.deployment())
    assert made.spec.strategy.rolling_update.max_surge == "25%"
    assert made.spec.progress_deadline_seconds == 600
    assert made.spec.template.spec.containers[0].termination_message_policy == "File"


def test_an_autoscalers_bounds_must_agree(running, space):
    api = client.AutoscalingV2Api(running.api())
    create = api.create_namespaced_horizontal_pod_autoscaler
    with refused(422, "must be greater than or equal to `minReplicas`"):
        create(space, autoscaler(minReplicas=5, maxReplicas=3))
    with refused(422, "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"):
        create(space, autoscaler(minReplicas=0, maxReplicas=3))
    made = create(space, autoscaler(maxReplicas=3))
    assert made.spec.min_replicas == 1
    assert made.spec.metrics[0].resource.target.average_utilization == 80
    patch = api.patch_namespaced_horizontal_pod_autoscaler
    assert patch("chat", space, {"spec": {"maxReplicas": 6}}).spec.max_replicas == 6


def test_a_priority_keeps_its_value(running, space):
    api = client.SchedulingV1Api(running.api())
    name = f"p-{space}"
    api.create_priority_class({"metadata": {"name": name}, "value": 100})
    assert api.read_priority_class(name).preemption_policy == "PreemptLowerPriority"
    with refused(422, "value: Forbidden: may not be changed in an update."):
        api.patch_priority_class(name, {"value": 200})


def test_claims_of_devices_are_served(running, space):
    api = client.ResourceV1Api(running.api())
    api.create_device_class({"metadata": {"name": f"gpu-{space}"}, "spec": {"selectors": []}})
    request = {"name": "gpu", "exactly": {"deviceClassName": f"gpu-{space}"}}
    body = {"metadata": {"name": "c1"}, "spec": {"devices": {"requests": [request]}}}
    made = api.create_namespaced_resource_claim(space, body)
    assert made.spec.devices.requests[0].exactly.count == 1
    reserved = {"reservedFor": [{"resource": "pods", "name": "p1", "uid": "u1"}]}
    done = api.patch_namespaced_resource_claim_status("c1", space, {"status": reserved})
    assert done.status.reserved_for[0].uid == "u1"
    with refused(422, "field is immutable"):
        api.patch_namespaced_resource_claim("c1", space, {"spec": {"devices": {"config": [
            {"requests": ["gpu"], "opaque": {"driver": "d", "parameters": {}}}]}}})  # fmt: skip


def test_slices_are_found_by_node(running, space):
    api = client.ResourceV1Api(running.api())
    spec = {
        "driver": "gpu.nvidia.com",
        "nodeName": f"node-{space}",
        "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
        "devices": [{"name": "gpu-0"}],
    }
    api.create_resource_slice({"metadata": {"name": f"s-{space}"}, "spec": spec})
    found = api.list_resource_slice(field_selector=f"spec.nodeName=node-{space}")
    assert [s.metadata.name for s in found.items] == [f"s-{space}"]


def test_a_job_wants_pods_that_end(running, space):
    api = client.BatchV1Api(running.api())
    body = {"metadata": {"name": "t"}, "spec": {"template": {"spec": objects.pod_spec()}}}
    with refused(422, 'restartPolicy: Required value: valid values: "OnFailure", "Never"'):
        api.create_namespaced_job(space, body)
    body["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    made = api.create_namespaced_job(space, body)
    assert (made.spec.parallelism, made.spec.completions, made.spec.suspend) == (1, 1, False)
    with refused(422, "field is immutable"):
        api.patch_namespaced_job("t", space, {"spec": {"completions": 2}})


def test_a_pod_gets_what_admission_adds(core, space):
    made = core.create_namespaced_pod(space, objects.pod())
    added = {t.key: t.toleration_seconds for t in made.spec.tolerations if t.toleration_seconds}
    assert added == {
        "node.kubernetes.io/not-ready": 300,
        "node.kubernetes.io/unreachable": 300,
    }
    assert made.status.qos_class == "BestEffort"
    assert made.spec.service_account_name == "default"


def test_a_pods_spec_stays_but_for_its_image(core, space):
    core.create_namespaced_pod(space, objects.pod())
    image = {"containers": [{"name": "server", "image": "server:2"}]}
    assert core.patch_namespaced_pod("p1", space, {"spec": image}).spec.containers[0].image
    with refused(422, "pod updates may not change fields other than"):
        core.patch_namespaced_pod("p1", space, {"spec": {"nodeName": "n1"}})


def test_requests_stay_within_limits(core, space):
    body = objects.pod()
    resources = {"limits": {"nvidia.com/gpu": "1"}, "requests": {"nvidia.com/gpu": "2"}}
    body["spec"]["containers"][0]["resources"] = resources
    with refused(422, "must be less than or equal to nvidia.com/gpu limit of 1"):
        core.create_namespaced_pod(space, body)


def test_names_are_checked_in_the_servers_words(core, space):
    body = objects.pod("Not_A_Name")
    with refused(422, "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric"):
        core.create_namespaced_pod(space, body)
    with refused(422, "metadata.name: Required value: name or generateName is required"):
        core.create_namespaced_pod(space, {"spec": objects.pod_spec()})


def test_a_status_write_of_a_node_may_set_its_labels(core, node):
    done = core.patch_node_status(node, {"metadata": {"labels": {"gpu": "h100"}}})
    assert done.metadata.labels["gpu"] == "h100"
