"""StatefulSets and LeaderWorkerSets: names, order, and what goes together."""

from tiers.twin.controllers import leaderworkerset as lws
from tiers.twin.controllers.pods import is_leaving, is_ready
from tiers.twin.kube.resources import EVENTS, LEADER_WORKER_SETS, PODS, QUOTAS, STATEFUL_SETS


def names(world) -> list[str]:
    return [p["metadata"]["name"] for p in world.pods() if not is_leaving(p)]


def uids(world) -> dict[str, str]:
    return {p["metadata"]["name"]: p["metadata"]["uid"] for p in world.pods()}


def stateful(world, replicas: int, policy: str = "OrderedReady") -> None:
    made = world.workload(replicas)
    made["spec"] |= {"podManagementPolicy": policy, "serviceName": "chat"}
    world.add(STATEFUL_SETS, made)


def grouped(world, replicas: int, size: int = 3, **template) -> None:
    spec = world.workload(replicas)["spec"]
    worker = {"workerTemplate": spec["template"], "size": size, **template}
    body = {"metadata": {"name": "chat"}}
    world.add(LEADER_WORKER_SETS, body | {
        "spec": {"replicas": replicas, "leaderWorkerTemplate": worker}})  # fmt: skip


def lws_status(world) -> dict:
    return world.store.get(LEADER_WORKER_SETS, "inference", "chat")["status"]


def test_ordered_pods_wait_for_those_before_them(world):
    world.add_node("n1")
    stateful(world, 3)
    world.live(4)
    assert names(world) == ["chat-0"]
    world.live(60)
    assert names(world) == ["chat-0", "chat-1", "chat-2"]
    status = world.store.get(STATEFUL_SETS, "inference", "chat")["status"]
    assert (status["replicas"], status["readyReplicas"]) == (3, 3)
    labels = world.pods()[2]["metadata"]["labels"]
    assert labels["apps.kubernetes.io/pod-index"] == "2"
    assert labels["statefulset.kubernetes.io/pod-name"] == "chat-2"


def test_parallel_pods_start_together_and_the_highest_goes_first(world):
    world.add_node("n1")
    stateful(world, 3, "Parallel")
    world.live(4)
    assert names(world) == ["chat-0", "chat-1", "chat-2"]
    world.scale(1, STATEFUL_SETS)
    world.live(4)
    assert names(world) == ["chat-0"]


def test_an_ordered_set_shrinks_one_pod_at_a_time_whatever_its_deletion_cost(world):
    world.add_node("n1")
    stateful(world, 3)
    world.live(60)
    world.note(world.pods()[0], **{"controller.kubernetes.io/pod-deletion-cost": "-10"})
    world.scale(1, STATEFUL_SETS)
    world.live(2)
    assert names(world) == ["chat-0", "chat-1"]
    world.live(10)
    assert names(world) == ["chat-0"]


def test_an_unhealthy_pod_holds_up_an_ordered_shrink(world):
    world.add_node("n1", gpus=1)
    stateful(world, 2)
    world.live(30)
    world.scale(1, STATEFUL_SETS)
    world.live(10)
    assert names(world) == ["chat-0"]


def test_a_lost_pod_comes_back_under_its_name(world):
    world.add_node("n1")
    stateful(world, 2, "Parallel")
    world.live(20)
    before = uids(world)
    world.evict(world.pods()[0])
    world.live(20)
    after = uids(world)
    assert after["chat-1"] == before["chat-1"] and after["chat-0"] != before["chat-0"]


def test_a_new_template_replaces_the_highest_number_first(world):
    world.add_node("n1")
    stateful(world, 2, "Parallel")
    world.live(20)
    before = uids(world)
    held = world.store.get(STATEFUL_SETS, "inference", "chat")
    template = held["spec"]["template"] | {"metadata": {"labels": {"app": "chat", "v": "2"}}}
    world.store.put(STATEFUL_SETS, {**held, "spec": held["spec"] | {"template": template}})
    world.live(8)
    assert uids(world)["chat-0"] == before["chat-0"]
    world.live(40)
    assert {p["metadata"]["labels"].get("v") for p in world.pods()} == {"2"}
    assert all(is_ready(p) for p in world.pods())


def test_groups_have_a_leader_and_workers_with_their_labels(world):
    world.add_node("n1")
    grouped(world, 2)
    world.live(30)
    assert names(world) == ["chat-0", "chat-0-1", "chat-0-2", "chat-1", "chat-1-1", "chat-1-2"]
    by_name = {p["metadata"]["name"]: p["metadata"]["labels"] for p in world.pods()}
    worker = by_name["chat-1-2"]
    assert (worker[lws.NAME_KEY], worker[lws.GROUP_INDEX_KEY], worker[lws.WORKER_INDEX_KEY]) == (
        "chat", "1", "2",
    )  # fmt: skip
    assert worker[lws.GROUP_KEY] == by_name["chat-1"][lws.GROUP_KEY]
    assert by_name["chat-1"][lws.WORKER_INDEX_KEY] == "0"
    assert (lws_status(world)["replicas"], lws_status(world)["readyReplicas"]) == (2, 2)


def test_losing_one_worker_recreates_its_whole_group_and_no_other(world):
    world.add_node("n1")
    grouped(world, 2)
    world.live(30)
    before = uids(world)
    world.evict(world.store.get(PODS, "inference", "chat-0-2"))
    world.live(2)
    assert lws_status(world)["readyReplicas"] == 1
    world.live(40)
    after = uids(world)
    assert set(after) == set(before)
    kept = {name for name in after if after[name] == before[name]}
    assert kept == {"chat-1", "chat-1-1", "chat-1-2"}
    assert lws_status(world)["readyReplicas"] == 2


def test_losing_the_leader_recreates_its_group(world):
    world.add_node("n1")
    grouped(world, 2)
    world.live(30)
    before = uids(world)
    world.evict(world.store.get(PODS, "inference", "chat-1"))
    world.live(40)
    after = uids(world)
    kept = {name for name in after if after[name] == before[name]}
    assert kept == {"chat-0", "chat-0-1", "chat-0-2"} and len(after) == 6


def test_a_worker_that_vanishes_without_grace_takes_its_group_too(world):
    world.add_node("n1")
    grouped(world, 1)
    world.live(30)
    before = uids(world)
    world.store.remove(PODS, "inference", "chat-0-1")
    world.live(40)
    assert not set(uids(world).values()) & set(before.values())


def test_without_the_restart_policy_only_the_lost_worker_comes_back(world):
    world.add_node("n1")
    grouped(world, 1, restartPolicy="None")
    world.live(30)
    before = uids(world)
    world.evict(world.store.get(PODS, "inference", "chat-0-1"))
    world.live(30)
    changed = {name for name, uid in uids(world).items() if uid != before[name]}
    assert changed == {"chat-0-1"}


def test_fewer_replicas_drop_the_highest_group(world):
    world.add_node("n1", gpus=9)
    grouped(world, 3)
    world.live(30)
    world.scale(1, LEADER_WORKER_SETS)
    world.live(20)
    assert names(world) == ["chat-0", "chat-0-1", "chat-0-2"]


def test_a_new_worker_template_replaces_group_by_group(world):
    world.add_node("n1")
    grouped(world, 2)
    world.live(30)
    held = world.store.get(LEADER_WORKER_SETS, "inference", "chat")
    template = {**held["spec"]["leaderWorkerTemplate"], "size": 2}
    spec = held["spec"] | {"leaderWorkerTemplate": template}
    world.store.put(LEADER_WORKER_SETS, {**held, "spec": spec})
    world.live(100)
    assert names(world) == ["chat-0", "chat-0-1", "chat-1", "chat-1-1"]
    assert lws_status(world)["updatedReplicas"] == lws_status(world)["readyReplicas"] == 2


def quota(world, gpus: int) -> None:
    hard = {"requests.nvidia.com/gpu": str(gpus)}
    world.add(QUOTAS, {"metadata": {"name": "gpus"}, "spec": {"hard": hard}})


def test_a_quota_keeps_an_ordinal_back_and_says_so(world):
    world.add_node("n1")
    quota(world, 2)
    stateful(world, 3, "Parallel")
    world.live(30)
    assert names(world) == ["chat-0", "chat-1"]
    said = [e["message"] for e in world.store.all(EVENTS) if e["reason"] == "FailedCreate"]
    assert len(said) == 1
    assert "exceeded quota" in said[0]


def test_a_stuck_pod_holds_up_growth_and_shrinking(world):
    """A lower ordinal that is not ready: nothing is made above it, nothing is taken away."""
    world.add_node("n1", gpus=1)
    stateful(world, 3)
    world.live(30)
    assert names(world) == ["chat-0", "chat-1"]  # the second has no GPU
    world.scale(5, STATEFUL_SETS)
    world.live(10)
    assert names(world) == ["chat-0", "chat-1"]
    world.scale(1, STATEFUL_SETS)
    world.live(10)
    assert names(world) == ["chat-0"]


def test_a_group_of_policy_none_lets_one_worker_come_back_alone(world):
    world.add_node("n1")
    grouped(world, 1, restartPolicy="None")
    world.live(30)
    before = uids(world)
    world.evict(next(p for p in world.pods() if p["metadata"]["name"] == "chat-0-2"))
    world.live(40)
    after = uids(world)
    assert {name for name in before if before[name] != after[name]} == {"chat-0-2"}
