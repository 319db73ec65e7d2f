"""Nodes: cordons, tier labels and taints, as an operator and a scheduler read them.

https://kubernetes.io/docs/concepts/architecture/nodes/#manual-node-administration and
https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import NODE
from tests.contract.kube import Refused, is_true, until

CORDON = "node.kubernetes.io/unschedulable"


def cordon(kube, name: str, on: bool = True) -> dict:
    return kube.patch(NODE, "", name, {"spec": {"unschedulable": on}}, "strategic")


def test_a_cordon_is_a_field_of_the_spec(kube, node):
    assert cordon(kube, node)["spec"]["unschedulable"] is True
    assert kube.get(NODE, "", node)["spec"]["unschedulable"] is True


def test_lifting_a_cordon_leaves_no_field(kube, node):
    cordon(kube, node)
    assert not cordon(kube, node, on=False)["spec"].get("unschedulable")
    assert not kube.get(NODE, "", node)["spec"].get("unschedulable")


def cordon_under(kube, name: str, version: str) -> bool:
    """Whether the cordon was set; False when the version is no longer the latest."""
    body = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/spec/unschedulable", "value": True},
    ]
    try:
        kube.patch(NODE, "", name, body, "json")
    except Refused as answer:
        assert answer.code == 422, answer.text
        return False
    return True


def test_a_cordon_is_set_under_the_version_that_was_read(cluster, kube, node):
    read = kube.get(NODE, "", node)["metadata"]["resourceVersion"]
    kube.patch(NODE, "", node, {"metadata": {"labels": {"team": "blue"}}})
    assert not cordon_under(kube, node, read)
    assert not kube.get(NODE, "", node)["spec"].get("unschedulable")

    def cordoned() -> bool:
        """A heartbeat may come in between; then it is read again."""
        return cordon_under(kube, node, kube.get(NODE, "", node)["metadata"]["resourceVersion"])

    until(cordoned, "the cordon is set", within_s=cluster.wait_s)


@pytest.mark.needs("node-lifecycle")
def test_a_cordoned_node_is_tainted_and_an_open_one_is_not(cluster, kube, node):
    cordon(kube, node)

    def tainted() -> bool:
        taints = kube.get(NODE, "", node)["spec"].get("taints") or []
        return (CORDON, "NoSchedule") in {(t["key"], t["effect"]) for t in taints}

    until(tainted, "the cordon's taint is on", within_s=cluster.wait_s)
    cordon(kube, node, on=False)
    until(lambda: not tainted(), "the cordon's taint is off", within_s=cluster.wait_s)


@pytest.mark.needs("node-lifecycle")
def test_a_cordon_leaves_other_taints_alone(cluster, kube, make_node):
    ours = objects.taint("inference")
    name = make_node(taints=[ours])
    cordon(kube, name)

    def keys() -> set[str]:
        return {t["key"] for t in kube.get(NODE, "", name)["spec"].get("taints") or []}

    until(lambda: keys() == {CORDON, objects.TIER_KEY}, "both taints", within_s=cluster.wait_s)
    cordon(kube, name, on=False)
    until(lambda: keys() == {objects.TIER_KEY}, "ours is left", within_s=cluster.wait_s)


def test_a_tier_label_moves_and_the_rest_stays(kube, node):
    body = {"metadata": {"labels": {objects.TIER_KEY: "training"}}}
    labels = kube.patch(NODE, "", node, body)["metadata"]["labels"]
    assert labels[objects.TIER_KEY] == "training"
    assert labels["kubernetes.io/hostname"] == node


def test_nodes_are_found_by_tier(kube, space, make_node):
    inference = make_node(labels={objects.TIER_KEY: "inference"})
    make_node(labels={objects.TIER_KEY: "training"})
    selector = f"{objects.SPACE_KEY}={space},{objects.TIER_KEY}=inference"
    found = kube.items(NODE, labelSelector=selector)
    assert [item["metadata"]["name"] for item in found] == [inference]


def test_capacity_is_written_through_the_status(kube, make_node):
    held = kube.get(NODE, "", make_node(gpus=4))
    assert held["status"]["capacity"]["nvidia.com/gpu"] == "4"
    assert held["status"]["allocatable"]["nvidia.com/gpu"] == "4"
    assert is_true(held, "Ready")


def test_the_main_resource_does_not_write_capacity(kube, make_node):
    name = make_node(gpus=4)
    kube.patch(NODE, "", name, {"status": {"allocatable": {"nvidia.com/gpu": "8"}}})
    assert kube.get(NODE, "", name)["status"]["allocatable"]["nvidia.com/gpu"] == "4"


def test_a_heartbeat_is_no_change_of_the_spec(cluster, kube, node):
    """Why drift is not read from resourceVersions."""
    before = kube.get(NODE, "", node)

    def beaten() -> dict | None:
        held = kube.get(NODE, "", node)
        changed = held["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]
        return held if changed else None

    after = until(beaten, "a heartbeat came", within_s=max(15, cluster.wait_s))
    for field in ("taints", "unschedulable"):  # a controller may still be handing out its CIDR
        assert after["spec"].get(field) == before["spec"].get(field)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
