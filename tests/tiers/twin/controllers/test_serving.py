"""Deployments, scheduling, loading, draining, failing: what happens by itself in a cluster."""

import pytest

from tiers.twin.controllers.config import CORDON_TAINT, DELETION_COST_KEY, UNREACHABLE_TAINT
from tiers.twin.controllers.nodes import fail_node, heal_node
from tiers.twin.controllers.pods import condition, is_ready
from tiers.twin.kube.errors import ApiError
from tiers.twin.kube.resources import DEPLOYMENTS, NODES, PDBS, REPLICA_SETS


def taints(world, name: str) -> set[str]:
    return {t["key"] for t in world.store.get(NODES, "", name)["spec"].get("taints") or ()}


def test_a_deployment_comes_up_through_a_replica_set(world):
    world.add_node("n1")
    world.deploy(3)
    world.live(20)
    status = world.store.get(DEPLOYMENTS, "inference", "chat")["status"]
    assert (status["replicas"], status["readyReplicas"], status["observedGeneration"]) == (3, 3, 1)
    (replica_set,) = world.store.all(REPLICA_SETS)
    owners = {p["metadata"]["ownerReferences"][0]["uid"] for p in world.pods()}
    assert owners == {replica_set["metadata"]["uid"]}


def test_a_pod_loads_before_it_is_ready(world):
    world.add_node("n1")
    world.deploy(1)
    world.live(4)
    (pod,) = world.pods()
    assert (pod["status"]["phase"], is_ready(pod)) == ("Running", False)
    world.live(8)
    assert is_ready(world.pods()[0])


def test_what_fits_nowhere_says_why(world):
    world.add_node("n1", tier="training")
    world.add_node("n2", gpus=2)
    world.deploy(1, gpus=4)
    world.live(2)
    scheduled = condition(world.pods()[0], "PodScheduled")
    assert (scheduled["status"], scheduled["reason"]) == ("False", "Unschedulable")
    assert scheduled["message"] == (
        "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, "
        "1 node(s) didn't match Pod's node affinity/selector."
    )


def test_no_node_is_given_more_than_it_has(world):
    world.add_node("n1", gpus=4)
    world.add_node("n2", gpus=8)
    world.deploy(7, gpus=2)
    world.live(20)
    held = [p["spec"].get("nodeName") for p in world.pods()]
    assert (held.count("n1"), held.count("n2"), held.count(None)) == (2, 4, 1)


def test_the_tightest_node_takes_the_pod(world):
    world.add_node("a-wide", gpus=8)
    world.add_node("z-tight", gpus=2)
    world.deploy(1, gpus=2)
    world.live(4)
    assert world.nodes_used() == {"z-tight"}


def test_scaling_down_takes_the_pod_of_lowest_deletion_cost(world):
    world.add_node("n1")
    world.deploy(3)
    world.live(20)
    first, *_ = world.pods()
    world.note(first, **{DELETION_COST_KEY: "-10"})
    world.scale(2)
    world.live(6)
    left = {p["metadata"]["uid"] for p in world.pods()}
    assert len(left) == 2 and first["metadata"]["uid"] not in left


def test_scaling_down_takes_what_is_pending_before_what_serves(world):
    world.add_node("n1", gpus=2)
    world.deploy(3)
    world.live(20)
    (waiting,) = [p for p in world.pods() if not is_ready(p)]
    for pod in world.pods():
        if is_ready(pod):
            world.note(pod, **{DELETION_COST_KEY: "-10"})
    world.scale(2)
    world.live(6)
    assert waiting["metadata"]["uid"] not in {p["metadata"]["uid"] for p in world.pods()}


def test_a_drain_moves_pods_within_the_budget(world):
    world.add_node("n1")
    world.deploy(4, budget=True)
    world.live(20)
    world.add_node("n2")
    world.change_node("n1", unschedulable=True)
    world.live(2)
    assert CORDON_TAINT in taints(world, "n1")
    world.evict(world.store.pods_on("n1")[0])
    with pytest.raises(ApiError) as caught:
        world.evict(next(p for p in world.store.pods_on("n1") if is_ready(p) and not leaving(p)))
    assert caught.value.code == 429
    for _ in range(3):
        world.live(20)
        world.evict(world.store.pods_on("n1")[0])
    world.live(20)
    assert world.nodes_used() == {"n2"}
    assert all(is_ready(p) for p in world.pods())
    world.change_node("n1", unschedulable=False)
    world.live(2)
    assert CORDON_TAINT not in taints(world, "n1")


def leaving(pod) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def test_a_budget_says_what_it_can_spare(world):
    world.add_node("n1")
    world.deploy(3, budget=True)
    world.live(4)
    status = world.store.get(PDBS, "inference", "chat")["status"]
    assert (status["currentHealthy"], status["disruptionsAllowed"]) == (0, 0)
    world.live(20)
    status = world.store.get(PDBS, "inference", "chat")["status"]
    counts = ("expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed")
    assert [status[key] for key in counts] == [3, 2, 3, 1]


def test_a_node_of_another_tier_takes_pods_once_relabelled(world):
    world.add_node("n1", tier="training")
    world.deploy(1)
    world.live(4)
    assert world.nodes_used() == {""}
    node = world.store.get(NODES, "", "n1")
    labels = {"infra-console.dev/tier": "inference"}
    world.store.put(NODES, {**node, "metadata": {**node["metadata"], "labels": labels}})
    world.live(4)
    assert world.nodes_used() == {""}, "the taint still keeps it away"
    taint = {**node["spec"]["taints"][0], "value": "inference"}
    world.change_node("n1", taints=[taint])
    world.live(4)
    assert world.nodes_used() == {"n1"}


def test_a_silent_node_is_found_out_and_its_pods_come_back_elsewhere(world):
    world.add_node("n1")
    world.deploy(2)
    world.live(20)
    world.add_node("n2")
    fail_node(world.store, "n1", world.now)
    world.live(14)
    ready = condition(world.store.get(NODES, "", "n1"), "Ready")
    assert (ready["status"], ready["reason"]) == ("Unknown", "NodeStatusUnknown")
    assert UNREACHABLE_TAINT in taints(world, "n1")
    world.live(60)
    assert world.nodes_used() == {"n2"}
    heal_node(world.store, "n1")
    world.live(4)
    assert is_ready(world.store.get(NODES, "", "n1"))
    assert UNREACHABLE_TAINT not in taints(world, "n1")


def test_heartbeats_move_the_version_and_nothing_else(world):
    world.add_node("n1")
    world.live(2)
    before = world.store.get(NODES, "", "n1")
    world.live(32)
    after = world.store.get(NODES, "", "n1")
    assert after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]
    assert after["spec"] == before["spec"]
    beat = condition(after, "Ready")
    assert beat["lastTransitionTime"] == condition(before, "Ready")["lastTransitionTime"]


def test_a_new_template_rolls_without_losing_all_pods(world):
    world.add_node("n1")
    world.deploy(4)
    world.live(20)
    held = world.store.get(DEPLOYMENTS, "inference", "chat")
    template = {**held["spec"]["template"]}
    template["metadata"] = {**template["metadata"], "annotations": {"version": "2"}}
    world.store.put(DEPLOYMENTS, {**held, "spec": {**held["spec"], "template": template}})
    fewest = 4
    for _ in range(60):
        world.live(2)
        fewest = min(fewest, sum(map(is_ready, world.pods())))
    assert fewest >= 3
    notes = {(p["metadata"].get("annotations") or {}).get("version") for p in world.pods()}
    assert notes == {"2"} and len(world.pods()) == 4


def test_pods_go_with_their_deployment(world):
    world.add_node("n1")
    world.deploy(2)
    world.live(20)
    world.store.remove(DEPLOYMENTS, "inference", "chat")
    world.live(10)
    assert world.pods() == [] and world.store.all(REPLICA_SETS) == []
