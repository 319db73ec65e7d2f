"""LeaderWorkerSet: groups of pods that start, restart and go as one.

https://lws.sigs.k8s.io/docs/concepts/
"""

import pytest

from tests.contract import objects
from tests.contract.kinds import LWS, POD
from tests.contract.kube import until
from tests.contract.played import is_ready

pytestmark = pytest.mark.needs("lws")
LABEL = "leaderworkerset.sigs.k8s.io/"


@pytest.fixture
def settled(cluster, kube, space):
    """Waits until just these pods are there and Ready; their uids by name."""

    def wait(*names: str) -> dict[str, str]:
        def ready() -> dict[str, str] | None:
            found = kube.items(POD, space)
            uids = {p["metadata"]["name"]: p["metadata"]["uid"] for p in found}
            calm = all(is_ready(p) and "deletionTimestamp" not in p["metadata"] for p in found)
            return uids if set(uids) == set(names) and calm else None

        return until(ready, f"Ready: {', '.join(names)}", within_s=2 * cluster.wait_s)

    return wait


@pytest.fixture
def two_groups(kube, space, node, settled) -> dict[str, str]:
    kube.create(LWS, space, objects.leader_worker_set("big", space, groups=2, size=2))
    return settled("big-0", "big-0-1", "big-1", "big-1-1")


def test_pods_are_named_and_labelled_by_group_and_place(kube, space, two_groups):
    labels = {name: kube.get(POD, space, name)["metadata"]["labels"] for name in two_groups}
    assert {name: held[f"{LABEL}group-index"] for name, held in labels.items()} == {
        "big-0": "0",
        "big-0-1": "0",
        "big-1": "1",
        "big-1-1": "1",
    }
    assert {held[f"{LABEL}name"] for held in labels.values()} == {"big"}
    places = {name: held[f"{LABEL}worker-index"] for name, held in labels.items()}
    assert (places["big-1"], places["big-1-1"]) == ("0", "1")


def test_the_status_counts_groups(cluster, kube, space, two_groups):
    def counted() -> bool:
        status = kube.get(LWS, space, "big").get("status") or {}
        return status.get("replicas") == status.get("readyReplicas") == 2

    until(counted, "two groups are ready", within_s=cluster.wait_s)


@pytest.mark.parametrize("victim", ["big-0", "big-0-1"])
def test_one_pod_gone_restarts_its_whole_group_and_no_other(
    kube, space, cluster, two_groups, settled, victim
):
    kube.evict(space, victim)

    def restarted() -> bool:
        found = [kube.find(POD, space, name) for name in ("big-0", "big-0-1")]
        return all(
            pod and pod["metadata"]["uid"] != two_groups[pod["metadata"]["name"]] for pod in found
        )

    until(restarted, "both pods of the group are new", within_s=2 * cluster.wait_s)
    after = settled(*two_groups)
    assert after["big-1"] == two_groups["big-1"]
    assert after["big-1-1"] == two_groups["big-1-1"]


def test_scaling_down_takes_the_highest_group(kube, space, two_groups, settled):
    kube.patch(LWS, space, "big", {"spec": {"replicas": 1}}, "merge", "scale")
    left = settled("big-0", "big-0-1")
    assert left == {name: two_groups[name] for name in left}


def test_scaling_up_adds_a_whole_group(kube, space, two_groups, settled):
    kube.patch(LWS, space, "big", {"spec": {"replicas": 3}}, "merge", "scale")
    after = settled(*two_groups, "big-2", "big-2-1")
    assert {name: after[name] for name in two_groups} == two_groups


def test_without_a_restart_policy_a_worker_comes_back_alone(kube, space, node, settled, cluster):
    body = objects.leader_worker_set("big", space, groups=1, size=2)
    body["spec"]["leaderWorkerTemplate"]["restartPolicy"] = "None"
    kube.create(LWS, space, body)
    before = settled("big-0", "big-0-1")
    kube.evict(space, "big-0-1")

    def returned() -> bool:
        found = kube.find(POD, space, "big-0-1")
        return bool(found) and found["metadata"]["uid"] != before["big-0-1"]

    until(returned, "the worker is new", within_s=2 * cluster.wait_s)
    assert settled(*before)["big-0"] == before["big-0"]


def test_a_new_template_replaces_every_group(kube, space, two_groups, settled, cluster):
    notes = {"metadata": {"annotations": {"revision": "next"}}}
    template = {"spec": {"leaderWorkerTemplate": {"workerTemplate": notes}}}
    kube.patch(LWS, space, "big", template)

    def replaced() -> bool:
        found = [kube.find(POD, space, name) for name in two_groups]
        return all(
            pod and pod["metadata"]["uid"] != two_groups[pod["metadata"]["name"]] for pod in found
        )

    until(replaced, "every pod is new", within_s=4 * cluster.wait_s)
    settled(*two_groups)


def test_the_groups_of_a_deleted_set_go_with_it(kube, space, two_groups, cluster):
    kube.delete(LWS, space, "big")
    until(lambda: not kube.items(POD, space), "no pod is left", within_s=2 * cluster.wait_s)
