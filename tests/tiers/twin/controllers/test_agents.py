"""Others who write to a cluster: a GitOps agent that reverts, a health agent that taints."""

import pytest

from tiers.twin.agents import own_fields, sicken_node, take_capacity
from tiers.twin.controllers.health import CONDITION, TAINT
from tiers.twin.controllers.machines import CHANCE_KEY, NO_CAPACITY_KEY
from tiers.twin.controllers.pods import condition, is_ready
from tiers.twin.errors import NoSuchThing
from tiers.twin.kube.errors import ApiError
from tiers.twin.kube.resources import DEPLOYMENTS, EVENTS, NODE_POOLS, NODES
from tiers.twin.kube.times import parse_time
from tiers.twin.kube.updates import APPLY_PATCH, patch
from tiers.twin.kube.verbs import Write

CHAT = {"kind": "Deployment", "namespace": "inference", "name": "chat"}


def replicas(world) -> int:
    return world.store.get(DEPLOYMENTS, "inference", "chat")["spec"]["replicas"]


def apply(world, count: int, *, force: bool = False) -> None:
    write = Write(world.store, DEPLOYMENTS, "inference", "chat", world.now, manager="console")
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "chat"},
            "spec": {"replicas": count}}  # fmt: skip
    patch(write, APPLY_PATCH, body, force=force)


def test_the_fields_that_gitops_owns_are_reverted_at_its_next_sync(world):
    world.add_node("n1")
    world.deploy(2)
    world.live(10)
    own_fields(world.store, world.now, CHAT)
    world.live(2)
    with pytest.raises(ApiError) as caught:
        apply(world, 4)
    assert caught.value.code == 409 and "argocd-controller" in str(caught.value)
    apply(world, 4, force=True)
    world.live(4)
    assert replicas(world) == 4, "until the next sync it stands"
    world.live(20)
    assert replicas(world) == 2
    assert "OperationCompleted" in {e["reason"] for e in world.store.all(EVENTS)}


def test_fields_that_gitops_does_not_own_are_left_alone(world):
    world.add_node("n1")
    world.deploy(2)
    own_fields(world.store, world.now, {**CHAT, "field": ["/spec/selector"]})
    world.live(4)
    world.scale(3)
    world.live(40)
    assert replicas(world) == 3


def test_what_is_disowned_is_not_reverted_any_more(world):
    world.add_node("n1")
    world.deploy(2)
    assert own_fields(world.store, world.now, CHAT) == ["Deployment/inference/chat"]
    world.live(4)
    assert own_fields(world.store, world.now, {**CHAT, "off": True}) == []
    world.scale(3)
    world.live(40)
    assert replicas(world) == 3


@pytest.mark.parametrize("wrong", [{"name": "none"}, {"kind": "Nothing"}, {"field": ["/spec/x"]}])
def test_gitops_owns_nothing_that_is_not_there(world, wrong):
    world.deploy(2)
    with pytest.raises(NoSuchThing):
        own_fields(world.store, world.now, CHAT | wrong)


def node(world) -> dict:
    return world.store.get(NODES, "", "n1")


def test_a_sick_node_is_tainted_by_the_health_agent_and_takes_no_more_pods(world):
    world.add_node("n1")
    world.live(2)
    sicken_node(world.store, "n1", 79)
    world.deploy(1)
    world.live(20)
    assert world.nodes_used() == {""}
    assert {t["key"]: t["value"] for t in node(world)["spec"]["taints"]}[TAINT] == "xid-79"
    assert condition(node(world), CONDITION)["status"] == "True"
    owners = {entry["manager"] for entry in node(world)["metadata"]["managedFields"]}
    assert owners == {"gpu-health-agent"}
    assert is_ready(node(world))


def test_a_healed_node_loses_the_agents_taint_and_no_other(world):
    world.add_node("n1")
    before = node(world)["spec"]["taints"]
    sicken_node(world.store, "n1", 79)
    world.live(4)
    sicken_node(world.store, "n1", 0)
    world.live(4)
    assert node(world)["spec"]["taints"] == before
    assert condition(node(world), CONDITION)["status"] == "False"


def test_capacity_is_taken_from_a_pool_for_a_while_or_by_chance(world):
    world.add(NODE_POOLS, {"metadata": {"name": "burst"}, "spec": {"template": {"spec": {}}}})

    def notes() -> dict[str, str]:
        return world.store.get(NODE_POOLS, "", "burst")["metadata"]["annotations"]

    assert take_capacity(world.store, world.now, {"minutes": 10}) == ["burst"]
    assert (parse_time(notes()[NO_CAPACITY_KEY]) - world.now).total_seconds() == 600
    take_capacity(world.store, world.now, {"pool": "burst", "chance": 0.3})
    assert notes() == {CHANCE_KEY: "0.3"}
    take_capacity(world.store, world.now, {"minutes": 0})
    assert notes() == {}
    with pytest.raises(NoSuchThing):
        take_capacity(world.store, world.now, {"pool": "other"})
