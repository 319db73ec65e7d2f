"""Queues of one flavor, Jobs of one-GPU pods, and how a test waits for what becomes of them."""

import pytest

from tests.contract import objects
from tests.contract.kinds import CLUSTER_QUEUE, FLAVOR, JOB, LOCAL_QUEUE, WORKLOAD
from tests.contract.kube import condition, is_true, until


@pytest.fixture
def flavor(unique, make_custom) -> str:
    name = unique("flavor")
    make_custom(FLAVOR, objects.flavor(name))
    return name


@pytest.fixture
def make_queue(cluster, kube, space, unique, make_custom, flavor):
    """Makes a ClusterQueue and the LocalQueue of this name that leads to it; its own name."""

    def make(local: str, gpus: int, **spec) -> str:
        name = unique(local)
        make_custom(CLUSTER_QUEUE, objects.cluster_queue(name, {flavor: gpus}, **spec))
        kube.create(LOCAL_QUEUE, space, objects.local_queue(local, name))
        if spec.get("stopPolicy", "None") == "None":
            active = "the queue is active"
            until(
                lambda: is_true(kube.get(CLUSTER_QUEUE, "", name), "Active"),
                active,
                within_s=cluster.wait_s,
            )
        return name

    return make


@pytest.fixture
def submit(kube, space):
    """Submits a suspended Job of so many one-GPU pods, of a rank and with notes on its pods."""

    def make(name: str, queue: str, gpus: int, *, rank: str = "", **notes: str) -> None:
        body = objects.job(name, space, pods=gpus, queue=queue, suspend=True, gpus=1)
        if rank:
            body["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] = rank
        if notes:
            body["spec"]["template"]["metadata"]["annotations"] = notes
        kube.create(JOB, space, body)

    return make


@pytest.fixture
def workload(cluster, kube, space):
    """The Workload of a Job, once there is one."""

    def find(job: str) -> dict:
        uid = kube.get(JOB, space, job)["metadata"]["uid"]

        def owned() -> dict | None:
            for found in kube.items(WORKLOAD, space):
                owners = found["metadata"].get("ownerReferences") or ()
                if uid in {owner["uid"] for owner in owners}:
                    return found
            return None

        return until(owned, f"the Workload of {job}", within_s=cluster.wait_s)

    return find


@pytest.fixture
def admitted(cluster, workload):
    def wait(job: str) -> dict:
        def look() -> dict | None:
            held = workload(job)
            return held if is_true(held, "Admitted") else None

        return until(look, f"{job} is admitted", within_s=cluster.wait_s)

    return wait


@pytest.fixture
def waits(cluster, workload):
    """A Job's Workload has been looked at and has no quota."""

    def wait(job: str) -> dict:
        def look() -> dict | None:
            held = workload(job)
            return held if condition(held, "QuotaReserved").get("status") == "False" else None

        held = until(look, f"{job} waits", within_s=cluster.wait_s)
        assert not is_true(held, "Admitted")
        return held

    return wait


@pytest.fixture
def stopped(cluster, kube, space):
    def wait(job: str) -> None:
        def look() -> bool:
            held = kube.get(JOB, space, job)
            return held["spec"]["suspend"] and not held.get("status", {}).get("active")

        until(look, f"{job} is suspended again", within_s=cluster.wait_s)

    return wait
