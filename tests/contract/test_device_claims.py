"""Dynamic resource allocation: GPUs as devices that pods hold through claims.

https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/

No driver is needed: the suite publishes the ResourceSlice of its own node and the DeviceClass of
its own driver, and the scheduler does the rest.
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import (
    CLAIM_TEMPLATE,
    DEVICE_CLASS,
    POD,
    RESOURCE_CLAIM,
    RESOURCE_SLICE,
)
from tests.contract.kube import until
from tests.contract.placing import bound, unschedulable

pytestmark = pytest.mark.needs("dra")


@pytest.fixture
def driver(unique) -> str:
    return f"{unique('gpus')}.example.com"


@pytest.fixture
def device_class(driver, make_custom) -> str:
    expression = f"device.driver == '{driver}'"
    spec = {"selectors": [{"cel": {"expression": expression}}]}
    make_custom(DEVICE_CLASS, {"metadata": objects.meta(driver), "spec": spec})
    return driver


@pytest.fixture
def devices(make_node, make_custom, driver, device_class):
    """A node that offers so many devices; its name."""

    def make(count: int) -> str:
        node = make_node(gpus=0)
        pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
        spec = {
            "driver": driver,
            "nodeName": node,
            "pool": pool,
            "devices": [{"name": f"gpu-{n}"} for n in range(count)],
        }
        make_custom(RESOURCE_SLICE, {"metadata": objects.meta(f"{node}-slice"), "spec": spec})
        return node

    return make


@pytest.fixture
def claiming(kube, space, device_class):
    """Makes a pod that holds so many devices, of a claim of its own or of a named one."""

    def wanted(count: int) -> dict:
        exactly = {"deviceClassName": device_class, "count": count}
        return {"devices": {"requests": [{"name": "gpus", "exactly": exactly}]}}

    def make(name: str, count: int = 1, *, of: str = "") -> None:
        entry = {"name": "gpus"}
        if of:
            entry["resourceClaimName"] = of
            if not kube.find(RESOURCE_CLAIM, space, of):
                kube.create(
                    RESOURCE_CLAIM, space, {"metadata": objects.meta(of), "spec": wanted(count)}
                )
        else:
            entry["resourceClaimTemplateName"] = name
            template = {"metadata": objects.meta(name), "spec": {"spec": wanted(count)}}
            kube.create(CLAIM_TEMPLATE, space, template)
        body = objects.pod(name, space, resourceClaims=[entry])
        body["spec"]["containers"][0]["resources"] = {"claims": [{"name": "gpus"}]}
        kube.create(POD, space, body)

    return make


def held(kube, space) -> dict[str, int]:
    """Devices by claim."""
    found = {}
    for claim in kube.items(RESOURCE_CLAIM, space):
        allocation = (claim.get("status") or {}).get("allocation") or {}
        results = (allocation.get("devices") or {}).get("results") or ()
        found[claim["metadata"]["name"]] = len(results)
    return found


def test_a_claim_of_a_template_is_made_allocated_and_reserved(
    cluster, kube, space, devices, claiming, driver
):
    node = devices(4)
    claiming("one", 2)
    assert bound(cluster, space, "one") == node
    (claim,) = kube.items(RESOURCE_CLAIM, space)
    results = claim["status"]["allocation"]["devices"]["results"]
    assert {r["driver"] for r in results} == {driver}
    assert len({(r["pool"], r["device"]) for r in results}) == 2
    (user,) = claim["status"]["reservedFor"]
    pod = kube.get(POD, space, "one")
    assert (user["name"], user["uid"]) == ("one", pod["metadata"]["uid"])
    assert claim["metadata"]["ownerReferences"][0]["uid"] == pod["metadata"]["uid"]
    (status,) = pod["status"]["resourceClaimStatuses"]
    assert status["resourceClaimName"] == claim["metadata"]["name"]


def test_no_more_devices_are_given_than_there_are(cluster, kube, space, devices, claiming):
    devices(3)
    claiming("one", 2)
    bound(cluster, space, "one")
    claiming("two", 2)
    unschedulable(cluster, space, "two", "cannot allocate all claims")


def test_devices_of_a_pod_that_is_gone_go_to_who_waits(cluster, kube, space, devices, claiming):
    node = devices(2)
    claiming("one", 2)
    bound(cluster, space, "one")
    claiming("two", 2)
    unschedulable(cluster, space, "two", "cannot allocate all claims")
    kube.delete(POD, space, "one")
    assert bound(cluster, space, "two") == node


def test_pods_that_name_one_claim_share_its_devices(cluster, kube, space, devices, claiming):
    node = devices(1)
    for name in ("one", "two"):
        claiming(name, of="shared")
        assert bound(cluster, space, name) == node
    claim = kube.get(RESOURCE_CLAIM, space, "shared")
    assert {user["name"] for user in claim["status"]["reservedFor"]} == {"one", "two"}
    assert held(kube, space) == {"shared": 1}


def test_a_claim_that_stands_alone_outlives_its_pods_and_gives_its_devices_back(
    cluster, kube, space, devices, claiming
):
    devices(1)
    claiming("one", of="shared")
    bound(cluster, space, "one")
    kube.delete(POD, space, "one")
    until(lambda: held(kube, space) == {"shared": 0}, "it holds none", within_s=cluster.looks_s)
