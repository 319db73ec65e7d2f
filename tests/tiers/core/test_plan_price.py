"""A plan is priced by what it carries out, not by what the allocation would like."""

from dataclasses import replace

import pytest

from tests.tiers.core.fleets import FACTS, POOL, chat_pod, cluster, gang_pod, node
from tests.tiers.core.snapshots import demand_step, small_snapshot
from tiers.core.allocate import allocate
from tiers.core.changes import ClusterMoves, NodeChange
from tiers.core.fleet_state import TIERS
from tiers.core.moves import cluster_moves
from tiers.core.plan_price import NO_MOVES, price_moves
from tiers.core.snapshot import Snapshot
from tiers.core.snapshot_build import current_groups, pool_supply

FAMILIES = {POOL: "r/H100"}


def fleet(chats: int, gangs: int, *, inference: int = 2, training: int = 4):
    """Nodes of 8 GPUs: `chats` groups of 4 on inference nodes, `gangs` of 8 on training nodes.

    A gang stopped now loses the 0.5 GPU-hours that the snapshot's workload states.
    """
    nodes = [node(f"i{i}", "inference") for i in range(inference)]
    nodes += [node(f"t{i}", "training") for i in range(training)]
    pods = [chat_pod(f"chat-{i}", f"i{i // 2}") for i in range(chats)]
    pods += [gang_pod(f"train-{i}", 0, f"t{i}", 225) for i in range(gangs)]
    return cluster(nodes, pods, chats)


def snapshot_of(state, chat: float, training: float) -> Snapshot:
    held = current_groups(state, {w.id: w.group_gpus for w in FACTS})
    small = small_snapshot().model_dump(by_alias=True)
    pool = small["pools"][0] | {"gpus": pool_supply(state, POOL), "gpus_per_node": 8}
    rows = {w["id"]: w for w in small["workloads"]}
    rows["chat"] |= {"group_gpus": {"H100": 4}, "floor_groups": 1}
    rows["training"] |= {"group_gpus": {"H100": 8}}
    return small_snapshot(
        pools=[pool],
        workloads=list(rows.values()),
        demand={
            "chat": {"r": [demand_step(chat)] * 2},
            "training": {"r": [demand_step(training)] * 2},
        },
        current=[{"pool": p, "workload": w, "groups": n} for (p, w), n in held.items()],
    )


def planned(state, snapshot: Snapshot, *, max_nodes: int = 8):
    allocation = allocate(snapshot)
    deltas = {
        w: sum(m.groups for m in allocation.moves if m.workload == w) for w in ("chat", "training")
    }
    moves = cluster_moves(
        state,
        allocation.groups,
        FACTS,
        deltas=deltas,
        floors=dict.fromkeys(TIERS, 0),
        max_nodes=max_nodes,
        families=FAMILIES,
    )
    price = price_moves(snapshot, state, allocation.groups, moves, FACTS, families=FAMILIES)
    return allocation, moves, price


@pytest.mark.parametrize(
    ("chats", "gangs", "chat", "training"),
    [
        (4, 2, 45.0, 8.0),
        (4, 4, 38.0, 16.0),
        (2, 3, 28.0, 24.0),
        (3, 4, 5.0, 20.0),
    ],
)
def test_moves_that_carry_out_all_are_worth_what_the_allocation_is(chats, gangs, chat, training):
    state = fleet(chats, gangs)
    allocation, moves, price = planned(state, snapshot_of(state, chat, training))
    assert allocation.moves, "the case must ask for something"
    assert not moves.notes
    assert price.gain_usd == pytest.approx(allocation.gain_usd)


def test_a_plan_cut_to_one_node_is_worth_the_part_that_it_does():
    state = fleet(4, 0)
    snapshot = snapshot_of(state, 60.0, 0.0)
    allocation, whole, all_of_it = planned(state, snapshot)
    assert len(whole.nodes) >= 2
    _, cut, part = planned(state, snapshot, max_nodes=1)
    assert len(cut.nodes) == 1
    assert 0 < part.gain_usd < all_of_it.gain_usd == pytest.approx(allocation.gain_usd)
    # Worked by hand: two groups of 5 units more for one hour at 8 USD, each of 4 GPUs moving 300 s
    # at 3 USD per GPU-hour.
    assert part.gain_usd == pytest.approx(2 * 5.0 * 8.0 - 2 * 4 * 300 / 3600 * 3.0)


def test_no_moves_gain_nothing():
    state = fleet(4, 2)
    snapshot = snapshot_of(state, 60.0, 8.0)
    nothing = ClusterMoves("r", (), (), (), ())
    price = price_moves(
        snapshot, state, allocate(snapshot).groups, nothing, FACTS, families=FAMILIES
    )
    assert price.gain_usd == pytest.approx(0.0)
    assert not price.restores_floor


def test_what_a_queue_starts_by_itself_is_no_gain_of_a_plan():
    state = fleet(4, 0)
    snapshot = snapshot_of(state, 40.0, 8.0)  # two gangs wait and training nodes are idle
    allocation, moves, price = planned(state, snapshot)
    assert moves.nodes
    waiting_gangs_usd = allocation.gain_usd - price.gain_usd
    # Two gangs of 4 units each at 2 USD, less 8 GPUs of each loading for 300 s at 3 USD.
    assert waiting_gangs_usd == pytest.approx(2 * (4.0 * 2.0 - 8 * 300 / 3600 * 3.0))
    nothing = price_moves(snapshot, state, allocation.groups, NO_MOVES, FACTS, families=FAMILIES)
    assert nothing.gain_usd == 0.0


def test_a_broken_gpu_costs_no_plan_anything():
    state = fleet(4, 4)
    sick = (*state.nodes[:-1], replace(state.nodes[-1], gpus_allocatable=7))
    state = replace(state, nodes=sick)
    snapshot = snapshot_of(state, 20.0, 16.0)
    price = price_moves(
        snapshot, state, allocate(snapshot).groups, NO_MOVES, FACTS, families=FAMILIES
    )
    assert price.gain_usd == 0.0


def test_a_node_taken_from_a_gang_costs_the_gang_even_if_nothing_can_grow():
    state = fleet(4, 4)
    snapshot = snapshot_of(state, 60.0, 16.0)
    allocation, moves, _ = planned(state, snapshot)
    stolen = replace(moves, grows=())
    price = price_moves(snapshot, state, allocation.groups, stolen, FACTS, families=FAMILIES)
    assert price.gain_usd < 0


def with_checkpoints(state, age_s: float):
    pods = (replace(p, checkpoint_age_s=age_s) if p.gang else p for p in state.pods)
    return replace(state, pods=tuple(pods))


def test_work_lost_since_a_checkpoint_is_subtracted_once():
    fresh, old = with_checkpoints(fleet(4, 4), 0.0), with_checkpoints(fleet(4, 4), 3600.0)
    snapshot = snapshot_of(fresh, 30.0, 16.0)
    (_, moves, cheap), (_, same, dear) = planned(fresh, snapshot), planned(old, snapshot)
    assert [c.node.name for c in moves.nodes] == [c.node.name for c in same.nodes] == ["t0"]
    # The cost holds 0.5 GPU-hours a stopped group; 8 GPUs lose an hour each at 3 USD.
    assert cheap.gain_usd - dear.gain_usd == pytest.approx((8 * 1.0 - 0.5) * 3.0)


def test_a_gang_that_loses_one_node_stops_whole():
    nodes = [node("i0", "inference"), *(node(f"t{i}", "training") for i in range(3))]
    gang = [gang_pod("wide", rank, f"t{rank}", 0.0) for rank in range(3)]
    state = cluster(nodes, [chat_pod("chat-0", "i0"), chat_pod("chat-1", "i0"), *gang], 2)
    snapshot = snapshot_of(state, 20.0, 12.0)
    only_node = ClusterMoves("r", (), (NodeChange(nodes[1], "training", "inference", (gang[0],),
                                                  0.0, ""),), (), ())  # fmt: skip
    target = {(POOL, "chat"): 2}  # the queue may not start anything again
    price = price_moves(snapshot, state, target, only_node, FACTS, families=FAMILIES)
    # Three groups of 4 units for one hour at 2 USD, drained for 300 s and 0.5 GPU-hours lost each.
    assert price.gain_usd == pytest.approx(-3 * (4 * 2.0 + (8 * 300 / 3600 + 0.5) * 3.0))


def test_growth_that_brings_a_workload_back_to_its_floor_says_so():
    state = fleet(0, 0)
    _, moves, price = planned(state, snapshot_of(state, 5.0, 0.0))
    assert moves.grows
    assert price.restores_floor


def test_a_dead_node_is_replaced_without_a_change_of_replicas():
    state = fleet(4, 0)
    dead = replace(state, nodes=(replace(state.nodes[0], ready=False), *state.nodes[1:]))
    _, moves, price = planned(dead, snapshot_of(dead, 20.0, 0.0))
    assert [(c.from_tier, c.to_tier) for c in moves.nodes] == [("training", "inference")]
    assert not moves.shrinks
    assert not moves.grows
    assert price.gain_usd > 0
