"""The admission policies hold the executor to its own keys, and let pass whatever plans write."""

import copy
from typing import Any

import pytest

from infra_console.plans.spec import ObjectRef
from infra_console.plans.taking_back.rollback import roll_back
from tests.deploy.admission import Broken, Review, Variables, concerns, policies, refusals
from tests.infra_console.conftest import named_cluster, tls, twin
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.conftest import _short_waits, approved, approver, armed, operator
from tests.infra_console.plans.specs import KINDS, NODE, node_move, node_steps, spec
from tests.infra_console.plans.steps.test_machines import BURST, burst
from tests.infra_console.plans.targets import plan_of, step, work

__all__ = [
    "_short_waits", "approved", "approver", "armed", "burst", "named_cluster", "operator", "tls",
    "twin",
]  # fmt: skip

OURS, TIER, KARPENTER = "infra-console.dev/plan", "infra-console.dev/tier", "karpenter.sh/"
MANAGED, DISRUPT = "infra-console.dev/managed", KARPENTER + "do-not-disrupt"
COST = "controller.kubernetes.io/pod-deletion-cost"


def node(labels: Any = (), notes: Any = (), **fields: Any) -> dict[str, Any]:
    """An opted-in node of the training tier."""
    held = {MANAGED: "true", TIER: "training", "kubernetes.io/hostname": "gpu-1", **dict(labels)}
    meta = {"name": "gpu-1", "labels": {k: v for k, v in held.items() if v is not None}}
    if notes:
        meta["annotations"] = dict(notes)
    return {"metadata": meta | fields.pop("metadata", {}), "spec": {"providerID": "p", **fields}}


def taint(key: str) -> dict[str, str]:
    return {"key": key, "value": "x", "effect": "NoSchedule"}


def of_node(old: dict[str, Any], new: dict[str, Any], **more: Any) -> list[str]:
    return refusals(Review("", "v1", "nodes", old, new, **more))


MARKED = {OURS: "plan-1"}
FINE = {
    "its tier's label": (node(), node({TIER: "inference"})),
    "the first label of a tier": (node({TIER: None}), node()),
    "its annotations": (node(), node(notes={OURS: "p", "infra-console.dev/epoch": "1"})),
    "its taint beside others": (node(taints=[taint("x")]), node(taints=[taint("x"), taint(TIER)])),
    "a cordon under its mark": (node(), node(notes=MARKED, unschedulable=True)),
    "lifting its own cordon": (node(notes=MARKED, unschedulable=True), node()),
    "keeping from disruption": (
        node(),
        node(notes={DISRUPT: "true", "infra-console.dev/do-not-disrupt": "p"}),
    ),
}
REFUSED = {
    "another's label": (node(), node({"team": "x"}), "infra-console may change, not team"),
    "a label that goes": (node({"team": "x"}), node(), "infra-console may change, not team"),
    "opting in": (node({MANAGED: None}), node(), "not opted in"),
    "opting out": (node(), node({MANAGED: None}), f"not {MANAGED}"),
    "a node not opted in": (
        node({MANAGED: None}),
        node({MANAGED: None, TIER: "inference"}),
        "this node is not opted in",
    ),
    "one opted out by its value": (
        node({MANAGED: "false"}),
        node({MANAGED: "false", TIER: "inference"}),
        "this node is not opted in",
    ),
    "another's annotation": (node(), node(notes={"team/x": "1", "a": "b"}), "not "),
    "another's annotation changed": (node(notes={"a": "b"}), node(notes={"a": "c"}), "not a"),
    "another's taint": (node(), node(taints=[taint("gpu-broken")]), "only one that infra-console"),
    "a taint lifted": (node(taints=[taint("gpu-broken")]), node(), "only one that infra-console"),
    "a cordon without a mark": (node(), node(unschedulable=True), "cordons under its mark"),
    "another's cordon lifted": (node(unschedulable=True), node(), "lifts no cordon but its own"),
    "another's cordon marked": (
        node(unschedulable=True),
        node(notes=MARKED, unschedulable=True),
        "somebody else has closed",
    ),
    "another's disruption mark": (node(notes={DISRUPT: "true"}), node(), "frees no node but"),
    "disruption without our mark": (node(), node(notes={DISRUPT: "true"}), "under its mark"),
    "a finalizer": (node(), node(metadata={"finalizers": ["x/y"]}), "finalizers and owners"),
    "its machine": (node(), node(providerID="q"), "the rest of a node"),
}  # fmt: skip


@pytest.mark.parametrize("case", FINE)
def test_our_identity_may_write_what_is_its_own_on_an_opted_in_node(case):
    assert of_node(*FINE[case]) == []


@pytest.mark.parametrize("case", REFUSED)
def test_our_identity_is_refused_what_is_not_its_own_with_a_word_that_says_what(case):
    old, new, words = REFUSED[case]
    said = of_node(old, new)
    assert said and words in said[0]


@pytest.mark.parametrize("case", REFUSED)
def test_nobody_else_is_concerned(case):
    old, new, _ = REFUSED[case]
    for user in ("system:serviceaccount:infra-console:reader", "kubernetes-admin"):
        assert of_node(old, new, user=user) == []


def test_status_and_other_operations_are_not_concerned():
    old, new, _ = REFUSED["another's label"]
    assert refusals(Review("", "v1", "nodes/status", old, new)) == []
    assert of_node(old, new, operation="DELETE") == []


def test_what_cannot_be_evaluated_is_refused():
    bare = {"metadata": {"name": "gpu-1", "labels": {MANAGED: "true"}}}
    assert of_node(bare, bare)  # a node without a spec
    with pytest.raises(Broken):
        Variables({}, {"object": {}}).value("object.metadata.name == 'x'")


def test_every_expression_compiles_and_every_message_is_one_line():
    for policy in policies():
        for rule in policy["validations"]:
            assert "\n" not in rule["message"] and len(rule["message"]) < 200
            if "messageExpression" in rule:
                old = {"metadata": {"name": "x", "annotations": {"theirs": "1"}}, "spec": {}}
                new = {"metadata": {"name": "x", "labels": {"theirs": "2"}}, "spec": {}}
                values = Variables(
                    {v["name"]: v["expression"] for v in policy["variables"]},
                    Review("", "v1", "x", old, new).given(),
                )
                assert values.value(rule["messageExpression"]).endswith("not theirs")


META = {"name": "x", "namespace": "inference"}
HPA = {"metadata": META, "spec": {"scaleTargetRef": {"name": "x"}, "maxReplicas": 3}}
QUOTA_SPEC = {"hard": {"requests.nvidia.com/gpu": "8", "pods": "5"}}
QUOTA = {"metadata": META, "spec": QUOTA_SPEC}
POOL = {"metadata": {"name": "x"}, "spec": {"template": {}, "limits": {"cpu": "9"}}}
RESOURCE = {"name": "nvidia.com/gpu", "nominalQuota": "8"}
GROUP = {
    "coveredResources": ["nvidia.com/gpu"],
    "flavors": [{"name": "h100", "resources": [RESOURCE]}],
}
QUEUE = {
    "metadata": {"name": "x", "labels": {MANAGED: "true"}},
    "spec": {"resourceGroups": [GROUP], "cohortName": "all"},
}
LIMIT = "spec/resourceGroups/0/flavors/0/resources/0/"
WORKLOAD = {"metadata": META, "spec": {"active": True, "queueName": "main", "podSets": []}}
POD = {"metadata": META, "spec": {"nodeName": "gpu-1"}}
MACHINE = {"metadata": META, "spec": {"clusterName": "c"}}
SCALED = {"metadata": META, "spec": {"replicas": 3, "template": {}}}
SETS = ("deployments", "statefulsets", "leaderworkersets")
REF = {"name": "chat-east", "port": 8000, "weight": 1}
ROUTE = {
    "metadata": META | {"labels": {"infra-console.dev/model": "chat"}},
    "spec": {"parentRefs": [{"name": "g"}], "rules": [{"backendRefs": [REF]}]},
}
WEIGH = "spec/rules/0/backendRefs/0/"
KIND = {
    "httproutes": ("gateway.networking.k8s.io", "v1", ROUTE),
    "horizontalpodautoscalers": ("autoscaling", "v2", HPA),
    "scaledobjects": ("keda.sh", "v1alpha1", HPA),
    "resourcequotas": ("", "v1", QUOTA),
    "nodepools": ("karpenter.sh", "v1", POOL),
    "clusterqueues": ("kueue.x-k8s.io", "v1beta2", QUEUE),
    "workloads": ("kueue.x-k8s.io", "v1beta2", WORKLOAD),
    "pods": ("", "v1", POD),
    "machines": ("cluster.x-k8s.io", "v1beta2", MACHINE),
    "deployments": ("apps", "v1", SCALED),
    "statefulsets": ("apps", "v1", SCALED),
    "leaderworkersets": ("leaderworkerset.x-k8s.io", "v1", SCALED),
}
ALLOWED = [
    ("httproutes", WEIGH + "weight", 7),
    ("httproutes", "metadata/annotations", MARKED),
    ("horizontalpodautoscalers", "spec/maxReplicas", 9),
    ("horizontalpodautoscalers", "spec/minReplicas", 2),
    ("scaledobjects", "spec/maxReplicaCount", 9),
    ("resourcequotas", "spec/hard/requests.nvidia.com~gpu", "16"),
    ("nodepools", "spec/limits/nvidia.com~gpu", "16"),
    ("clusterqueues", LIMIT + "nominalQuota", "4"),
    ("workloads", "metadata/annotations", {"infra-console.dev/epoch": "1"}),
    ("pods", "metadata/annotations", {COST: "-1", "infra-console.dev/checkpoint-before": ""}),
    ("machines", "metadata/annotations", {"cluster.x-k8s.io/delete-machine": "plan"}),
    *((kind, "metadata/managedFields", [{"manager": "argocd"}]) for kind in SETS),
]
DENIED = [
    ("httproutes", WEIGH + "name", "chat-west"),
    ("httproutes", WEIGH + "namespace", "other"),
    ("httproutes", WEIGH + "weight", 0),
    ("httproutes", "spec/rules/0/matches", []),
    ("httproutes", "spec/hostnames", ["x"]),
    ("httproutes", "metadata/annotations", {"infra-console.dev/residency": "anywhere"}),
    ("horizontalpodautoscalers", "spec/metrics", []),
    ("horizontalpodautoscalers", "spec/scaleTargetRef/name", "other"),
    ("scaledobjects", "spec/triggers", []),
    ("resourcequotas", "spec/hard/pods", "50"),
    ("resourcequotas", "spec/hard/requests.cpu", "50"),
    ("resourcequotas", "spec/scopes", ["Terminating"]),
    ("nodepools", "spec/limits/cpu", "900"),
    ("nodepools", "spec/replicas", 3),
    ("clusterqueues", LIMIT + "borrowingLimit", "4"),
    ("clusterqueues", "spec/resourceGroups/0/flavors", []),
    ("clusterqueues", "spec/cohortName", "other"),
    ("clusterqueues", f"metadata/labels/{MANAGED.replace('/', '~')}", "false"),
    ("workloads", "spec/active", False),
    ("workloads", "spec/queueName", "other"),
    ("pods", "spec/nodeName", "gpu-2"),
    ("machines", "spec/clusterName", "other"),
    *((kind, "spec/replicas", 9) for kind in SETS),
    *((kind, "spec/template", {"spec": {}}) for kind in SETS),
    *((kind, "metadata/annotations", MARKED) for kind in SETS),
    *((kind, "metadata/labels/x", "y") for kind in KIND),
    *((kind, "metadata/annotations", {"theirs": "y"}) for kind in KIND),
    *((kind, "metadata/finalizers", ["x/y"]) for kind in KIND),
]


def of_kind(kind: str, path: str, value: Any) -> list[str]:
    group, version, old = KIND[kind]
    parts = [part.replace("~", "/") for part in path.split("/")]
    new = copy.deepcopy(old)
    place: Any = new
    for part in parts[:-1]:
        place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
    place[parts[-1]] = value
    return refusals(Review(group, version, kind, old, new))


@pytest.mark.parametrize(("kind", "path", "value"), ALLOWED)
def test_the_one_field_that_plans_change_may_be_written(kind, path, value):
    assert of_kind(kind, path, value) == []


@pytest.mark.parametrize(("kind", "path", "value"), DENIED)
def test_no_other_field_may_be_written(kind, path, value):
    assert len(of_kind(kind, path, value)) == 1


def test_a_workload_is_stopped_under_our_mark_and_no_other_is_started():
    def write(old: tuple[bool, dict[str, str]], new: tuple[bool, dict[str, str]]) -> list[str]:
        both = [
            {"metadata": META | {"annotations": notes}, "spec": {"active": active}}
            for active, notes in (old, new)
        ]
        return refusals(Review("kueue.x-k8s.io", "v1beta2", "workloads", both[0], both[1]))

    assert write((True, {}), (False, MARKED)) == []
    assert write((False, MARKED), (True, {})) == []
    assert "only what it deactivated" in write((False, {}), (True, {}))[0]
    assert "somebody else has stopped" in write((False, {}), (False, MARKED))[0]


def test_a_node_that_changes_tier_under_protection_and_goes_back_is_let_through(
    twin, armed, approved, operator, reviews
):
    at = ObjectRef(cluster=CLUSTER, kind="Node", name=NODE)
    first = step("node.protect", at, tier="training")
    last = step("node.unprotect", at, wave=len(KINDS) + 1)
    moving = [s.model_copy(update={"wave": s.wave + 1}) for s in node_steps()]
    plan = work(approved(spec(moves=(node_move(),), steps=(first, *moving, last), guards=())))
    assert plan.state == "verified", plan.state_reason
    roll_back(plan.id, by=operator, reason="slower")
    assert work(plan, turns=20).state == "rolled_back"
    writes = [r for r in reviews if r.resource == "nodes"]
    assert len(writes) >= 8
    assert {r.new["spec"].get("unschedulable", False) for r in writes} == {True, False}
    assert {DISRUPT in r.new["metadata"].get("annotations", {}) for r in writes} == {True, False}


def test_a_named_machine_is_let_go_and_bought_again(
    twin, burst, armed, approved, operator, reviews
):
    params = {"from": 2, "to": 1, "leaves": ["spare-01"]}
    plan = work(approved(plan_of(step("machines.scale", BURST, **params))))
    assert plan.state == "verified", plan.state_reason
    roll_back(plan.id, by=operator, reason="needed")
    assert work(plan).state == "rolled_back"
    assert any(r.resource == "machines" for r in reviews)


def test_a_cluster_that_did_not_opt_a_node_in_refuses_the_plan_there(twin, armed, approved):
    labels = twin.node(NODE)["metadata"]["labels"]
    twin.edit_node(NODE, metadata={"labels": {k: v for k, v in labels.items() if k != MANAGED}})
    plan = work(approved(spec(guards=())))
    assert plan.state == "paused" and "not opted in" in plan.state_reason
    assert not twin.node(NODE)["spec"].get("unschedulable")


def test_every_kind_that_a_policy_names_is_one_that_it_is_asked_about():
    for policy in policies():
        (rule,) = policy["matchConstraints"]["resourceRules"]
        group, version, item = rule["apiGroups"][0], rule["apiVersions"][0], {"metadata": META}
        (resource,) = rule["resources"]
        assert concerns(policy, Review(group, version, resource, item, item))
