"""From a cluster with Kueue to a plan that names its victims, and that plan carried out."""

import tomllib
from datetime import UTC, datetime

import pytest

from infra_console.cluster.reads import list_nodes
from infra_console.fleet.config import FleetConfig
from infra_console.plans.taking_back.rollback import roll_back
from tests.infra_console.conftest import named_cluster, tls, twin
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.conftest import _short_waits, approved, approver, armed, operator
from tests.infra_console.plans.executing.test_execution import work
from tests.infra_console.plans.kueue_world import FLAVOR, QUEUE, QUOTA, SPACE, KueueTwin
from tests.infra_console.plans.specs import evidence
from tiers.adapters.kubernetes_fleet import KubernetesFleet
from tiers.adapters.kueue_queues import read_queues
from tiers.core.moves import cluster_moves
from tiers.core.plan_price import PlanPrice
from tiers.facts import FleetFacts, fleet_facts
from tiers.planning import build_plan
from tiers.twin.fleet_file import fleet_toml

__all__ = [
    "_short_waits", "approved", "approver", "armed", "named_cluster", "operator", "tls", "twin",
]  # fmt: skip


@pytest.fixture(scope="module")
def facts() -> FleetFacts:
    document = tomllib.loads(fleet_toml(time_factor=20, demand="test", notes=()))
    return fleet_facts(FleetConfig.model_validate(document))


def proposed(facts: FleetFacts, *, training_nodes: int, deltas=None):
    """The plan that leaves training so many of its three H100 nodes; inference takes the rest."""
    state = KubernetesFleet(facts, now=datetime.now(UTC))._read_cluster(CLUSTER)
    pools = {n.pool for n in state.nodes if n.gpu_type == "H100"}
    reserved, on_demand = sorted(pools, reverse=True)
    target = {(reserved, "training"): training_nodes - 1, (on_demand, "training"): 1}
    target |= {(reserved, "chat-70b"): 2 * (7 - training_nodes), (on_demand, "chat-70b"): 2}
    moves = cluster_moves(
        state, target, facts.move_facts(), deltas=deltas or {}, floors={}, max_nodes=1,
        families=facts.pool_families(),
    )  # fmt: skip
    return build_plan(facts, state, moves, evidence(), PlanPrice(100.0, 0.0, restores_floor=False))


def test_queues_and_gangs_are_read_with_the_nodes_that_they_cover(twin, facts):
    world = KueueTwin(twin)
    (quota,), gangs = read_queues(facts, CLUSTER, list_nodes(CLUSTER))
    assert (quota.queue, quota.flavor, quota.tier) == (QUEUE, FLAVOR, "training")
    assert (quota.nominal, quota.reserved, quota.total) == (QUOTA, QUOTA, QUOTA)
    assert world.node_of("small") in quota.nodes
    assert all("h100" in name for name in quota.nodes)
    assert {(g.job, g.held[FLAVOR]) for g in gangs} == {("big", 16), ("small", 8)}


def test_a_cluster_without_queues_has_none(twin, facts):
    assert read_queues(facts, CLUSTER, list_nodes(CLUSTER)) == ((), ())


def test_a_shrink_names_its_victims_and_is_carried_out_and_back(
    twin, armed, approved, operator, facts
):
    world = KueueTwin(twin)
    spec = proposed(facts, training_nodes=2)
    name = world.workload("small")["metadata"]["name"]
    kinds = [s.kind for s in sorted(spec.steps, key=lambda s: s.wave)]
    assert kinds == [
        "kueue.signal", "kueue.set_quota", "kueue.deactivate",
        "node.cordon", "node.drain", "node.assign_tier", "node.uncordon", "kueue.reactivate",
    ]  # fmt: skip
    node_move, quota_move = spec.moves
    assert node_move.target.name == world.node_of("small")
    assert (quota_move.from_replicas, quota_move.to_replicas) == (QUOTA, QUOTA - 8)
    assert quota_move.evicts == (f"{SPACE}/{name}",)
    assert f"{SPACE}/small (8 GPUs, saved" in quota_move.reason
    drain = next(s for s in spec.steps if s.kind == "node.drain")
    assert drain.params["victims"] == [f"{SPACE}/{name}"]
    assert {p.target.kind for p in spec.preconditions} == {"Node", "ClusterQueue", "Workload"}
    plan = work(approved(spec.model_copy(update={"promises": ()})), turns=20)
    assert plan.state == "verified", plan.state_reason
    assert world.quota() == str(QUOTA - 8)
    assert world.workload("small")["spec"]["active"]
    assert not world.is_true("small", "QuotaReserved")  # it waits for its turn in what is left
    assert not [m for m in twin.mutations() if m.startswith("create pods/eviction small")]
    roll_back(plan.id, by=operator, reason="enough")
    plan = work(plan, turns=20)
    assert plan.state == "rolled_back", plan.state_reason
    assert world.quota() == QUOTA
    world.until(lambda: world.running("small") == 1, "it runs again")


def test_growth_raises_the_quota_after_the_nodes_are_there(twin, facts):
    KueueTwin(twin)
    spec = proposed(facts, training_nodes=4, deltas={"chat-405b": -1})
    kinds = [s.kind for s in sorted(spec.steps, key=lambda s: s.wave)]
    assert kinds[-1] == "kueue.set_quota"
    assert kinds.index("node.uncordon") < kinds.index("kueue.set_quota")
    (raised,) = [s for s in spec.steps if s.kind == "kueue.set_quota"]
    assert (raised.params["from"], raised.params["to"]) == (QUOTA, QUOTA + 8)
