"""GPUs that pods hold through ResourceClaims: given at binding, given up at the pod's end."""

import pytest

from tests.tiers.twin.kube import objects
from tiers.twin.controllers.claims import DRIVER, NODE_KEY
from tiers.twin.controllers.pods import condition
from tiers.twin.kube.resources import (
    NODES,
    PODS,
    RESOURCE_CLAIM_TEMPLATES,
    RESOURCE_CLAIMS,
    RESOURCE_SLICES,
)
from tiers.twin.view import read_pods


@pytest.fixture
def dra(world):
    """One node whose eight GPUs are devices, not an extended resource."""
    node(world, "n1")
    return world


def node(world, name: str) -> None:
    made = objects.node(name, gpus=0)
    made["metadata"]["labels"] |= {NODE_KEY: "true", "nvidia.com/gpu.count": "8"}
    world.store.create(NODES, made, world.now)


def spec(count: int) -> dict:
    exactly = {"deviceClassName": DRIVER, "allocationMode": "ExactCount", "count": count}
    return {"devices": {"requests": [{"name": "gpus", "exactly": exactly}]}}


def pod(world, name: str, **entry: str) -> None:
    made = objects.pod(name)
    made["spec"]["containers"][0]["resources"] = {"claims": [{"name": "gpus"}]}
    made["spec"]["resourceClaims"] = [{"name": "gpus", **entry}]
    world.add(PODS, made)


def claim(world, name: str, count: int) -> None:
    world.add(RESOURCE_CLAIMS, {"metadata": {"name": name}, "spec": spec(count)})


def template(world, count: int) -> None:
    body = {"metadata": {"name": "many"}, "spec": {"spec": spec(count)}}
    world.add(RESOURCE_CLAIM_TEMPLATES, body)


def held(world, name: str) -> list[str]:
    found = world.store.get(RESOURCE_CLAIMS, "inference", name)["status"]
    return [
        r["device"]
        for r in (found.get("allocation") or {"devices": {"results": []}})["devices"]["results"]
    ]


def where(world, name: str) -> str | None:
    return world.store.get(PODS, "inference", name)["spec"].get("nodeName")


def test_a_node_publishes_its_devices_while_it_is_there(dra):
    dra.live(2)
    (found,) = dra.store.all(RESOURCE_SLICES)
    assert (found["spec"]["nodeName"], len(found["spec"]["devices"])) == ("n1", 8)
    dra.store.remove(NODES, "", "n1")
    dra.live(2)
    assert dra.store.all(RESOURCE_SLICES) == []


def test_a_claim_gets_devices_when_its_pod_is_bound_and_frees_them_at_its_end(dra):
    claim(dra, "four", 4)
    dra.live(2)
    assert held(dra, "four") == []
    pod(dra, "p", resourceClaimName="four")
    dra.live(20)
    assert len(set(held(dra, "four"))) == 4
    users = dra.store.get(RESOURCE_CLAIMS, "inference", "four")["status"]["reservedFor"]
    assert [user["name"] for user in users] == ["p"]
    assert [view.gpus for view in read_pods(dra.store)] == [4]
    dra.evict(dra.store.get(PODS, "inference", "p"))
    dra.live(10)
    assert held(dra, "four") == []


def test_no_device_is_given_twice(dra):
    for name in ("a", "b", "c"):
        claim(dra, name, 3)
        pod(dra, f"p-{name}", resourceClaimName=name)
    dra.live(4)
    given = [device for name in ("a", "b", "c") for device in held(dra, name)]
    assert len(given) == len(set(given)) == 6
    waiting = dra.store.get(PODS, "inference", "p-c")
    assert condition(waiting, "PodScheduled")["message"] == (
        "0/1 nodes are available: 1 cannot allocate all claims."
    )


def test_pods_that_share_a_claim_share_its_node_and_devices(dra):
    node(dra, "n2")
    claim(dra, "shared", 8)
    pod(dra, "p", resourceClaimName="shared")
    dra.live(4)
    pod(dra, "q", resourceClaimName="shared")
    dra.live(4)
    assert where(dra, "p") == where(dra, "q")


def test_a_template_makes_each_pod_a_claim_that_goes_with_it(dra):
    template(dra, 4)
    for name in ("p", "q"):
        pod(dra, name, resourceClaimTemplateName="many")
    dra.live(20)
    assert where(dra, "p") == where(dra, "q") == "n1"
    assert len(dra.store.all(RESOURCE_CLAIMS)) == 2
    dra.evict(dra.store.get(PODS, "inference", "p"))
    dra.live(10)
    (left,) = dra.store.all(RESOURCE_CLAIMS)
    assert left["metadata"]["ownerReferences"][0]["name"] == "q"


def test_a_pod_waits_for_a_claim_that_is_not_there(dra):
    pod(dra, "p", resourceClaimName="none")
    dra.live(4)
    assert "waiting for resource claims" in condition(dra.pods()[0], "PodScheduled")["message"]
    claim(dra, "none", 1)
    dra.live(4)
    assert where(dra, "p") == "n1"
