"""The role for routes grants what their steps use, and the policy lets a whole plan pass."""

from infra_console.plans.taking_back.rollback import roll_back
from tests.deploy.test_manifests import found, granted
from tests.infra_console.plans.targets import work
from tests.regions.conftest import (
    approved,
    approver,
    armed,
    fleet,
    named_fleet,
    operator,
    tls,
    users,
)
from tests.regions.test_route_step import HOME, SPLIT, plan_of

__all__ = ["approved", "approver", "armed", "fleet", "named_fleet", "operator", "tls", "users"]


def test_routes_are_weighed_with_their_role_under_the_policy(
    fleet, armed, approved, operator, reviews
):
    plan = work(approved(plan_of()))
    assert plan.state == "verified", plan.state_reason
    assert fleet.weights("eastus") == SPLIT
    roll_back(plan.id, by=operator, reason="slower")
    assert work(plan).state == "rolled_back"
    assert fleet.weights("eastus") == HOME
    used = {(r.resource, r.verb) for r in list(fleet.log.recent) if r.resource == "httproutes"}
    assert used == granted(found("ClusterRole", "infra-console-routes"))
    assert any(r.resource == "httproutes" for r in reviews)
