"""How nodes are heard of, found silent, and emptied by taints; what events tell of it."""

import time
from datetime import timedelta

from tests.tiers.twin.kube import objects
from tiers.twin.controllers.config import UNREACHABLE_TAINT
from tiers.twin.controllers.events import record
from tiers.twin.controllers.leases import NAMESPACE
from tiers.twin.controllers.nodes import fail_node, heal_node
from tiers.twin.controllers.pods import condition, is_ready
from tiers.twin.kube.resources import EVENTS, LEASES, NODES, PODS
from tiers.twin.kube.times import parse_time


def renewed(world, name: str):
    return parse_time(world.store.get(LEASES, NAMESPACE, name)["spec"]["renewTime"])


def reasons(world) -> dict[str, int]:
    return {e["reason"]: e["count"] for e in world.store.all(EVENTS)}


def taint(world, name: str, **more) -> None:
    held = world.store.get(NODES, "", name)["spec"]["taints"]
    made = {"key": "repair", "value": "", "effect": "NoExecute", **more}
    world.change_node(name, taints=[*held, made])


def test_every_node_renews_its_lease_each_period(world):
    world.add_node("n1")
    world.live(2)
    first = renewed(world, "n1")
    world.live(8)
    assert renewed(world, "n1") == first
    world.live(4)
    assert timedelta(seconds=10) <= renewed(world, "n1") - first <= timedelta(seconds=12)


def test_a_node_is_unknown_once_its_lease_is_old_and_ready_when_it_speaks_again(world):
    world.add_node("n1")
    world.live(2)
    fail_node(world.store, "n1", world.now)
    world.live(10)
    assert is_ready(world.store.get(NODES, "", "n1"))
    world.live(4)
    assert condition(world.store.get(NODES, "", "n1"), "Ready")["status"] == "Unknown"
    assert reasons(world)["NodeNotReady"] == 1
    heal_node(world.store, "n1")
    world.live(2)
    assert is_ready(world.store.get(NODES, "", "n1"))


def test_nobody_is_declared_away_because_the_twin_was_off(world):
    world.add_node("n1")
    world.live(2)
    world.now += timedelta(hours=5)
    world.live(2)
    assert is_ready(world.store.get(NODES, "", "n1"))
    assert "NodeNotReady" not in reasons(world)


def test_the_lease_of_a_node_that_is_gone_goes_too(world):
    world.add_node("n1")
    world.live(2)
    world.store.remove(NODES, "", "n1")
    world.live(12)
    assert world.store.all(LEASES) == []


def test_a_thousand_heartbeats_are_cheap(world):
    for number in range(1000):
        world.add_node(f"n{number:04d}")
    world.live(2)
    began = time.process_time()
    world.live(20)
    per_tick_s = (time.process_time() - began) / 10
    assert per_tick_s < 0.1


def test_a_no_execute_taint_sends_pods_away_and_says_so(world):
    world.add_node("n1")
    world.deploy(2)
    world.live(20)
    world.add_node("n2")
    taint(world, "n1")
    world.live(40)
    assert world.nodes_used() == {"n2"}
    assert reasons(world)["TaintManagerEviction"] == 1


def test_pods_are_told_of_once_when_they_are_placed_and_stopped(world):
    world.add_node("n1")
    world.deploy(1)
    world.live(20)
    world.scale(0)
    world.live(10)
    counts = reasons(world)
    assert counts["Scheduled"] == counts["Killing"] == 1
    said = {e["message"] for e in world.store.all(EVENTS) if e["reason"] == "ScalingReplicaSet"}
    assert {text.split(" replica set")[0] for text in said} == {"Scaled up", "Scaled down"}


def test_a_pod_that_fits_nowhere_is_told_of_once_while_the_reason_stays(world):
    world.add_node("n1", gpus=1)
    world.deploy(1, gpus=4)
    world.live(60)
    (event,) = [e for e in world.store.all(EVENTS) if e["reason"] == "FailedScheduling"]
    assert (event["type"], event["count"]) == ("Warning", 1)
    assert event["message"].startswith("0/1 nodes are available: 1 Insufficient")


def test_the_same_event_is_counted_and_forgotten_after_an_hour(world):
    world.add_node("n1")
    node = world.store.get(NODES, "", "n1")
    for _ in range(3):
        record(world.store, node, "Rebooted", "again", world.now, by="kubelet")
    assert reasons(world)["Rebooted"] == 3
    world.now += timedelta(minutes=58)
    world.live(2)
    assert "Rebooted" in reasons(world)
    world.now += timedelta(minutes=3)
    world.live(2)
    assert "Rebooted" not in reasons(world)


def test_pods_of_a_node_that_was_deleted_come_back_elsewhere(world):
    world.add_node("n1")
    world.deploy(2)
    world.live(20)
    world.add_node("n2")
    world.store.remove(NODES, "", "n1")
    world.live(20)
    assert world.nodes_used() == {"n2"}


def patient(world, name: str, seconds: int | None, key: str) -> None:
    toleration = {"key": key, "operator": "Exists", "effect": "NoExecute"}
    toleration |= {} if seconds is None else {"tolerationSeconds": seconds}
    made = objects.pod(name)
    made["spec"]["tolerations"].append(toleration)
    world.add(PODS, made)


def test_pods_of_a_silent_node_leave_after_their_own_patience(world):
    """300 s by default, shortened by ten here; without a bound they stay."""
    world.add_node("n1")
    world.live(2)
    patient(world, "hasty", 20, UNREACHABLE_TAINT)
    patient(world, "steadfast", None, UNREACHABLE_TAINT)
    world.add(PODS, objects.pod("usual"))
    world.live(20)
    fail_node(world.store, "n1", world.now)
    names = set()
    for _ in range(30):
        world.live(2)
        names = {p["metadata"]["name"] for p in world.pods()}
        if "hasty" not in names:
            break
    assert names == {"usual", "steadfast"}
    world.live(40)
    assert {p["metadata"]["name"] for p in world.pods()} == {"steadfast"}


def test_a_taint_without_a_time_counts_from_when_it_was_seen(world):
    world.add_node("n1")
    patient(world, "p", 100, "repair")
    world.live(20)
    taint(world, "n1")
    world.live(8)
    assert len(world.pods()) == 1
    world.live(8)
    assert world.pods() == []


def test_controllers_give_their_pods_the_patience_that_the_api_gives(world):
    world.add_node("n1")
    world.deploy(1)
    world.live(4)
    held = {t["key"]: t.get("tolerationSeconds") for t in world.pods()[0]["spec"]["tolerations"]}
    assert held["node.kubernetes.io/not-ready"] == held[UNREACHABLE_TAINT] == 300


def test_a_toleration_of_everything_needs_no_key(world):
    world.add_node("n1")
    made = objects.pod("p")
    made["spec"]["tolerations"] = [{"operator": "Exists", "key": "", "effect": ""}]
    world.add(PODS, made)
    taint(world, "n1")
    world.live(10)
    assert world.pods()[0]["spec"]["nodeName"] == "n1"


def test_a_node_that_fails_before_its_first_lease_is_declared_away_too(world):
    world.add_node("n1")
    world.live(2)
    world.add_node("n2")
    fail_node(world.store, "n2", world.now)
    world.live(20)
    assert condition(world.store.get(NODES, "", "n2"), "Ready")["status"] == "Unknown"
