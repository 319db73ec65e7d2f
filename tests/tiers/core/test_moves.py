"""Which nodes change tier, and what a plan refuses to do."""

from dataclasses import replace

import pytest

from tests.tiers.core.fleets import FACTS, POOL, chat_pod, cluster, gang_pod, node
from tiers.core.board import unplaced
from tiers.core.changes import WorkloadFacts
from tiers.core.fleet_state import DeploymentView
from tiers.core.moves import cluster_moves

CHAT, TRAINING = (POOL, "chat"), (POOL, "training")


def moves(state, target, *, floors=None, max_nodes=8, **changes):
    held = sum(p.workload == "chat" and bool(p.node) for p in state.pods)
    deltas = {"chat": sum(n for (_, w), n in target.items() if w == "chat") - held}
    words = {"deltas": deltas, "floors": floors or {}, "max_nodes": max_nodes} | changes
    return cluster_moves(state, target, FACTS, **words)


def two_tiers(extra_pods=(), chat_replicas=2):
    nodes = [node("i1", "inference"), node("t1", "training"), node("t2", "training")]
    pods = [chat_pod("chat-a", "i1"), chat_pod("chat-b", "i1"), *extra_pods]
    return cluster(nodes, pods, chat_replicas)


def test_growth_takes_the_idle_node_before_a_running_gang():
    result = moves(two_tiers([gang_pod("train-1", 0, "t1")]), {CHAT: 4, TRAINING: 1})
    assert [c.node.name for c in result.nodes] == ["t2"]
    assert [(g.deployment.name, g.to_replicas) for g in result.grows] == [("chat", 4)]


def test_growth_stops_the_gang_with_the_freshest_checkpoint():
    pods = [gang_pod("train-1", 0, "t1", 3000), gang_pod("train-2", 0, "t2", 60)]
    result = moves(two_tiers(pods), {CHAT: 4, TRAINING: 1})
    assert [c.node.name for c in result.nodes] == ["t2"]
    assert 0 < result.nodes[0].lost_gpu_hours < 0.2


def test_a_loss_from_an_unknown_checkpoint_is_said_to_be_assumed():
    known = moves(two_tiers([gang_pod("a", 0, "t1"), gang_pod("b", 0, "t2")]), {CHAT: 4})
    assert "since the last checkpoint" in known.nodes[0].reason
    assert "assumed" not in known.lost_words
    pods = [gang_pod("a", 0, "t1", None), gang_pod("b", 0, "t2", None)]
    unknown = moves(two_tiers(pods), {CHAT: 4})
    assert "8.0 GPU-hours of training (assumed, checkpoint age unknown)" in unknown.nodes[0].reason
    assert "assumed, checkpoint age unknown" in unknown.lost_words


def test_a_stopped_gang_gives_its_other_node_for_nothing():
    nodes = [node("i1", "inference")] + [node(f"t{i}", "training") for i in range(1, 5)]
    pods = [gang_pod("big", 0, "t1"), gang_pod("big", 1, "t4"), gang_pod("small", 0, "t2", 300),
            gang_pod("old", 0, "t3", 9000)]  # fmt: skip
    state = cluster(nodes, pods, 0)
    result = moves(state, {CHAT: 6, TRAINING: 2})
    assert [c.node.name for c in result.nodes] == ["t2", "t1"]
    result = moves(state, {CHAT: 8, TRAINING: 1})
    assert [c.node.name for c in result.nodes] == ["t2", "t1", "t4"]
    assert result.nodes[2].lost_gpu_hours == 0


def test_a_tier_keeps_its_floor_and_the_refusal_is_said():
    result = moves(two_tiers(), {CHAT: 6, TRAINING: 0}, floors={"training": 8})
    assert len(result.nodes) == 1
    assert any("no other tier can spare" in note for note in result.notes)
    assert any("wanted but no node" in note for note in result.notes)


def test_inference_node_leaves_only_when_its_pods_fit_elsewhere():
    nodes = [node("i1", "inference"), node("i2", "inference"), node("t1", "training")]
    pods = [chat_pod("chat-a", "i1"), chat_pod("chat-b", "i2")]
    fits = moves(cluster(nodes, pods, 2), {CHAT: 2, TRAINING: 2})
    assert [c.node.name for c in fits.nodes] == ["i1"]
    full = [*pods, chat_pod("chat-c", "i1"), chat_pod("chat-d", "i2")]
    assert not moves(cluster(nodes, full, 4), {CHAT: 4, TRAINING: 2}).nodes


def test_shrink_names_victims_on_the_leaving_node_first():
    nodes = [node("i1", "inference"), node("i2", "inference"), node("t1", "training")]
    pods = [chat_pod(f"chat-{i}", f"i{i % 2 + 1}") for i in range(4)]
    result = moves(cluster(nodes, pods, 4), {CHAT: 2, TRAINING: 2})
    leaving = result.nodes[0].node.name
    on_leaving = {p.name for p in pods if p.node == leaving}
    assert set(result.shrinks[0].victims) == on_leaving
    assert not result.grows


def test_a_cordoned_or_sick_node_is_never_supply():
    nodes = [
        node("i1", "inference"),
        node("t1", "training", unschedulable=True),
        node("t2", "training", ready=False),
        node("t3", "training", foreign="tainted by health-agent"),
    ]
    result = moves(cluster(nodes, [], 0), {CHAT: 4, TRAINING: 0})
    assert not result.nodes


def test_no_more_nodes_than_the_plan_allows():
    nodes = [node("i1", "inference")] + [node(f"t{i}", "training") for i in range(5)]
    result = moves(cluster(nodes, [], 0), {CHAT: 10, TRAINING: 0}, max_nodes=2)
    assert len(result.nodes) == 2
    assert any("limit" in note for note in result.notes)


def test_unplaced_keeps_large_groups_whole():
    eight, four = {"a": 8, "b": 8}, {"a": 4, "b": 4}
    assert unplaced([eight, four, four], {"a": 8, "b": 6}) == [four]
    assert unplaced([eight], {"a": 7, "b": 7}) == [eight]


def test_unplaced_offers_each_group_only_its_nodes_at_their_size():
    free = {"a": 8, "b": 8}
    assert unplaced([{"b": 2}, {"a": 8, "b": 4}, {"b": 4}], free) == []
    assert free == {"a": 0, "b": 2}


OTHER_KINDS = {
    "another GPU type": {"gpu_type": "L40S", "pool": "r/L40S/reserved"},
    "spot": {"spot": True, "pool": "r/H100/spot"},
}


@pytest.mark.parametrize("kind", OTHER_KINDS.values(), ids=OTHER_KINDS)
def test_growth_is_not_placed_where_it_may_not_run(kind):
    nodes = [node("i1", "inference"), node("x1", "inference", **kind)]
    pods = [chat_pod("chat-a", "i1"), chat_pod("chat-b", "i1")]
    result = moves(cluster(nodes, pods, 2), {CHAT: 3}, deltas={"chat": 1})
    assert not result.grows
    assert any("may run them" in note for note in result.notes)


@pytest.mark.parametrize("kind", OTHER_KINDS.values(), ids=OTHER_KINDS)
def test_a_node_is_not_drained_onto_nodes_that_may_not_run_its_pods(kind):
    nodes = [node("i1", "inference"), node("x1", "inference", **kind), node("t1", "training")]
    result = moves(cluster(nodes, [chat_pod("chat-a", "i1")], 1), {TRAINING: 2}, deltas={})
    assert not result.nodes


def test_growth_of_a_service_outside_inference_finds_its_own_tiers_nodes():
    facts = (WorkloadFacts("embed", "operational", {"H100": 2}, "operational", "embed"),)
    nodes = [node("i1", "inference"), node("o1", "operational", gpus_capacity=2,
                                           gpus_allocatable=2)]  # fmt: skip
    embed = DeploymentView("operational", "embed", "u", 0, 0, "embed")
    state = replace(cluster(nodes, [], 0), deployments=(embed,))
    result = cluster_moves(state, {}, facts, deltas={"embed": 3}, floors={}, max_nodes=8)
    assert [(g.to_replicas, g.gpus) for g in result.grows] == [(1, 2)]


def test_a_group_takes_the_size_that_it_has_on_the_nodes_gpu_type():
    facts = (replace(FACTS[0], group_gpus={"H100": 4, "L40S": 8}),)
    nodes = [node("x1", "inference", gpu_type="L40S", pool="r/L40S/reserved")]
    result = cluster_moves(
        cluster(nodes, [], 0), {}, facts, deltas={"chat": 2}, floors={}, max_nodes=8
    )
    assert [(g.to_replicas, g.gpus) for g in result.grows] == [(1, 8)]


def test_pools_of_one_family_never_swap_nodes():
    other = "r/H100/on_demand"
    nodes = [node("i1", "inference"), node("t1", "training", pool=other)]
    state = cluster(nodes, [chat_pod("chat-a", "i1")], 1)
    target = {(other, "chat"): 1, (POOL, "training"): 1}
    assert len(moves(state, target).nodes) == 2
    family = {POOL: "r/H100", other: "r/H100"}
    assert not moves(state, target, families=family).nodes


def test_replicas_follow_the_allocators_choice_not_what_a_sick_node_lost():
    nodes = [node("i1", "inference"), node("i2", "inference", ready=False)]
    pods = [chat_pod("chat-a", "i1"), chat_pod("chat-b", "i2")]
    result = moves(cluster(nodes, pods, 2), {CHAT: 1}, deltas={})
    assert not result.shrinks
    waiting = cluster(nodes[:1], [chat_pod("chat-a", "i1"), chat_pod("chat-b", "")], 2)
    assert not moves(waiting, {CHAT: 1}, deltas={"chat": 0}).shrinks


def test_a_shrink_stops_at_the_workloads_floor():
    facts = (replace(FACTS[0], floor_groups=1), FACTS[1])
    pods = [chat_pod("chat-a", "i1"), chat_pod("chat-b", "i1")]
    state = cluster([node("i1", "inference")], pods, 2)
    result = cluster_moves(state, {}, facts, deltas={"chat": -2}, floors={}, max_nodes=8)
    assert [(s.to_replicas, s.floor) for s in result.shrinks] == [(1, 1)]


def test_a_replacement_inside_a_tier_grows_in_the_room_of_its_victims():
    big = WorkloadFacts("big", "inference", {"H100": 8}, "inference", "big")
    pods = [chat_pod("chat-a", "i1"), chat_pod("chat-b", "i1")]
    state = cluster([node("i1", "inference")], pods, 2)
    both = replace(
        state,
        deployments=(*state.deployments, DeploymentView("inference", "big", "u", 0, 0, "big")),
    )
    words = {"floors": {}, "max_nodes": 8}
    result = cluster_moves(both, {(POOL, "big"): 1}, (*FACTS, big),
                           deltas={"chat": -2, "big": 1}, **words)  # fmt: skip
    assert [g.deployment.name for g in result.grows] == ["big"]
    kept = cluster_moves(both, {(POOL, "big"): 2}, (*FACTS, big),
                         deltas={"chat": -1, "big": 2}, **words)  # fmt: skip
    assert not kept.grows
    assert not kept.shrinks  # nothing is stopped for a growth that cannot happen


def full_inference(count: int):
    """`count` inference nodes of two chat groups each."""
    nodes = [node(f"i{i}", "inference") for i in range(count)]
    pods = [chat_pod(f"chat-{i}", f"i{i // 2}") for i in range(2 * count)]
    return cluster(nodes, pods, 2 * count)


def test_nothing_is_stopped_for_a_node_that_cannot_leave():
    result = moves(
        full_inference(2), {CHAT: 2, TRAINING: 1}, deltas={"chat": -2}, floors={"inference": 16}
    )
    assert not result
    assert any("no other tier can spare" in note for note in result.notes)


def test_no_more_is_stopped_than_empties_the_nodes_that_the_limit_lets_go():
    result = moves(full_inference(3), {CHAT: 2, TRAINING: 2}, deltas={"chat": -4}, max_nodes=1)
    (change,), (shrink,) = result.nodes, result.shrinks
    assert shrink.delta == -2
    assert shrink.gpus == -8
    assert {p.name for p in change.evicts} == set(shrink.victims)


def test_a_growth_that_is_cut_stops_no_more_than_what_is_left_of_it_needs():
    big = WorkloadFacts("big", "inference", {"H100": 8}, "inference", "big")
    huge = WorkloadFacts("huge", "inference", {"H100": 16}, "inference", "huge")
    state = full_inference(2)
    more = (DeploymentView("inference", name, "u", 0, 0, name) for name in ("big", "huge"))
    state = replace(state, deployments=(*state.deployments, *more))
    result = cluster_moves(
        state, {CHAT: 0}, (*FACTS, big, huge), deltas={"chat": -4, "big": 1, "huge": 1},
        floors={}, max_nodes=8,
    )  # fmt: skip
    assert [(g.deployment.name, g.delta) for g in result.grows] == [("big", 1)]
    assert [s.victims for s in result.shrinks] == [("chat-0", "chat-1")]
