"""Machines that come and go: Karpenter's NodePools and Cluster API's MachineDeployments."""

from datetime import timedelta

import pytest

from tests.tiers.twin.kube import objects
from tiers.twin.controllers import capi, karpenter
from tiers.twin.controllers.machines import CHANCE_KEY, NO_CAPACITY_KEY
from tiers.twin.controllers.pods import condition, is_leaving
from tiers.twin.kube.resources import (
    EVENTS,
    MACHINE_DEPLOYMENTS,
    MACHINES,
    NODE_CLAIMS,
    NODE_POOLS,
    NODES,
    PDBS,
    PODS,
)
from tiers.twin.kube.times import rfc3339
from tiers.twin.kube.verbs import Write, delete

TIER = "infra-console.dev/tier"
TAINT = {"key": TIER, "value": "inference", "effect": "NoSchedule"}


def pool(world, notes=None, **spec) -> None:
    template = {
        "metadata": {"labels": {TIER: "inference"}},
        "spec": {
            "taints": [TAINT],
            "requirements": [
                {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]}
            ],
        },
    }
    metadata = {"name": "burst", "annotations": notes or {}}
    world.add(NODE_POOLS, {"metadata": metadata, "spec": {"template": template, **spec}})


def quick(nodes: str = "100%") -> dict:
    return {"disruption": {"consolidateAfter": "60s", "consolidationPolicy": "WhenEmpty",
                           "budgets": [{"nodes": nodes}]}}  # fmt: skip


def change(world, resource, name: str, namespace: str = "", **spec) -> None:
    held = world.store.get(resource, namespace, name)
    world.store.put(resource, {**held, "spec": held["spec"] | spec})


def annotate(world, resource, name: str, namespace: str = "", **notes: str) -> None:
    held = world.store.get(resource, namespace, name)
    metadata = held["metadata"] | {"annotations": notes}
    world.store.put(resource, {**held, "metadata": metadata})


def nodes(world) -> list[str]:
    return [node["metadata"]["name"] for node in world.store.all(NODES)]


def reasons(world) -> set[str]:
    return {event["reason"] for event in world.store.all(EVENTS)}


def test_a_machine_comes_for_pods_that_fit_nowhere(world):
    pool(world)
    world.deploy(2, gpus=4)
    world.live(6)
    (claim,) = world.store.all(NODE_CLAIMS)
    assert nodes(world) == []
    world.live(30)
    assert nodes(world) == [claim["metadata"]["name"]]
    labels = world.store.get(NODES, "", nodes(world)[0])["metadata"]["labels"]
    assert labels["karpenter.sh/nodepool"] == "burst"
    assert labels["karpenter.sh/capacity-type"] == "on-demand"
    assert labels["nvidia.com/gpu.product"] == "NVIDIA-H100-80GB-HBM3"
    assert world.nodes_used() == set(nodes(world))
    claim = world.store.all(NODE_CLAIMS)[0]
    assert condition(claim, "Ready")["status"] == "True"
    status = world.store.get(NODE_POOLS, "", "burst")["status"]
    assert (status["nodes"], status["resources"]["nvidia.com/gpu"]) == (1, "8")


def test_a_pool_makes_no_machine_that_would_not_help(world):
    pool(world)
    made = objects.pod("p", tier="training")
    world.add(PODS, made)
    world.live(30)
    assert world.store.all(NODE_CLAIMS) == []


def test_a_pool_stops_at_its_limit(world):
    pool(world, limits={"nvidia.com/gpu": "16"})
    world.deploy(4, gpus=8)
    world.live(60)
    assert len(nodes(world)) == 2


def test_without_capacity_it_says_so_and_asks_again(world):
    until = rfc3339(world.now + timedelta(seconds=30))
    pool(world, {NO_CAPACITY_KEY: until})
    world.deploy(1)
    world.live(8)
    assert world.store.all(NODE_CLAIMS) == []
    assert "InsufficientCapacityError" in reasons(world)
    world.live(20)
    assert nodes(world) == []
    world.live(60)
    assert len(nodes(world)) == 1


def test_each_attempt_can_fail_by_chance(world):
    pool(world, {CHANCE_KEY: "0.5"})
    world.deploy(12, gpus=8)
    world.live(30)
    assert 0 < len(nodes(world)) < 12
    world.live(400)
    assert len(nodes(world)) == 12


def empty_pool(world, count: int = 1, **spec) -> None:
    pool(world, **(quick() | spec))
    world.deploy(count, gpus=8)
    world.live(40)
    assert len(nodes(world)) == count
    world.scale(0)


def test_an_empty_node_is_given_back_after_its_time(world):
    empty_pool(world)
    world.live(4)
    assert len(nodes(world)) == 1
    world.live(20)
    assert nodes(world) == [] and world.store.all(NODE_CLAIMS) == []
    assert "DisruptionTerminating" in reasons(world)


def test_a_node_that_must_not_be_disrupted_stays(world):
    empty_pool(world)
    annotate(world, NODES, nodes(world)[0], **{"karpenter.sh/do-not-disrupt": "true"})
    world.live(60)
    assert len(nodes(world)) == 1
    annotate(world, NODES, nodes(world)[0])
    world.live(4)
    assert nodes(world) == []


def test_a_limit_may_be_on_any_resource(world):
    empty_pool(world, count=2, limits={"cpu": "200"})
    world.scale(4)
    world.live(40)
    assert len(nodes(world)) == 2


@pytest.mark.parametrize("spec", [{"disruption": {"consolidateAfter": "Never"}}, quick("0")])
def test_never_and_an_empty_budget_keep_what_is_empty(world, spec):
    empty_pool(world, **spec)
    world.live(60)
    assert len(nodes(world)) == 1


def test_a_static_pool_keeps_its_count_and_drops_what_is_empty_first(world):
    pool(world, replicas=3)
    world.live(40)
    assert len(nodes(world)) == 3
    world.deploy(1)
    world.live(20)
    (busy,) = world.nodes_used()
    change(world, NODE_POOLS, "burst", replicas=1)
    world.live(10)
    assert nodes(world) == [busy]


def test_a_node_that_is_given_back_is_drained_within_its_budget(world):
    pool(world, replicas=1)
    world.live(40)
    world.deploy(2, budget=True)
    world.live(20)
    change(world, NODE_POOLS, "burst", replicas=0)
    world.live(4)
    assert sum(map(is_leaving, world.pods())) == 1
    world.live(10)
    assert len(nodes(world)) == 1, "the budget holds the second pod"
    world.store.remove(PDBS, "inference", "chat")
    world.live(20)
    assert nodes(world) == []


def test_deleting_a_claim_through_the_api_gives_its_node_back(world):
    pool(world, replicas=1)
    world.live(40)
    name = nodes(world)[0]
    change(world, NODE_POOLS, "burst", replicas=0)
    delete(Write(world.store, NODE_CLAIMS, "", name, world.now), {})
    world.live(4)
    assert nodes(world) == []


def test_an_existing_node_can_be_put_under_a_pool(world):
    pool(world, replicas=1)
    world.add_node("old")
    karpenter.adopt(world.store, "burst", "old", world.now)
    world.live(40)
    assert nodes(world) == ["old"]
    change(world, NODE_POOLS, "burst", replicas=0)
    world.live(4)
    assert nodes(world) == []


def machine_deployment(world, replicas: int, **spec) -> dict:
    notes = {capi.TAINTS_KEY: f"{TIER}=inference:NoSchedule"}
    labels = {TIER: "inference", "node.kubernetes.io/instance-type": "g6e.48xlarge"}
    body = {"replicas": replicas, "selector": {"matchLabels": {"md": "h100"}},
            "template": {"metadata": {"labels": labels}, "spec": {}}, **spec}  # fmt: skip
    metadata = {"name": "h100", "annotations": notes}
    return world.add(MACHINE_DEPLOYMENTS, {"metadata": metadata, "spec": body})


def resize(world, replicas: int) -> None:
    change(world, MACHINE_DEPLOYMENTS, "h100", "inference", replicas=replicas)


def test_machines_become_nodes_with_the_labels_and_taints_of_their_deployment(world):
    machine_deployment(world, 2)
    world.live(10)
    assert len(world.store.all(MACHINES)) == 2 and nodes(world) == []
    world.live(40)
    assert len(nodes(world)) == 2
    node = world.store.get(NODES, "", nodes(world)[0])
    assert node["metadata"]["labels"]["nvidia.com/gpu.product"] == "NVIDIA-L40S"
    assert node["spec"]["taints"] == [TAINT]
    machine = world.store.get(MACHINES, "inference", node["metadata"]["name"])
    assert (machine["status"]["phase"], machine["status"]["nodeRef"]["name"]) == (
        "Running", node["metadata"]["name"],
    )  # fmt: skip
    status = world.store.get(MACHINE_DEPLOYMENTS, "inference", "h100")["status"]
    assert (status["replicas"], status["readyReplicas"], status["phase"]) == (2, 2, "Running")


def test_the_machine_that_is_named_goes_first(world):
    machine_deployment(world, 3)
    world.live(60)
    first, named, _ = nodes(world)
    annotate(world, MACHINES, named, "inference", **{capi.DELETE_KEY: "yes"})
    resize(world, 2)
    world.live(6)
    assert first in nodes(world) and named not in nodes(world)
    assert len(nodes(world)) == 2


def test_a_machine_leaves_only_when_its_pods_have_left(world):
    machine_deployment(world, 1)
    world.live(60)
    world.deploy(1)
    world.live(20)
    resize(world, 0)
    world.live(4)
    assert len(nodes(world)) == 1
    assert world.store.get(NODES, "", nodes(world)[0])["spec"]["unschedulable"]
    world.live(10)
    assert nodes(world) == [] and world.store.all(MACHINES) == []


def test_a_machine_deployment_waits_for_capacity(world):
    machine_deployment(world, 1)
    until = rfc3339(world.now + timedelta(seconds=30))
    annotate(world, MACHINE_DEPLOYMENTS, "h100", "inference", **{NO_CAPACITY_KEY: until})
    world.live(10)
    (machine,) = world.store.all(MACHINES)
    assert condition(machine, "InfrastructureReady")["reason"] == "InsufficientCapacity"
    assert "InsufficientCapacity" in reasons(world)
    world.live(80)
    assert len(nodes(world)) == 1


def test_nodes_can_be_adopted_by_a_machine_deployment(world):
    world.add_node("old")
    capi.adopt(world.store, machine_deployment(world, 1), "old", world.now)
    world.live(40)
    assert nodes(world) == ["old"]
    world.store.remove(MACHINE_DEPLOYMENTS, "inference", "h100")
    world.live(6)
    assert nodes(world) == []


def test_the_nodes_of_a_deleted_pool_are_given_back(world):
    empty_pool(world, disruption={"consolidateAfter": "Never"})
    world.store.remove(NODE_POOLS, "", "burst")
    world.live(10)
    assert nodes(world) == [] and world.store.all(NODE_CLAIMS) == []
