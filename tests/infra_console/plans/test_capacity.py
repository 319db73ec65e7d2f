"""Machines bought or given back because a person asked for it."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from infra_console.cluster.objects import NodeState
from infra_console.fleet.config import PoolConfig
from infra_console.plans import services
from infra_console.plans.capacity import usd_per_hour_of
from infra_console.plans.models import Plan
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.invariants.test_real_runs import judge, nodes_file
from tests.infra_console.plans.steps.test_machines import burst, nodes
from tests.infra_console.plans.targets import stateful_set, until, work
from tests.people import person

__all__ = ["burst", "judge", "nodes_file"]


def ask(*words: str) -> str:
    out = StringIO()
    call_command("capacity", CLUSTER, "MachineDeployment", "fleet/burst", *words, stdout=out)
    return out.getvalue()


@pytest.fixture
def planner(db):
    return person("planner", name="ada")


def test_a_node_is_emptied_given_back_and_the_plan_says_that_this_stops_paying(
    twin, burst, armed, approver, planner, judge
):
    stateful_set(twin, 2)  # one pod may run on the node that goes
    until(lambda: sum(p["metadata"]["name"].startswith("embed-") for p in twin.pods()) == 2)
    said = ask("--to", "1", "--leave", "spare-01", "--tier", "inference", "--as", "ada")
    assert "burst in eastus stops paying for 1 machine" in said
    plan = Plan.objects.get()
    assert plan.authors == ["ada"]
    assert [s.kind for s in plan.spec.steps] == ["node.cordon", "node.drain", "machines.scale"]
    services.approve_plan(plan.id, by=approver, plan_hash=plan.hash, reason="idle")
    assert work(plan).state == "verified", plan.state_reason
    assert "spare-01" not in nodes(twin)
    assert judge()["ok"] is True


def test_machines_are_bought_with_a_fallback(twin, burst, planner):
    ask("--to", "3", "--tier", "inference", "--fallback", "use training", "--as", "ada")
    (step,) = Plan.objects.get().spec.steps
    assert (step.params["from"], step.params["to"]) == (2, 3)
    assert step.params["fallback"] == "use training"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--to", "2"), "has 2 machines already"),
        (("--to", "1"), "1 nodes are to go, and 0 are named"),
        (("--to", "1", "--leave", "nowhere"), "nowhere"),
    ],
)
def test_a_wish_that_cannot_be_carried_out_is_no_plan(twin, burst, planner, words, said):
    with pytest.raises(CommandError, match=said):
        ask(*words, "--tier", "inference", "--as", "ada")
    assert not Plan.objects.exists()


def test_who_may_not_propose_is_told(named_cluster):
    person("viewer", name="vic")
    with pytest.raises(CommandError):
        ask("--to", "3", "--tier", "inference", "--as", "vic")


@pytest.mark.parametrize(("price", "said"), [(2.5, -20.0), (None, None)])
def test_what_stops_is_priced_where_the_fleet_file_has_a_price_else_unknown(price, said):
    node = NodeState(
        name="spare-01", uid="u", labels={"pool": "burst"}, annotations={}, taints=(),
        unschedulable=False, ready=True, gpus_capacity=8, gpus_allocatable=8, resource_version="1",
    )  # fmt: skip
    pool = PoolConfig(
        id="burst", cluster=CLUSTER, gpu_type="H100", purchase="on_demand",
        usd_per_gpu_hour=price, gpu_memory_gib=80, selector={"pool": "burst"},
    )  # fmt: skip
    assert usd_per_hour_of([node], CLUSTER, [pool]) == said
