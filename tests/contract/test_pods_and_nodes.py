"""What a pod and a node may not hold, and what of them does not change.

https://kubernetes.io/docs/concepts/workloads/pods/#pod-update-and-replacement,
https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#extended-resources
and https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import NODE, POD
from tests.contract.kube import refused


def test_a_pod_needs_a_container(kube, space):
    body = objects.pod("one", space)
    body["spec"]["containers"] = []
    with refused(422) as caught:
        kube.create(POD, space, body)
    (cause,) = caught.value.causes
    assert (cause["field"], cause["reason"]) == ("spec.containers", "FieldValueRequired")


def test_an_unknown_taint_effect_is_refused(kube, node):
    body = {"spec": {"taints": [objects.taint("training", effect="Sometimes")]}}
    with refused(422) as caught:
        kube.patch(NODE, "", node, body)
    causes = {(cause["reason"], cause["field"]) for cause in caught.value.causes}
    (wrong,) = causes  # which a server may name more than once
    assert wrong[0] == "FieldValueNotSupported"
    assert wrong[1].endswith("taints[0].effect")


def test_a_taint_cannot_stand_twice(kube, node):
    body = {"spec": {"taints": [objects.taint("training"), objects.taint("inference")]}}
    with refused(422) as caught:
        kube.patch(NODE, "", node, body)
    assert "FieldValueDuplicate" in {cause["reason"] for cause in caught.value.causes}


@pytest.mark.parametrize(
    ("amounts", "field"),
    [
        ({"limits": {objects.GPU: "-1"}}, "limits"),
        ({"limits": {objects.GPU: "500m"}}, "limits"),
        ({"requests": {objects.GPU: "1"}}, "limits"),
        ({"requests": {objects.GPU: "1"}, "limits": {objects.GPU: "2"}}, "requests"),
    ],
    ids=["negative", "part-of-one", "no-limit", "another-limit"],
)
def test_gpus_are_whole_and_limited_to_what_is_asked(kube, space, amounts, field):
    body = objects.pod("one", space)
    body["spec"]["containers"][0]["resources"] = amounts
    with refused(422) as caught:
        kube.create(POD, space, body, dryRun="All")
    assert any(f"resources.{field}" in cause["field"] for cause in caught.value.causes)


def test_an_amount_that_is_none_is_a_400(kube, space):
    body = objects.pod("one", space)
    body["spec"]["containers"][0]["resources"] = {"limits": {objects.GPU: "lots"}}
    with refused(400) as caught:
        kube.create(POD, space, body)
    assert "quantities must match the regular expression" in caught.value.message


def test_containers_have_names_of_their_own(kube, space):
    body = objects.pod("one", space)
    body["spec"]["containers"] *= 2
    with refused(422) as caught:
        kube.create(POD, space, body)
    wanted = ("FieldValueDuplicate", "spec.containers[1].name")
    assert wanted in {(cause["reason"], cause["field"]) for cause in caught.value.causes}


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"nodeSelector": {"no key": "x"}}, "spec.nodeSelector"),
        ({"tolerations": [{"key": "x", "operator": "Like"}]}, "spec.tolerations[0].operator"),
        ({"tolerations": [{"key": "x", "operator": "Exists", "value": "y"}]},
         "spec.tolerations[0].operator"),
        ({"restartPolicy": "Sometimes"}, "spec.restartPolicy"),
    ],
    ids=["selector", "operator", "value", "restart"],
)  # fmt: skip
def test_where_a_pod_may_go_is_checked(kube, space, spec, field):
    body = objects.pod("one", space)
    body["spec"] |= spec
    with refused(422) as caught:
        kube.create(POD, space, body)
    assert any(cause["field"].startswith(field) for cause in caught.value.causes)


def test_the_provider_of_a_node_does_not_change(kube, node):
    kube.patch(NODE, "", node, {"spec": {"providerID": "contract://one"}})
    with refused(422) as caught:
        kube.patch(NODE, "", node, {"spec": {"providerID": "contract://two"}})
    assert "spec.providerID" in {cause["field"] for cause in caught.value.causes}


def test_tolerations_of_a_pod_can_only_be_added(kube, space):
    body = objects.pod("one", "nowhere", tolerations=[{"key": "one", "operator": "Exists"}])
    held = kube.create(POD, space, body)["spec"]["tolerations"]
    more = [*held, {"key": "other", "operator": "Exists"}]
    kube.patch(POD, space, "one", {"spec": {"tolerations": more}})
    with refused(422):
        kube.patch(POD, space, "one", {"spec": {"tolerations": held}})


def test_most_of_a_pod_is_immutable(kube, space):
    kube.create(POD, space, objects.pod("one", space))
    body = {"spec": {"schedulerName": "another"}}
    with refused(422) as caught:
        kube.patch(POD, space, "one", body)
    assert "FieldValueForbidden" in {cause["reason"] for cause in caught.value.causes}
