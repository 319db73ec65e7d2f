"""Cluster API: the number of machines is a MachineDeployment's `scale`.

https://cluster-api.sigs.k8s.io/user/manifesto (MachineDeployment, delete-machine annotation)
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import EVENT, MACHINE, MACHINE_DEPLOYMENT, NODE, PDB, POD
from tests.contract.kube import is_true, until
from tests.contract.placing import running

pytestmark = pytest.mark.needs("cluster-api-api")
DELETE_KEY = "cluster.x-k8s.io/delete-machine"
LABELS_KEY = "capacity.cluster-autoscaler.kubernetes.io/labels"


def deployment(space: str, replicas: int, **spec) -> dict:
    labels = {"cluster.x-k8s.io/deployment-name": "gpus"}
    ref = {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "AnyMachineTemplate",
           "name": "gpus"}  # fmt: skip
    inner = {
        "clusterName": "contract",
        "bootstrap": {"dataSecretName": "none"},
        "infrastructureRef": ref,
    }
    # What a bootstrap provider gives a node, the twin reads here.
    notes = {LABELS_KEY: f"{objects.SPACE_KEY}={space}"}
    return {
        "metadata": objects.meta("gpus", annotations=notes),
        "spec": {
            "clusterName": "contract",
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": inner},
            **spec,
        },
    }


def test_the_number_is_read_and_written_through_scale(kube, space):
    """Paused: no controller acts on it."""
    notes = {"cluster.x-k8s.io/paused": "true"}
    body = deployment(space, 2, paused=True)
    body["metadata"]["annotations"] |= notes
    kube.create(MACHINE_DEPLOYMENT, space, body)
    scale = kube.get(MACHINE_DEPLOYMENT, space, "gpus", "scale")
    assert (scale["kind"], scale["spec"]["replicas"]) == ("Scale", 2)
    kube.patch(MACHINE_DEPLOYMENT, space, "gpus", {"spec": {"replicas": 1}}, "merge", "scale")
    assert kube.get(MACHINE_DEPLOYMENT, space, "gpus")["spec"]["replicas"] == 1


@pytest.fixture
def machines(cluster, kube, space):
    """The machines that are there, by name, once there are so many Running."""

    def wait(count: int) -> dict[str, dict]:
        def settled() -> dict[str, dict] | None:
            found = {m["metadata"]["name"]: m for m in kube.items(MACHINE, space)}
            up = [m for m in found.values() if (m.get("status") or {}).get("phase") == "Running"]
            return found if len(up) == len(found) == count else None

        if not count:
            until(lambda: not kube.items(MACHINE, space), "no machine", within_s=cluster.looks_s)
            return {}
        return until(settled, f"{count} machines", within_s=cluster.looks_s)

    yield wait
    kube.patch(MACHINE_DEPLOYMENT, space, "gpus", {"spec": {"replicas": 0}})
    until(lambda: not kube.items(MACHINE, space), "no machine", within_s=cluster.looks_s)


def resize(kube, space, replicas: int) -> None:
    body = {"spec": {"replicas": replicas}}
    kube.patch(MACHINE_DEPLOYMENT, space, "gpus", body, "merge", "scale")


@pytest.mark.needs("cluster-api")
def test_machines_become_nodes_and_are_counted(cluster, kube, space, machines):
    kube.create(MACHINE_DEPLOYMENT, space, deployment(space, 2))
    for machine in machines(2).values():
        assert kube.find(NODE, "", machine["status"]["nodeRef"]["name"])
    until(
        lambda: kube.get(MACHINE_DEPLOYMENT, space, "gpus")["status"].get("readyReplicas") == 2,
        "two are ready",
        within_s=cluster.wait_s,
    )
    assert is_true(kube.get(MACHINE_DEPLOYMENT, space, "gpus"), "Available")


@pytest.mark.needs("cluster-api")
def test_the_machine_that_is_marked_goes_first(kube, space, machines):
    kube.create(MACHINE_DEPLOYMENT, space, deployment(space, 3))
    held = machines(3)
    marked = sorted(held)[1]
    kube.patch(MACHINE, space, marked, {"metadata": {"annotations": {DELETE_KEY: "yes"}}})
    resize(kube, space, 2)
    assert set(machines(2)) == set(held) - {marked}


@pytest.mark.needs("cluster-api", "scheduler")
def test_a_machine_that_goes_is_cordoned_and_drained_within_budgets(
    cluster, kube, space, machines, guard
):
    kube.create(MACHINE_DEPLOYMENT, space, deployment(space, 1))
    (machine,) = machines(1).values()
    node = machine["status"]["nodeRef"]["name"]
    kube.create(POD, space, objects.pod("one", space, labels={"app": "chat"}, gpus=1))
    assert running(cluster, space, "one") == node
    guard(keep=1, healthy=1)
    resize(kube, space, 0)
    until(
        lambda: kube.get(NODE, "", node)["spec"].get("unschedulable"),
        "it is cordoned",
        within_s=cluster.wait_s,
    )
    assert "deletionTimestamp" not in kube.get(POD, space, "one")["metadata"]
    kube.delete(PDB, space, "chat")
    until(lambda: not kube.find(NODE, "", node), "the node is gone", within_s=cluster.looks_s)


@pytest.mark.needs("cluster-api", "capacity")
def test_a_machine_waits_for_capacity_and_says_so(cluster, kube, space, machines):
    kube.create(MACHINE_DEPLOYMENT, space, deployment(space, 0))
    cluster.hands.sell_out("gpus", minutes=10)
    resize(kube, space, 1)

    def told() -> bool:
        return any(e["reason"] == "InsufficientCapacity" for e in kube.items(EVENT, space))

    until(told, "an event tells of it", within_s=cluster.looks_s)
    status = kube.get(MACHINE_DEPLOYMENT, space, "gpus")["status"]
    assert (status.get("readyReplicas", 0), status["phase"]) == (0, "ScalingUp")
    cluster.hands.sell_out("gpus", minutes=0)
    machines(1)
