"""The snapshot counts what is there, in whole groups and healthy whole nodes."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from tests.tiers.core.fleets import POOL, chat_pod, cluster, gang_pod, node
from tests.tiers.core.snapshots import demand_step, small_snapshot
from tiers.core.fleet_state import FleetState
from tiers.core.snapshot import DemandStep, Snapshot
from tiers.core.snapshot_build import (
    build_snapshot,
    checkpoint_ages,
    current_groups,
    demand_steps,
    pool_supply,
)

SIZES = {"chat": {"H100": 4}, "training": {"H100": 8}}


def test_supply_leaves_out_sick_cordoned_and_untiered_nodes():
    nodes = [
        node("a", "inference"),
        node("b", "training", ready=False),
        node("c", "training", unschedulable=True),
        node("d", "training", gpus_allocatable=7),
        node("e", None),
    ]
    assert pool_supply(cluster(nodes, [], 0), POOL) == 8


def test_current_groups_count_whole_groups_only():
    nodes = [node("a", "inference"), node("t", "training")]
    pods = [chat_pod("chat-1", "a"), chat_pod("chat-2", ""), gang_pod("g", 0, "t")]
    assert current_groups(cluster(nodes, pods, 2), SIZES) == {
        (POOL, "chat"): 1,
        (POOL, "training"): 1,
    }


@pytest.mark.parametrize(
    "change", [{"ready": False}, {"foreign": "tainted x"}, {"gpus_allocatable": 7}, {"pool": ""}]
)
def test_what_runs_on_a_node_that_is_no_supply_is_not_counted_either(change):
    nodes = [node("a", "inference"), node("gone", "inference", **change)]
    pods = [chat_pod("chat-1", "a"), chat_pod("chat-2", "gone"), chat_pod("chat-3", "gone")]
    assert current_groups(cluster(nodes, pods, 3), SIZES) == {(POOL, "chat"): 1}


def test_a_pod_that_is_being_deleted_is_not_counted():
    pods = [chat_pod("chat-1", "a"), replace(chat_pod("chat-2", "a"), deleting=True)]
    state = cluster([node("a", "inference")], pods, 1)
    assert current_groups(state, SIZES) == {(POOL, "chat"): 1}


def test_the_age_of_a_checkpoint_is_the_oldest_gangs_and_unknown_where_one_tells_none():
    nodes = [node("a", "training"), node("b", "training"), node("c", "training")]
    told = [
        gang_pod("g", 0, "a", 900),
        gang_pod("g", 1, "a", 600),  # the gang's freshest
        gang_pod("h", 0, "b", 60),
    ]
    assert checkpoint_ages(cluster(nodes, told, 0)) == {(POOL, "training"): 600.0}
    silent = gang_pod("i", 0, "c", None)
    assert checkpoint_ages(cluster(nodes, [*told, silent], 0)) == {}


def test_gangs_and_ages_stand_in_the_snapshot():
    state = cluster(
        [node("a", "training")], [replace(gang_pod("g", 0, "a"), checkpoint_age_s=60.0)], 0
    )
    pool = {"id": POOL, "cluster": state.cluster, "region": "r", "gpu_type": "H100",
            "gpu_memory_gib": 80, "purchase": "reserved", "usd_per_gpu_hour": 3.0}  # fmt: skip
    training = small_snapshot().workloads[1].model_dump() | {"group_gpus": {"H100": 8}}
    gang = {"id": "g", "workload": "training", "region": "r", "groups": 1}
    snapshot = build_snapshot(
        taken_at=datetime(2026, 1, 1, tzinfo=UTC), state=FleetState({state.cluster: state}),
        regions=[{"id": "r", "jurisdiction": "EU"}], workloads=[training], pools=[pool],
        demand={}, step_s=1800, steps=8, quantile=0.95, max_moves=1, gangs=[gang],
    )  # fmt: skip
    assert [g.id for g in snapshot.gangs] == ["g"]
    assert [(c.pool, c.workload, c.age_s) for c in snapshot.checkpoints] == [(POOL, "training", 60)]


def test_each_snapshot_step_takes_its_worst_forecast_step():
    levels = (0.5, 0.95, 0.975)
    quantiles = np.array([[1.0, 2, 3], [4, 5, 6], [2, 3, 9], [1, 1, 1]])
    steps = demand_steps(quantiles, levels, per_step=2)
    assert [s["p50"] for s in steps] == [4, 2]
    assert [s["p975"] for s in steps] == [6, 9]
    for step in steps:
        DemandStep.model_validate(step)


def test_clusters_that_did_not_answer_are_left_out():
    state = FleetState({}, {"r": "timeout"})
    snapshot = build_snapshot(
        taken_at=datetime(2026, 1, 1, tzinfo=UTC), state=state, regions=[], workloads=[],
        pools=[{"id": POOL, "cluster": "r"}], demand={}, step_s=1800, steps=8, quantile=0.95,
        max_moves=1,
    )  # fmt: skip
    assert snapshot.pools == ()


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("demand", {"nobody": {"r": [demand_step(1)] * 2}}, "unknown workload"),
        ("demand", {"chat": {"r": [demand_step(1)]}}, "has 1 steps, expected 2"),
        ("current", [{"pool": "x", "workload": "chat", "groups": 1}], "unknown pool"),
        ("surprise", 1, "surprise"),
    ],
)
def test_a_wrong_snapshot_is_refused_with_its_path(key, value, complaint):
    with pytest.raises(ValueError, match=complaint):
        small_snapshot(**{key: value})


def test_quantiles_that_decrease_are_refused():
    step = demand_step(5) | {"p80": 9.0}
    with pytest.raises(ValueError, match="must not decrease"):
        small_snapshot(demand={"chat": {"r": [step] * 2}})


def test_the_document_survives_a_round_trip():
    snapshot = small_snapshot()
    assert Snapshot.model_validate_json(snapshot.model_dump_json(by_alias=True)) == snapshot
