"""Server-side apply: who owns a field, what a conflict says, what force and leaving out do.

https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import DEPLOYMENT, LEASE, NODE
from tests.contract.kube import Refused, refused

US, THEM = "infra-console", "argocd-controller"


def holder(name: str) -> dict:
    return {"spec": {"holderIdentity": name}}


def labels(**values: str) -> dict:
    return {"metadata": {"labels": values}}


def whole(name: str, body: dict) -> dict:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, **body}


def entry(obj, manager: str, operation: str = "Apply") -> dict:
    """The managedFields entry of a manager; empty when it owns nothing."""
    found = [
        e
        for e in obj["metadata"]["managedFields"]
        if (e["manager"], e["operation"]) == (manager, operation)
    ]
    return found[0] if found else {}


def owns(obj, manager: str, *path: str, operation: str = "Apply") -> bool:
    fields = entry(obj, manager, operation).get("fieldsV1", {})
    for name in path:
        if name not in fields:
            return False
        fields = fields[name]
    return True


def test_apply_creates_what_is_not_there(kube, space):
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **holder("us")}
    body["metadata"] = {"name": "held"}
    path, content_type = LEASE.path(space, "held"), "application/apply-patch+yaml"
    code, made = kube.send("PATCH", path, body, content_type, fieldManager=US)
    assert (code, made["spec"]) == (201, {"holderIdentity": "us"})
    assert made["metadata"]["uid"]
    code, again = kube.send("PATCH", path, body, content_type, fieldManager=US)
    assert (code, again["metadata"]["uid"]) == (200, made["metadata"]["uid"])


def test_apply_records_just_the_fields_it_sent(kube, space, lease):
    applied = kube.apply(LEASE, space, "held", labels(team="blue"), US)
    assert applied["metadata"]["labels"] == {"team": "blue"}
    assert applied["spec"]["holderIdentity"] == "console-a"
    assert entry(applied, US)["fieldsV1"] == {"f:metadata": {"f:labels": {"f:team": {}}}}
    assert entry(applied, US)["apiVersion"] == "coordination.k8s.io/v1"


def test_an_owner_changes_its_field(kube, space):
    kube.apply(LEASE, space, "held", holder("us"), US)
    changed = kube.apply(LEASE, space, "held", holder("us-again"), US)
    assert changed["spec"]["holderIdentity"] == "us-again"


def test_the_same_apply_again_changes_nothing(kube, space):
    first = kube.apply(LEASE, space, "held", holder("us"), US)
    again = kube.apply(LEASE, space, "held", holder("us"), US)
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_another_managers_field_is_a_conflict_that_names_both(kube, space):
    kube.apply(LEASE, space, "held", holder("them"), THEM)
    with refused(409) as caught:
        kube.apply(LEASE, space, "held", holder("us"), US)
    answer = caught.value
    assert answer.reason == "Conflict"
    assert answer.message.startswith("Apply failed with 1 conflict: ")
    (cause,) = answer.causes
    assert cause["reason"] == "FieldManagerConflict"
    assert cause["field"] == ".spec.holderIdentity"
    assert f'conflict with "{THEM}"' in cause["message"]
    assert kube.get(LEASE, space, "held")["spec"]["holderIdentity"] == "them"


def test_every_conflicting_field_is_a_cause(kube, space):
    both = {"spec": {"holderIdentity": "them", "leaseDurationSeconds": 10}}
    kube.apply(LEASE, space, "held", both, THEM)
    ours = {"spec": {"holderIdentity": "us", "leaseDurationSeconds": 20}}
    with refused(409) as caught:
        kube.apply(LEASE, space, "held", ours, US)
    fields = {cause["field"] for cause in caught.value.causes}
    assert fields == {".spec.holderIdentity", ".spec.leaseDurationSeconds"}


def test_a_conflict_changes_nothing_at_all(kube, space):
    before = kube.apply(LEASE, space, "held", holder("them"), THEM)
    with refused(409):
        kube.apply(LEASE, space, "held", holder("us") | labels(team="blue"), US)
    assert kube.get(LEASE, space, "held") == before


def test_a_field_written_by_an_update_conflicts_too(kube, space):
    kube.create(LEASE, space, objects.lease("held"), fieldManager="kubectl-edit")
    with refused(409) as caught:
        kube.apply(LEASE, space, "held", holder("us"), US)
    assert 'conflict with "kubectl-edit"' in caught.value.causes[0]["message"]


def test_update_and_apply_of_one_name_are_two_managers(kube, space):
    kube.create(LEASE, space, objects.lease("held"), fieldManager=US)
    with refused(409):
        kube.apply(LEASE, space, "held", holder("another"), US)


def test_force_takes_the_field_over(kube, space):
    kube.apply(LEASE, space, "held", holder("them"), THEM)
    taken = kube.apply(LEASE, space, "held", holder("us"), US, force=True)
    assert taken["spec"]["holderIdentity"] == "us"
    assert owns(taken, US, "f:spec", "f:holderIdentity")
    assert not owns(taken, THEM, "f:spec", "f:holderIdentity")
    with refused(409):
        kube.apply(LEASE, space, "held", holder("them"), THEM)


def test_the_same_value_is_owned_together(kube, space):
    kube.apply(LEASE, space, "held", holder("both"), THEM)
    shared = kube.apply(LEASE, space, "held", holder("both"), US)
    assert owns(shared, US, "f:spec", "f:holderIdentity")
    assert owns(shared, THEM, "f:spec", "f:holderIdentity")


def test_a_field_left_out_by_its_only_owner_goes(kube, space, lease):
    kube.apply(LEASE, space, "held", labels(team="blue", tier="x"), US)
    applied = kube.apply(LEASE, space, "held", labels(tier="x"), US)
    assert applied["metadata"]["labels"] == {"tier": "x"}


def test_a_field_left_out_by_one_of_two_owners_stays(kube, space, lease):
    kube.apply(LEASE, space, "held", labels(team="blue"), THEM)
    kube.apply(LEASE, space, "held", labels(team="blue", tier="x"), US)
    applied = kube.apply(LEASE, space, "held", labels(tier="x"), US)
    assert applied["metadata"]["labels"] == {"team": "blue", "tier": "x"}
    assert owns(applied, THEM, "f:metadata", "f:labels", "f:team")
    assert not owns(applied, US, "f:metadata", "f:labels", "f:team")


def test_an_empty_apply_gives_everything_back(kube, space, lease):
    kube.apply(LEASE, space, "held", labels(team="blue"), US)
    applied = kube.apply(LEASE, space, "held", {}, US)
    assert "labels" not in applied["metadata"]
    assert entry(applied, US).get("fieldsV1", {}) == {}


def test_an_update_takes_ownership_of_what_it_changes(kube, space):
    kube.apply(LEASE, space, "held", holder("us"), US)
    patched = kube.patch(LEASE, space, "held", holder("them"), fieldManager="kubectl-edit")
    assert owns(patched, "kubectl-edit", "f:spec", "f:holderIdentity", operation="Update")
    assert not owns(patched, US, "f:spec", "f:holderIdentity")
    with refused(409):
        kube.apply(LEASE, space, "held", holder("us"), US)


def test_maps_are_owned_key_by_key(kube, space, lease):
    kube.apply(LEASE, space, "held", labels(team="blue"), THEM)
    applied = kube.apply(LEASE, space, "held", labels(tier="x"), US)
    assert applied["metadata"]["labels"] == {"team": "blue", "tier": "x"}


def test_lists_with_keys_are_owned_element_by_element(kube, space, deployed):
    container = {"name": "server", "env": [{"name": "TIER", "value": "x"}]}
    body = {"spec": {"template": {"spec": {"containers": [container]}}}}
    applied = kube.apply(DEPLOYMENT, space, "chat", body, US)
    (server,) = applied["spec"]["template"]["spec"]["containers"]
    assert server["image"] == objects.IMAGE
    assert server["env"] == [{"name": "TIER", "value": "x"}]
    path = ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"server"}', "f:env")
    assert owns(applied, US, *path, 'k:{"name":"TIER"}')


def test_an_element_left_out_by_its_only_owner_goes(kube, space, deployed):
    def env(*names: str) -> dict:
        container = {"name": "server", "env": [{"name": n, "value": "1"} for n in names]}
        return {"spec": {"template": {"spec": {"containers": [container]}}}}

    kube.apply(DEPLOYMENT, space, "chat", env("A", "B"), US)
    applied = kube.apply(DEPLOYMENT, space, "chat", env("B"), US)
    (server,) = applied["spec"]["template"]["spec"]["containers"]
    assert ([e["name"] for e in server["env"]], server["image"]) == (["B"], objects.IMAGE)


def test_an_element_that_stands_twice_is_refused(kube, space, deployed):
    container = {"name": "server", "image": objects.IMAGE}
    body = {"spec": {"template": {"spec": {"containers": [container, container]}}}}
    with pytest.raises(Refused) as caught:  # servers have answered 500 as well as 4xx
        kube.apply(DEPLOYMENT, space, "chat", body, US, force=True)
    assert "duplicate" in caught.value.text.lower()


def test_sets_are_owned_value_by_value(kube, space, lease):
    ours, theirs = "infra-console.dev/ours", "infra-console.dev/theirs"
    kube.apply(LEASE, space, "held", {"metadata": {"finalizers": [theirs]}}, THEM)
    both = kube.apply(LEASE, space, "held", {"metadata": {"finalizers": [ours]}}, US)
    assert set(both["metadata"]["finalizers"]) == {ours, theirs}
    left = kube.apply(LEASE, space, "held", {}, US)
    assert left["metadata"]["finalizers"] == [theirs]
    kube.patch(LEASE, space, "held", {"metadata": {"finalizers": None}})


def test_a_status_is_applied_through_its_subresource(kube, space, deployed):
    noted = [{"type": "Noted", "status": "True", "reason": "Test", "message": ""}]
    body = {"status": {"conditions": noted}, "spec": {"paused": True}}
    applied = kube.patch(
        DEPLOYMENT, space, "chat", whole("chat", body), "apply", "status", fieldManager=US
    )
    assert "paused" not in applied["spec"]
    owned = entry(applied, US)
    assert owned["subresource"] == "status"
    assert 'k:{"type":"Noted"}' in owned["fieldsV1"]["f:status"]["f:conditions"]


def test_node_taints_are_one_atomic_list(kube, node):
    """Why taints are not written by apply: one owner of one taint would own all of them."""
    ours, theirs = [objects.taint("training")], [objects.taint("yes", key="other")]
    kube.apply(NODE, "", node, {"spec": {"taints": theirs}}, THEM, force=True)
    with refused(409) as caught:
        kube.apply(NODE, "", node, {"spec": {"taints": ours}}, US)
    assert [cause["field"] for cause in caught.value.causes] == [".spec.taints"]
    taken = kube.apply(NODE, "", node, {"spec": {"taints": ours}}, US, force=True)
    assert taken["spec"]["taints"] == ours
    assert entry(taken, US)["fieldsV1"]["f:spec"] == {"f:taints": {}}


def test_apply_without_a_manager_is_a_422(kube, space, lease):
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "held"}}
    with refused(422) as caught:
        kube.patch(LEASE, space, "held", body, "apply")
    assert caught.value.details["kind"] == "PatchOptions"
    assert "fieldManager: Required value: is required for apply patch" in caught.value.message


def test_force_is_for_apply_only(kube, space, lease):
    with refused(422) as caught:
        kube.patch(LEASE, space, "held", {}, "merge", force=True)
    assert "may not be specified for non-apply patch" in caught.value.message


def test_managed_fields_cannot_be_applied(kube, space, lease):
    kept = lease["metadata"]["managedFields"]
    with refused(400) as caught:
        kube.apply(LEASE, space, "held", {"metadata": {"managedFields": kept}}, US)
    assert "metadata.managedFields must be nil" in caught.value.message


def test_apply_with_a_stale_version_is_a_conflict(kube, space, lease):
    kube.patch(LEASE, space, "held", {"metadata": {"labels": {"team": "blue"}}})
    stale = {"metadata": {"resourceVersion": lease["metadata"]["resourceVersion"]}}
    with refused(409) as caught:
        kube.apply(LEASE, space, "held", stale | {"spec": {"leaseTransitions": 1}}, US)
    assert "the object has been modified" in caught.value.message


def test_apply_of_a_wrong_value_is_a_422(kube, space, deployed):
    with refused(422) as caught:
        kube.apply(DEPLOYMENT, space, "chat", {"spec": {"replicas": -2}}, US, force=True)
    assert caught.value.causes[0]["field"] == "spec.replicas"


def test_apply_of_the_main_resource_leaves_the_status_alone(kube, space, deployed):
    body = labels(team="blue") | {"status": {"observedGeneration": 77}}
    applied = kube.apply(DEPLOYMENT, space, "chat", body, US)
    assert applied["status"].get("observedGeneration") != 77
    assert "f:status" not in entry(applied, US)["fieldsV1"]


def test_a_write_of_a_subresource_is_owned_apart(kube, space, deployed):
    body = {"status": {"conditions": [{"type": "Noted", "status": "True"}]}}
    kube.patch(DEPLOYMENT, space, "chat", body, "strategic", "status", fieldManager=US)
    owned = entry(kube.get(DEPLOYMENT, space, "chat"), US, "Update")
    assert owned["subresource"] == "status"
    assert list(owned["fieldsV1"]) == ["f:status"]
