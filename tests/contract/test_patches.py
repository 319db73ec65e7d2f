"""Three ways to change a part: strategic merge, JSON merge (RFC 7386), JSON patch (RFC 6902).

https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/ and
https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import DEPLOYMENT, LEASE, NODE
from tests.contract.kube import refused

TIER = "infra-console.dev~1tier"


@pytest.fixture
def chat(kube, space):
    """A Deployment of two containers, the first with three variables, tolerating one taint."""
    body = objects.deployment("chat", space, replicas=0)
    pod = body["spec"]["template"]["spec"]
    pod["containers"][0]["env"] = [{"name": name, "value": "1"} for name in ("A", "B", "C")]
    pod["containers"].append({"name": "sidecar", "image": objects.IMAGE})
    pod["tolerations"] = [{"key": objects.TIER_KEY, "operator": "Exists"}]
    return kube.create(DEPLOYMENT, space, body)


def patched_pod(kube, space, change, how="strategic"):
    body = {"spec": {"template": {"spec": change}}}
    return kube.patch(DEPLOYMENT, space, "chat", body, how)["spec"]["template"]["spec"]


def names(items) -> list[str]:
    return [item["name"] for item in items]


def test_strategic_merge_finds_containers_by_name(kube, space, chat):
    change = {"containers": [{"name": "sidecar", "image": "registry.invalid/new:2"}]}
    pod = patched_pod(kube, space, change)
    images = {c["name"]: c["image"] for c in pod["containers"]}
    assert images == {"server": objects.IMAGE, "sidecar": "registry.invalid/new:2"}


def test_strategic_merge_finds_variables_by_name_and_keeps_their_order(kube, space, chat):
    change = {"containers": [{"name": "server", "env": [{"name": "B", "value": "2"}]}]}
    (server, _) = patched_pod(kube, space, change)["containers"]
    assert [(e["name"], e["value"]) for e in server["env"]] == [("A", "1"), ("B", "2"), ("C", "1")]


def test_strategic_merge_adds_an_element_of_a_new_name(kube, space, chat):
    change = {"containers": [{"name": "server", "env": [{"name": "D", "value": "4"}]}]}
    (server, _) = sorted(patched_pod(kube, space, change)["containers"], key=lambda c: c["name"])
    assert sorted(names(server["env"])) == ["A", "B", "C", "D"]


def test_strategic_merge_deletes_one_element_by_directive(kube, space, chat):
    change = {"containers": [{"name": "sidecar", "$patch": "delete"}]}
    assert names(patched_pod(kube, space, change)["containers"]) == ["server"]


def test_strategic_merge_replaces_a_map_by_directive(kube, space, chat):
    body = {"metadata": {"labels": {"$patch": "replace", "only": "this"}}}
    patched = kube.patch(DEPLOYMENT, space, "chat", body, "strategic")
    assert patched["metadata"]["labels"] == {"only": "this"}


def test_strategic_merge_replaces_a_list_by_directive(kube, space, chat):
    change = {"containers": [{"name": "only", "image": objects.IMAGE}, {"$patch": "replace"}]}
    assert names(patched_pod(kube, space, change)["containers"]) == ["only"]


def test_strategic_merge_sorts_a_list_by_directive(kube, space, chat):
    order = [{"name": "sidecar"}, {"name": "server"}]
    change = {"$setElementOrder/containers": order, "containers": [{"name": "server", "tty": True}]}
    assert names(patched_pod(kube, space, change)["containers"]) == ["sidecar", "server"]


def test_strategic_merge_keeps_only_named_members_by_directive(kube, space, chat):
    strategy = {"$retainKeys": ["type"], "type": "Recreate"}
    patched = kube.patch(DEPLOYMENT, space, "chat", {"spec": {"strategy": strategy}}, "strategic")
    assert patched["spec"]["strategy"] == {"type": "Recreate"}


def test_strategic_merge_adds_to_and_deletes_from_a_set(kube, space, lease):
    one, two = "infra-console.dev/one", "infra-console.dev/two"
    for name in (one, two):
        kube.patch(LEASE, space, "held", {"metadata": {"finalizers": [name]}}, "strategic")
    body = {"metadata": {"$deleteFromPrimitiveList/finalizers": [one]}}
    patched = kube.patch(LEASE, space, "held", body, "strategic")
    assert patched["metadata"]["finalizers"] == [two]
    kube.patch(LEASE, space, "held", {"metadata": {"finalizers": None}})


def test_strategic_merge_replaces_tolerations_whole(kube, space, chat):
    other = {"key": "other", "operator": "Exists"}
    assert patched_pod(kube, space, {"tolerations": [other]})["tolerations"] == [other]


def test_strategic_merge_replaces_node_taints_whole(kube, make_node):
    name = make_node(taints=[objects.taint("inference")])
    other = objects.taint("yes", key="other")
    body = {"spec": {"taints": [other]}}
    patched = kube.patch(NODE, "", name, body, "strategic")
    assert patched["spec"]["taints"] == [other]


@pytest.mark.parametrize("how", ["merge", "strategic"])
def test_null_takes_a_label_away(kube, space, how):
    kube.create(LEASE, space, objects.lease("held", labels={"team": "blue", "tier": "x"}))
    body = {"metadata": {"labels": {"team": None}}}
    assert kube.patch(LEASE, space, "held", body, how)["metadata"]["labels"] == {"tier": "x"}


@pytest.mark.parametrize("how", ["merge", "strategic"])
def test_null_for_what_is_absent_changes_nothing(kube, space, lease, how):
    body = {"metadata": {"labels": {"team": None}}}
    assert kube.patch(LEASE, space, "held", body, how) == lease


@pytest.mark.parametrize("how", ["merge", "strategic"])
def test_maps_merge_key_by_key(kube, space, how):
    kube.create(LEASE, space, objects.lease("held", labels={"team": "blue"}))
    body = {"metadata": {"labels": {"tier": "x"}}}
    patched = kube.patch(LEASE, space, "held", body, how)
    assert patched["metadata"]["labels"] == {"team": "blue", "tier": "x"}


def test_merge_patch_replaces_every_list_whole(kube, space, chat):
    change = {"containers": [{"name": "only", "image": objects.IMAGE}]}
    assert names(patched_pod(kube, space, change, "merge")["containers"]) == ["only"]


def test_a_failing_test_is_a_422_and_changes_nothing(kube, space, lease):
    body = [
        {"op": "replace", "path": "/spec/holderIdentity", "value": "console-z"},
        {"op": "test", "path": "/spec/leaseDurationSeconds", "value": 31},
    ]
    with refused(422) as caught:
        kube.patch(LEASE, space, "held", body, "json")
    assert caught.value.reason == "Invalid"
    assert kube.get(LEASE, space, "held") == lease


def test_a_passing_test_lets_the_rest_through(kube, space, lease):
    body = [
        {"op": "test", "path": "/spec/leaseDurationSeconds", "value": 30},
        {"op": "replace", "path": "/spec/holderIdentity", "value": "console-z"},
    ]
    patched = kube.patch(LEASE, space, "held", body, "json")
    assert patched["spec"]["holderIdentity"] == "console-z"


def test_json_patch_writes_keys_with_a_slash(kube, node):
    add = [{"op": "add", "path": f"/metadata/labels/{TIER}", "value": "training"}]
    labels = kube.patch(NODE, "", node, add, "json")["metadata"]["labels"]
    assert labels[objects.TIER_KEY] == "training"
    remove = [{"op": "remove", "path": f"/metadata/labels/{TIER}"}]
    assert objects.TIER_KEY not in kube.patch(NODE, "", node, remove, "json")["metadata"]["labels"]


@pytest.mark.parametrize("op", ["remove", "replace"])
def test_json_patch_of_an_absent_path_is_a_422(kube, space, lease, op):
    body = [{"op": op, "path": "/metadata/labels/absent", "value": "x"}]
    with refused(422):
        kube.patch(LEASE, space, "held", body, "json")


def test_an_unknown_operation_is_a_422(kube, space, lease):
    with refused(422):
        kube.patch(LEASE, space, "held", [{"op": "improve", "path": "/spec"}], "json")


def test_owners_are_forgotten_by_one_empty_entry(kube, space, lease):
    body = {"metadata": {"managedFields": [{}]}}
    assert "managedFields" not in kube.patch(LEASE, space, "held", body)["metadata"]


def test_an_emptied_list_of_owners_forgets_nobody(kube, space, lease):
    body = {"metadata": {"managedFields": [], "labels": {"team": "blue"}}}
    assert kube.patch(LEASE, space, "held", body)["metadata"]["managedFields"]


def test_json_patch_adds_to_and_removes_from_a_list(kube, make_node):
    first, second = objects.taint("inference"), objects.taint("yes", key="other")
    name = make_node(taints=[first])
    added = kube.patch(
        NODE, "", name, [{"op": "add", "path": "/spec/taints/-", "value": second}], "json"
    )
    assert added["spec"]["taints"] == [first, second]
    removed = kube.patch(NODE, "", name, [{"op": "remove", "path": "/spec/taints/0"}], "json")
    assert removed["spec"]["taints"] == [second]


def test_taints_are_moved_as_one_list_under_a_test_of_what_was_read(kube, make_node):
    name = make_node(taints=[objects.taint("inference")])
    held, wanted = kube.get(NODE, "", name)["spec"]["taints"], [objects.taint("training")]
    body = [
        {"op": "test", "path": "/spec/taints", "value": held},
        {"op": "replace", "path": "/spec/taints", "value": wanted},
    ]
    assert kube.patch(NODE, "", name, body, "json")["spec"]["taints"] == wanted
    with refused(422):
        kube.patch(NODE, "", name, body, "json")
    assert kube.get(NODE, "", name)["spec"]["taints"] == wanted


def test_a_patch_that_is_no_patch_is_a_400(kube, space, lease):
    path = LEASE.path(space, "held")
    with refused(400):
        kube.send("PATCH", path, ["not", "operations"], "application/json-patch+json")


def test_the_result_of_a_patch_is_checked_like_any_object(kube, space, deployed):
    body = [{"op": "replace", "path": "/spec/replicas", "value": -3}]
    with refused(422) as caught:
        kube.patch(DEPLOYMENT, space, "chat", body, "json")
    assert caught.value.causes[0]["field"] == "spec.replicas"
