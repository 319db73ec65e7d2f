"""Gangs: all or none, checkpoints, what an eviction costs, the end of a job."""

from dataclasses import dataclass
from datetime import timedelta

from tiers.twin.controllers.config import CHECKPOINT_REQUESTED_KEY
from tiers.twin.controllers.pods import condition, is_ready
from tiers.twin.controllers.training import submit, totals
from tiers.twin.kube.resources import JOBS
from tiers.twin.kube.times import parse_time, rfc3339
from tiers.twin.profile import LAST_CHECKPOINT_KEY


@dataclass(frozen=True)
class Gang:
    nodes: int
    work_s: float = 36_000.0


def training_nodes(world, count: int) -> None:
    for number in range(count):
        world.add_node(f"n{number}", tier="training")


def gang(world):
    return world.pods("training")


def test_a_gang_starts_whole_or_not_at_all(world):
    training_nodes(world, 1)
    submit(world.store, Gang(2), world.now)
    world.live(10)
    assert world.nodes_used("training") == {""}
    world.add_node("n9", tier="training")
    world.live(40)
    assert world.nodes_used("training") == {"n0", "n9"}
    assert all(is_ready(p) for p in gang(world))


def test_a_smaller_gang_passes_one_that_does_not_fit(world):
    training_nodes(world, 1)
    submit(world.store, Gang(2), world.now)
    world.live(4)
    submit(world.store, Gang(1), world.now)
    world.live(4)
    bound = {p["metadata"]["name"] for p in gang(world) if p["spec"].get("nodeName")}
    assert bound == {"train-002-0"}


def test_checkpoints_are_written_on_every_pod(world):
    training_nodes(world, 2)
    submit(world.store, Gang(2), world.now)
    world.live(60)
    assert all(LAST_CHECKPOINT_KEY not in p["metadata"]["annotations"] for p in gang(world))
    world.live(200)
    marks = {p["metadata"]["annotations"].get(LAST_CHECKPOINT_KEY) for p in gang(world)}
    assert len(marks) == 1 and None not in marks


def test_losing_one_pod_restarts_the_gang_from_its_checkpoint(world):
    training_nodes(world, 2)
    submit(world.store, Gang(2), world.now)
    world.live(300)
    before, useful = {p["metadata"]["uid"] for p in gang(world)}, totals(world.store).useful_gpu_s
    mark = gang(world)[0]["metadata"]["annotations"][LAST_CHECKPOINT_KEY]
    world.evict(gang(world)[0])
    world.live(60)
    assert before.isdisjoint({p["metadata"]["uid"] for p in gang(world)})
    assert all(is_ready(p) for p in gang(world))
    assert {p["metadata"]["annotations"][LAST_CHECKPOINT_KEY] for p in gang(world)} == {mark}
    cost = totals(world.store)
    assert cost.restarts == 1
    assert useful == cost.useful_gpu_s >= 180 * 16
    assert 0 < cost.lost_gpu_s < 180 * 16


def test_a_cordoned_node_sends_the_gang_back_to_the_queue(world):
    training_nodes(world, 2)
    submit(world.store, Gang(2), world.now)
    world.live(60)
    world.change_node("n0", unschedulable=True)
    world.evict(world.store.pods_on("n0")[0])
    world.live(30)
    assert world.nodes_used("training") == {""} and len(gang(world)) == 2


def test_a_finished_gang_frees_its_nodes_and_is_forgotten_later(world):
    training_nodes(world, 1)
    submit(world.store, Gang(1, work_s=60.0), world.now)
    submit(world.store, Gang(1), world.now)
    world.live(120)
    assert totals(world.store).completed == 1
    assert totals(world.store).useful_gpu_s >= 60 * 8
    phases = {p["metadata"]["name"]: p["status"]["phase"] for p in gang(world)}
    assert phases == {"train-001-0": "Succeeded", "train-002-0": "Running"}
    world.live(320)
    assert [j["metadata"]["name"] for j in world.store.all(JOBS)] == ["train-002"]
    assert len(gang(world)) == 1


def test_new_jobs_are_asked_for_with_the_length_of_the_queue(world):
    training_nodes(world, 1)
    asked = []

    def arrivals(waiting_nodes: int):
        asked.append(waiting_nodes)
        return [Gang(1), Gang(3)] if len(asked) == 1 else []

    world.live(10, arrivals)
    assert asked[0] == 0 and asked[-1] == 3
    assert totals(world.store).submitted == 2


def test_a_checkpoint_that_is_asked_for_is_written_soon(world):
    training_nodes(world, 2)
    job = submit(world.store, Gang(2), world.now)
    world.live(60)
    asked_at = world.now
    held = world.store.get(JOBS, "training", job["metadata"]["name"])
    notes = held["metadata"]["annotations"] | {CHECKPOINT_REQUESTED_KEY: rfc3339(asked_at)}
    world.store.put(JOBS, {**held, "metadata": held["metadata"] | {"annotations": notes}})
    world.live(10)
    marks = {p["metadata"]["annotations"].get(LAST_CHECKPOINT_KEY) for p in gang(world)}
    assert len(marks) == 1
    assert asked_at < parse_time(marks.pop()) <= world.now
    held = world.store.get(JOBS, "training", job["metadata"]["name"])
    done = held["metadata"]["annotations"][LAST_CHECKPOINT_KEY]
    world.live(20)
    held = world.store.get(JOBS, "training", job["metadata"]["name"])
    assert held["metadata"]["annotations"][LAST_CHECKPOINT_KEY] == done, "once is enough"


def test_a_request_on_a_pod_counts_too(world):
    training_nodes(world, 1)
    submit(world.store, Gang(1), world.now)
    world.live(60)
    (pod,) = gang(world)
    notes = pod["metadata"]["annotations"] | {CHECKPOINT_REQUESTED_KEY: rfc3339(world.now)}
    world.note(pod, **notes)
    world.live(10)
    assert LAST_CHECKPOINT_KEY in gang(world)[0]["metadata"]["annotations"]


def test_time_that_the_twin_did_not_run_is_no_work(world):
    training_nodes(world, 1)
    submit(world.store, Gang(1), world.now)
    world.live(60)
    world.now += timedelta(hours=9)
    world.live(200)
    assert 0 < totals(world.store).useful_gpu_s <= 260 * 8


def test_a_suspended_job_has_no_pods_until_it_is_resumed(world):
    training_nodes(world, 1)
    job = submit(world.store, Gang(1), world.now)
    world.live(60)
    for suspend, pods in ((True, 0), (False, 1)):
        held = world.store.get(JOBS, "training", job["metadata"]["name"])
        world.store.put(JOBS, {**held, "spec": held["spec"] | {"suspend": suspend}})
        world.live(20)
        assert len(gang(world)) == pods
        held = world.store.get(JOBS, "training", job["metadata"]["name"])
        assert condition(held, "Suspended")["status"] == str(suspend)
