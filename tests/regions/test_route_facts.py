"""What of a route is ours to weigh, and whose its weights are."""

import pytest

from infra_console.cluster.routes import route_state
from infra_console.cluster.takeovers import allow_take_over
from infra_console.plans.services import resume_execution
from infra_console.plans.taking_back.rollback import roll_back
from regions.route_facts import regions_of, residency_of
from tests.infra_console.plans.targets import work
from tests.people import person
from tests.regions.test_route_step import HOME, SPLIT, plan_of, writes
from tiers.twin.kube.resources import HTTP_ROUTES


def state(*backends, rules=1, **notes):
    rule = {"backendRefs": [{"name": name, "weight": 1} for name in backends]}
    meta = {"name": "r", "namespace": "n", "annotations": notes}
    return route_state({"metadata": meta, "spec": {"rules": [rule] * rules}})


def test_a_backend_leads_to_the_longest_region_that_its_name_ends_with():
    regions = ("us", "east-us", "eu")
    found = regions_of(state("chat-east-us", "chat-eu", "us", "chat-mars"), regions)
    assert found == {"chat-east-us": "east-us", "chat-eu": "eu", "us": "us"}
    assert regions_of(state("a-eu", "b-eu"), regions) == {}


def test_a_route_of_several_rules_or_twins_has_no_weights_of_ours():
    assert state("chat-eu", rules=2).raw == {}
    assert state("chat-eu", "chat-eu").raw == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [("anywhere", "anywhere"), ("UK, EU", frozenset({"UK", "EU"})), ("", frozenset())],
)
def test_residency_is_what_the_route_says_and_nothing_where_it_does_not(text, said):
    assert residency_of(state("chat-eu", **{"infra-console.dev/residency": text})) == said


def own(fleet, manager="argocd-controller"):
    """As a GitOps agent leaves a route that it applied."""
    held = fleet.route("eastus")
    entry = {
        "manager": manager, "operation": "Apply", "apiVersion": "gateway.networking.k8s.io/v1",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:rules": {}}},
    }  # fmt: skip
    metadata = {**held["metadata"], "managedFields": [entry]}
    fleet.call(fleet.world.stores["eastus"].put, HTTP_ROUTES, {**held, "metadata": metadata})


def test_a_route_that_git_owns_is_named_and_left_until_an_admin_lets_it_be_taken(
    fleet, armed, approved, operator
):
    own(fleet)
    plan = work(approved(plan_of()))
    assert plan.state == "paused"
    assert "the weights of chat-7b is owned by argocd-controller" in plan.state_reason
    assert (fleet.weights("eastus"), writes(fleet)) == (HOME, [])
    leave = {"manager": "argocd-controller", "by": person("admin"), "reason": "agreed"}
    allow_take_over("eastus", "HTTPRoute", **leave)
    resume_execution(plan.id, by=operator)
    assert work(plan).state == "verified"
    assert fleet.weights("eastus") == SPLIT
    roll_back(plan.id, by=operator, reason="slower")
    assert work(plan).state == "rolled_back"
    assert fleet.weights("eastus") == HOME
    holders = {
        e["manager"]
        for e in fleet.route("eastus")["metadata"]["managedFields"]
        if "f:rules" in e["fieldsV1"].get("f:spec", {})
    }
    assert holders == {"argocd-controller"}
