"""Machines bought and given back on a served cluster, and nodes kept from being consolidated."""

from datetime import UTC, datetime, timedelta

import pytest

from infra_console.plans import services
from infra_console.plans.looking.rollback_preview import objects_back
from infra_console.plans.spec import Precondition
from infra_console.plans.steps.drain import Drain
from infra_console.plans.taking_back.rollback import roll_back
from tests.infra_console.plans.specs import NODE, TIER_KEY, node_move, node_steps, spec
from tests.infra_console.plans.taking_back.test_rollback import pausing_after
from tests.infra_console.plans.targets import (
    DEATHS,
    add,
    held,
    plan_of,
    ref,
    room,
    step,
    survive,
    until,
    work,
)
from tiers.twin.controllers import capi, karpenter
from tiers.twin.controllers.machines import NO_CAPACITY_KEY
from tiers.twin.kube.resources import MACHINE_DEPLOYMENTS, MACHINES, NAMESPACES, NODE_POOLS, NODES
from tiers.twin.kube.times import rfc3339

FLEET = "fleet"
BURST, STATIC = ref("MachineDeployment", "burst", FLEET), ref("NodePool", "fixed", "")
CLASS = {"nodeClassRef": {"group": "g", "kind": "k", "name": "n"}, "requirements": []}
DISRUPT = "karpenter.sh/do-not-disrupt"


def scale(target, before: int, after: int, **more):
    return step("machines.scale", target, **{"from": before, "to": after}, **more)


def nodes(twin) -> set[str]:
    return {n["metadata"]["name"] for n in twin.call(twin.store.all, NODES)}


@pytest.fixture
def burst(twin):
    """A MachineDeployment that has made the nodes spare-01 and spare-02."""
    add(twin, NAMESPACES, {"metadata": {"name": FLEET}})
    labels = {"matchLabels": {"pool": "burst"}}
    inner = {"clusterName": "eastus", "bootstrap": {}, "infrastructureRef": {}}
    template = {"metadata": {"labels": {"pool": "burst"}}, "spec": inner}
    asked = {"clusterName": "eastus", "replicas": 2, "selector": labels, "template": template}
    body = {"metadata": {"name": "burst"}, "spec": asked}
    for name in ("spare-01", "spare-02"):
        room(twin, name)

    def adopt():
        made = twin.store.create(
            MACHINE_DEPLOYMENTS,
            {**body, "metadata": {"name": "burst", "namespace": FLEET}, "status": {}},
            datetime.now(UTC),
        )
        for name in ("spare-01", "spare-02"):
            capi.adopt(twin.store, made, name, datetime.now(UTC))

    twin.call(adopt)
    until(lambda: held(twin, MACHINE_DEPLOYMENTS, "burst", FLEET)["status"].get("readyReplicas"))


@pytest.fixture
def fixed(twin):
    """A static NodePool of one node."""
    room(twin, "spare-03")
    body = {"metadata": {"name": "fixed"}, "spec": {"replicas": 1, "template": {"spec": CLASS}}}

    def adopt():
        twin.store.create(NODE_POOLS, body, datetime.now(UTC))
        karpenter.adopt(twin.store, "fixed", "spare-03", datetime.now(UTC))

    twin.call(adopt)
    until(lambda: (held(twin, NODE_POOLS, "fixed").get("status") or {}).get("nodes") == 1)


def scales(twin) -> list[str]:
    return [m for m in twin.mutations() if "/scale" in m]


def test_the_named_empty_node_is_given_back_and_bought_again(
    twin, burst, armed, approved, operator
):
    plan = work(approved(plan_of(scale(BURST, 2, 1, leaves=["spare-01"]))))
    assert plan.state == "verified", plan.state_reason
    assert "spare-02" in nodes(twin) and "spare-01" not in nodes(twin)
    roll_back(plan.id, by=operator, reason="needed after all")
    assert work(plan).state == "rolled_back"
    machines = twin.call(twin.store.all, MACHINES)
    assert len(machines) == 2
    assert not any(capi.DELETE_KEY in (m["metadata"].get("annotations") or {}) for m in machines)
    assert scales(twin) == ["update machinedeployments/scale burst"] * 2


@pytest.mark.parametrize(("way", "where"), DEATHS)
def test_killed_at_any_boundary_a_machine_comes_and_goes_once(
    twin, burst, armed, approved, operator, monkeypatch, way, where
):
    before, plan = nodes(twin), approved(plan_of(scale(BURST, 2, 3)))
    plan = survive(monkeypatch, plan, where) if way == "there" else work(plan)
    assert plan.state == "verified", plan.state_reason
    assert len(nodes(twin)) == len(before) + 1
    roll_back(plan.id, by=operator, reason="dear")
    plan = survive(monkeypatch, plan, where) if way == "back" else work(plan)
    assert plan.state == "rolled_back", plan.state_reason
    assert nodes(twin) == before  # the one that came is the one that went
    assert scales(twin) == ["update machinedeployments/scale burst"] * 2


@pytest.mark.parametrize("number", [1, 2])
def test_killed_between_mark_and_scale_the_named_machine_goes(
    twin, burst, armed, approved, monkeypatch, number
):
    plan = approved(plan_of(scale(BURST, 2, 1, leaves=["spare-01"])))
    assert survive(monkeypatch, plan, "after the write", number).state == "verified"
    assert "spare-01" not in nodes(twin)
    assert twin.repeated() == {}


def test_a_static_pool_grows_and_shrinks(twin, fixed, armed, approved, operator):
    before = nodes(twin)
    plan = work(approved(plan_of(scale(STATIC, 1, 2))))
    assert plan.state == "verified", plan.state_reason
    assert len(nodes(twin)) == len(before) + 1
    roll_back(plan.id, by=operator, reason="dear")
    assert work(plan).state == "rolled_back"
    assert len(nodes(twin)) == len(before)


def test_a_node_in_use_is_never_given_back(twin, burst, armed, approved):
    from tests.infra_console.plans.targets import stateful_set
    from tiers.twin.kube.resources import STATEFUL_SETS

    stateful_set(twin, 16)  # eight GPUs on each
    until(lambda: held(twin, STATEFUL_SETS, "embed")["status"].get("readyReplicas") == 16)
    plan = work(approved(plan_of(scale(BURST, 2, 1, leaves=["spare-01"]))))
    assert (plan.state, twin.mutations()) == ("paused", [])
    assert "spare-01 still runs inference/embed-" in plan.state_reason


def test_without_capacity_the_plan_pauses_with_the_reason_and_its_fallback(
    twin, burst, armed, approved
):
    until_then = rfc3339(datetime.now(UTC) + timedelta(hours=1))
    notes = {NO_CAPACITY_KEY: until_then}
    twin.edit(MACHINE_DEPLOYMENTS, FLEET, "burst", {"metadata": {"annotations": notes}})
    grow = scale(BURST, 2, 3, fallback="take one node of training instead")
    plan = work(approved(plan_of(grow)))
    assert plan.state == "paused"
    assert "InsufficientCapacity: the cloud has no such machine" in plan.state_reason
    assert "fallback: take one node of training instead" in plan.state_reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"spec": {"replicas": 5}}, "has 5 machines, set by somebody else"),
        (
            {"metadata": {"annotations": {capi.DELETE_KEY: "x",
             "cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size": "9"}}},
            "owned by the cluster autoscaler",
        ),
    ],
)  # fmt: skip
def test_a_count_that_others_set_is_left(twin, burst, armed, approved, change, said):
    twin.edit(MACHINE_DEPLOYMENTS, FLEET, "burst", change)
    plan = work(approved(plan_of(scale(BURST, 2, 3))))
    assert said in plan.state_reason
    assert twin.mutations() == []


def test_unarmed_nothing_is_bought(twin, burst, approved):
    before = nodes(twin)
    assert work(approved(plan_of(scale(BURST, 2, 3)))).state == "rehearsed"
    assert (nodes(twin), twin.mutations()) == (before, [])


def test_drift_and_preview_of_machines(twin, burst, armed, approved):
    relied = (Precondition(target=BURST, facts={"replicas": 2, "autoscaled": False}),)
    plan = work(approved(plan_of(scale(BURST, 2, 3), preconditions=relied)))
    (back,) = objects_back(plan)
    assert (back.now, back.then) == ("3 machines, 3 of them ready", "2 machines")


# A node that is emptied


def kept(twin, name: str = NODE) -> dict[str, str]:
    notes = twin.node(name)["metadata"].get("annotations") or {}
    return {k: v for k, v in notes.items() if "do-not-disrupt" in k}


def protected(*steps):
    """The four steps of a node between the two that keep it from disruption."""
    first, *_ = steps
    keep = step("node.protect", first.target, tier="training")
    free = step("node.unprotect", first.target, wave=len(steps) + 1, tier="inference")
    moved = [s.model_copy(update={"wave": s.wave + 1}) for s in steps]
    return spec(moves=(node_move(),), steps=(keep, *moved, free), guards=())


def test_a_node_is_kept_while_it_moves_and_let_go_at_the_end_both_ways(
    twin, armed, approved, operator, monkeypatch
):
    seen, real = [], Drain.run
    monkeypatch.setattr(Drain, "run", lambda s, c: seen.append(kept(twin)) or real(s, c))
    plan = work(approved(protected(*node_steps())))
    assert plan.state == "verified", plan.state_reason
    assert seen[0] == {DISRUPT: "true", "infra-console.dev/do-not-disrupt": str(plan.id)}
    assert kept(twin) == {}
    seen.clear()
    roll_back(plan.id, by=operator, reason="slower")
    assert work(plan).state == "rolled_back", plan.state_reason
    assert seen[0][DISRUPT] == "true"
    assert kept(twin) == {}
    assert twin.node(NODE)["metadata"]["labels"][TIER_KEY] == "training"


@pytest.mark.parametrize("number", [1, 5])
def test_killed_after_a_mark_was_written_it_is_set_and_taken_off_once(
    twin, armed, approved, monkeypatch, number
):
    """Writes of a node without pods to evict: protect, cordon, assign, uncordon, unprotect."""
    steps = [s for s in node_steps() if s.kind != "node.drain"]
    plan = survive(monkeypatch, approved(protected(*steps)), "after the write", number)
    assert plan.state == "verified", plan.state_reason
    assert (kept(twin), twin.count(f"patch nodes {NODE}")) == ({}, 6)


def test_an_abort_lets_the_node_go(twin, armed, approved, operator, monkeypatch):
    plan = approved(protected(*node_steps()))
    with monkeypatch.context() as lunch:
        pausing_after(lunch, Drain, plan, operator)
        assert work(plan).state == "paused"
    assert kept(twin)
    services.abort_execution(plan.id, by=operator, reason="enough")
    work(plan)
    assert (kept(twin), bool(twin.node(NODE)["spec"].get("unschedulable"))) == ({}, False)


def test_somebody_elses_mark_stays(twin, armed, approved):
    twin.edit_node(NODE, metadata={"annotations": {DISRUPT: "true"}})
    assert work(approved(protected(*node_steps()))).state == "verified"
    assert kept(twin) == {DISRUPT: "true"}
