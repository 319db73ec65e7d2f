"""What a plan of moves says about how it would hurt."""

from dataclasses import replace

from infra_console.plans.spec import Harm
from tests.tiers.core.fleets import chat_pod, cluster, gang_pod, node
from tests.tiers.factories import fleet_config
from tiers.core.changes import ClusterMoves, NodeChange, ScaleChange
from tiers.core.fleet_state import ClusterState, PodView
from tiers.facts import fleet_facts
from tiers.harms import harms_of


def harms(
    state: ClusterState, *, shrinks: tuple = (), nodes: tuple = (), grows: tuple = ()
) -> dict[str, Harm]:
    moves = ClusterMoves("north", shrinks=shrinks, nodes=nodes, grows=grows, notes=())
    return {harm.query: harm for harm in harms_of(fleet_facts(fleet_config()), state, moves)}


def given(name: str, giver: str, taker: str, *evicts: PodView) -> NodeChange:
    return NodeChange(node(name, giver), giver, taker, evicts, 0.0, "needed")


def scale(state: ClusterState, to: int, gpus: int) -> ScaleChange:
    return ScaleChange(state.deployments[0], to, gpus, (), "needed")


def test_a_tier_that_gives_nodes_would_lack_what_it_asks_beyond_the_rest_and_what_stops():
    gang = gang_pod("g", 0, "t2")
    state = cluster([node("t1", "training"), node("t2", "training"), node("i", "inference")],
                    [gang, chat_pod("c", "i")], 1)  # fmt: skip
    found = harms(state, nodes=(given("t2", "training", "inference", gang),))
    assert (found["gpus_requested"].op, found["gpus_requested"].bound) == (">", 8 + 8)
    assert found["gpus_requested"].labels["namespace"] == ("training",)
    assert (found["tier_gpus"].labels["tier"], found["tier_gpus"].bound) == ("training", 0 + 8)


def test_a_queue_that_stood_there_already_was_weighed_and_is_no_harm():
    queued = [replace(gang_pod("q", n, ""), phase="Pending") for n in range(5)]
    state = cluster([node("t1", "training"), node("t2", "training")], queued, 1)
    found = harms(state, nodes=(given("t2", "training", "inference"),))
    assert found["gpus_requested"].bound == 40


def test_pods_without_a_gang_still_ask_when_their_node_is_given_away():
    pod = chat_pod("c", "i2")
    state = cluster([node("i1", "inference"), node("i2", "inference")], [pod], 1)
    found = harms(state, nodes=(given("i2", "inference", "training", pod),))
    assert found["gpus_requested"].bound == 8
    assert found["tier_gpus"].bound == 8 + 8  # its floor, and what it gives


def test_a_service_that_shrinks_is_held_to_its_slo():
    state = cluster([node("i", "inference")], [], 2)
    found = harms(state, shrinks=(scale(state, 1, -4),))
    harm = found["ttft_within_slo"]
    assert (harm.op, harm.bound, harm.aggregate, harm.labels["le"]) == ("<", 0.95, "p10", "1.0")


def test_who_only_gains_is_not_harmed():
    state = cluster([node("i", "inference")], [], 1)
    assert harms(state, grows=(scale(state, 2, 4),)) == {}
