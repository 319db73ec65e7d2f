"""A whole plan of ours on Kueue: training shrunk by quota with a named victim, and the way back.

It runs on the twin, and with `-m cluster` on a real API server with Kueue: own namespace, nodes and
queue, the ownership Lease in that namespace. Nothing measures that cluster, so the plan ends
verified with metrics unknown. The queue and the nodes' labels belong to whoever made them, so an
admin takes them over first, and the way back hands them back.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from infra_console.cluster.client import close_clients
from infra_console.cluster.managers import other_owners
from infra_console.cluster.takeovers import allow_take_over
from infra_console.fleet.models import Cluster as FleetCluster
from infra_console.fleet.models import FleetSetting, Region
from infra_console.plans import services
from infra_console.plans.executing import executor
from infra_console.plans.facts.kueue_facts import quota_fact
from infra_console.plans.models import Execution, Plan, Step
from infra_console.plans.spec import (
    Budget,
    Guard,
    Lock,
    Move,
    ObjectRef,
    PlanSpec,
    Precondition,
    StepSpec,
)
from infra_console.plans.steps import drain, gangs, kueue, kueue_victims
from infra_console.plans.taking_back.rollback import roll_back
from tests.contract import objects
from tests.contract.clusters import Cluster
from tests.contract.kinds import CLUSTER_QUEUE, FLAVOR, JOB, LOCAL_QUEUE, NODE, POD, WORKLOAD
from tests.contract.kube import Kube, is_true, until
from tests.infra_console.conftest import DOCUMENT
from tests.infra_console.plans import killing
from tests.infra_console.plans.specs import evidence
from tests.people import person

pytestmark = [pytest.mark.needs("kueue", "kueue-jobs"), pytest.mark.django_db]
GPU, TIER_KEY = objects.GPU, objects.TIER_KEY
CONSOLE = "contract"  # this cluster's name in the console's fleet
MADE_BY = "seed"
NODE_STEPS = ("node.cordon", "node.drain", "node.assign_tier", "node.uncordon")


@dataclass
class Training:
    """Two nodes of eight GPUs, a queue of sixteen, and a gang on each node."""

    cluster: Cluster
    kube: Kube
    space: str
    queue: str
    flavor: str
    nodes: list[str]

    def workload(self, job: str) -> dict[str, Any]:
        uid = self.kube.get(JOB, self.space, job)["metadata"]["uid"]
        for held in self.kube.items(WORKLOAD, self.space):
            if uid in {o["uid"] for o in held["metadata"].get("ownerReferences") or ()}:
                return held
        return {}

    def admitted(self, job: str) -> bool:
        return is_true(self.workload(job), "Admitted")

    def pods(self, job: str) -> list[dict[str, Any]]:
        return self.kube.items(POD, self.space, labelSelector=f"app={job}")

    def node_of(self, job: str) -> str:
        """Where it runs; where nobody makes pods, any of the nodes."""
        bound = [p["spec"].get("nodeName") for p in self.pods(job)]
        return next(filter(None, bound), self.nodes[-1])

    def quota(self) -> Any:
        spec = self.kube.get(CLUSTER_QUEUE, "", self.queue)["spec"]
        return spec["resourceGroups"][0]["flavors"][0]["resources"][0]["nominalQuota"]

    def tier(self, node: str) -> tuple[Any, list[Any], bool]:
        held = self.kube.get(NODE, "", node)
        taints = [t["value"] for t in held["spec"].get("taints") or () if t["key"] == TIER_KEY]
        closed = bool(held["spec"].get("unschedulable"))
        return held["metadata"]["labels"].get(TIER_KEY), taints, closed

    def owners(self, node: str) -> set[str]:
        """Who else owns what the plan writes: the queue's list, the node's label."""
        queue = self.kube.get(CLUSTER_QUEUE, "", self.queue)
        label = ("metadata", "labels", TIER_KEY)
        held = self.kube.get(NODE, "", node)
        both = (*other_owners(queue, ("spec", "resourceGroups")), *other_owners(held, label))
        return {m.name for m in both}


@pytest.fixture
def training(cluster, kube, space, unique, make_node, make_custom) -> Training:
    tier = {"key": TIER_KEY, "value": "training", "effect": "NoSchedule"}
    nodes = [make_node(labels={TIER_KEY: "training"}, taints=[tier]) for _ in range(2)]
    flavor, queue = unique("flavor"), unique("research")
    make_custom(FLAVOR, objects.flavor(flavor, labels={objects.SPACE_KEY: space}))
    body = objects.cluster_queue(queue, {flavor: 16})
    make_custom(CLUSTER_QUEUE, body, fieldManager=MADE_BY)
    kube.create(LOCAL_QUEUE, space, objects.local_queue("research", queue))
    made = Training(cluster, kube, space, queue, flavor, nodes)
    tolerates = {"tolerations": [{"key": TIER_KEY, "operator": "Exists"}]}
    for name in ("stays", "leaves"):
        job = objects.job(name, space, queue="research", suspend=True, gpus=8, **tolerates)
        kube.create(JOB, space, job)
        until(lambda n=name: made.admitted(n), f"{name} is admitted", within_s=cluster.wait_s)
    if not cluster.lacks("jobs"):
        until(
            lambda: (
                all(p["spec"].get("nodeName") for n in ("stays", "leaves") for p in made.pods(n))
                and made.pods("leaves")
            ),
            "the gangs run",
            within_s=cluster.wait_s,
        )
    return made


@pytest.fixture
def console(cluster: Cluster, space: str, settings, monkeypatch) -> Iterator[None]:
    """This cluster as the one of the console's fleet, armed, its Lease in our namespace."""
    if cluster.is_twin:
        for kind in (kueue, kueue_victims, gangs, drain):
            monkeypatch.setattr(kind, "DRAIN_POLL_S" if kind is drain else "POLL_S", 0.1)
    settings.KUBECONFIG, context = cluster.kubeconfig()
    settings.OWNERSHIP_NAMESPACE = space
    place = {"latitude": 37.4, "longitude": -79.8, "jurisdiction": "US"}
    region = Region.objects.create(id=CONSOLE, place="Virginia", **place)
    FleetCluster.objects.create(id=CONSOLE, context=context, region=region)
    FleetSetting.objects.create(id=1, document=DOCUMENT)
    operator = person("operator")
    for tier in ("inference", "training"):
        services.arm(CONSOLE, tier, by=operator, hours=1)
    yield
    close_clients()


def ref(kind: str, name: str, space: str = "") -> ObjectRef:
    return ObjectRef(cluster=CONSOLE, kind=kind, namespace=space, name=name)


def step(kind: str, target: ObjectRef, tier: str, wave: int, **params: Any) -> StepSpec:
    return StepSpec(
        key="/".join(filter(None, (CONSOLE, target.namespace, target.name, kind))),
        kind=kind,
        title=f"{kind} {target.name}",
        target=target,
        tier=tier,
        wave=wave,
        params=params,
    )


def the_plan(training: Training, name: str) -> PlanSpec:
    held = training.workload("leaves")["metadata"]
    victim = ref("Workload", held["name"], training.space)
    queue, machine = ref("ClusterQueue", training.queue), ref("Node", name)
    uid = training.kube.get(NODE, "", name)["metadata"]["uid"]
    quota = {"flavor": training.flavor, "resource": GPU, "from": 16, "to": 8}
    labels = {"key": TIER_KEY, "from": "training", "uid": uid}
    asked = {"uid": held["uid"], "grace_s": 2.0}
    steps = [
        step("kueue.signal", victim, "training", 0, **asked),
        step("kueue.set_quota", queue, "training", 1, **quota),
        step("kueue.deactivate", victim, "training", 1, **asked),
        step("node.cordon", machine, "training", 2, **labels),
        step(
            "node.drain",
            machine,
            "training",
            3,
            **labels,
            victims=[f"{training.space}/{held['name']}"],
        ),
        step("node.assign_tier", machine, "inference", 4, **labels, to="inference"),
        step("node.uncordon", machine, "inference", 5),
    ]
    moves = (
        Move(kind="node", target=machine, from_tier="training", to_tier="inference", gpus=8,
             reason="inference needs a node"),
        Move(kind="scale", target=queue, pool=training.flavor, workload="training",
             from_replicas=16, to_replicas=8, gpus=-8, evicts=(f"{training.space}/leaves",),
             reason="inference needs a node"),
    )  # fmt: skip
    facts = {quota_fact(training.flavor, GPU): 16}
    return PlanSpec(
        schema="plan/1",
        domain="tiers",
        title="1 node training → inference",
        summary="Inference needs a node.",
        moves=moves,
        steps=tuple(steps),
        locks=tuple(Lock(cluster=CONSOLE, tier=t) for t in ("inference", "training")),
        guards=(Guard(cluster=CONSOLE, tier="training", min_ready_gpus=8),),
        budgets=(Budget(cluster=CONSOLE, max_nodes=1),),
        promises=(),
        preconditions=(
            Precondition(target=queue, facts=facts),
            Precondition(target=victim, facts={"uid": held["uid"], "active": True}),
        ),
        evidence=evidence(),
        gain_usd=100.0,
    )


def approve(spec: PlanSpec) -> Plan:
    plan = services.propose_plan(spec, authors=["planner"])
    by = person("approver")
    return services.approve_plan(plan.id, by=by, plan_hash=plan.hash, reason="fits")


def work(plan: Plan, turns: int = 20) -> Plan:
    for _ in range(turns):
        executor.execute(plan.id)
        plan.refresh_from_db()
        if plan.state not in executor.ACTIVE:
            break
        Execution.objects.filter(plan=plan).update(not_before=None)
    return plan


@pytest.mark.parametrize("dies", [False, True], ids=["undisturbed", "killed after each write"])
def test_training_shrinks_by_quota_with_a_named_victim_and_all_comes_back(
    training, console, monkeypatch, dies
):
    name = training.node_of("leaves")
    before, owners = training.tier(name), training.owners(name)
    admin = person("admin")
    for manager in owners:
        for kind in ("ClusterQueue", "Node"):
            allow_take_over(CONSOLE, kind, manager=manager, by=admin, reason="its maker is us")
    died = killing.after_each_write(monkeypatch) if dies else []
    carry_out = killing.survive if dies else work
    plan = carry_out(approve(the_plan(training, name)))
    assert plan.state == "verified", plan.state_reason
    assert "metrics are unknown" in plan.state_reason
    assert str(training.quota()) == "8"
    assert not training.admitted("leaves")
    assert training.admitted("stays")
    assert training.tier(name) == ("inference", ["inference"], False)
    assert training.owners(name) == set()
    roll_back(plan.id, by=admin, reason="slower than promised")
    plan.refresh_from_db()
    plan = carry_out(plan)
    assert plan.state == "rolled_back", plan.state_reason
    assert training.tier(name) == before
    assert str(training.quota()) == "16"
    assert training.owners(name) == owners
    assert {s.state for s in Step.objects.filter(plan=plan, back=True)} == {"done"}
    assert not dies or len(died) >= 11
    within_s = training.cluster.wait_s
    until(lambda: training.admitted("leaves"), "the victim is admitted again", within_s=within_s)


def test_without_leave_the_queue_of_somebody_else_is_left_and_its_owner_named(training, console):
    whole = the_plan(training, training.node_of("leaves"))
    lower = [s for s in whole.steps if s.kind == "kueue.set_quota"]
    plan = work(approve(whole.model_copy(update={"steps": tuple(lower), "preconditions": ()})))
    assert plan.state == "paused"
    assert f"is owned by {MADE_BY}" in plan.state_reason
    assert str(training.quota()) == "16"
