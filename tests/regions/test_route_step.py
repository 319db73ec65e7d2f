"""One route's weights on served clusters: written once, held to their floors, put back exactly."""

import pytest
from django.utils import timezone

from infra_console.plans.looking.rollback_preview import objects_back
from infra_console.plans.models import Step
from infra_console.plans.spec import Lock, ObjectRef, Precondition, StepSpec
from infra_console.plans.taking_back.rollback import roll_back
from regions import liveness
from regions.models import Drain
from tests.infra_console.plans.specs import spec
from tests.infra_console.plans.targets import DEATHS, survive, work
from tests.regions import routed
from tests.regions.routed import MODEL, PLACES

HOME = {"eastus": 100, "westus2": 0, "uksouth": 0}
SPLIT = {"eastus": 70, "westus2": 30, "uksouth": 0}
CASE = {"to": {"eastus": 70, "westus2": 0, "uksouth": 30}, "into": {"eastus": 8.4, "uksouth": 3.6}}
OURS = "infra-console.dev/plan"


def named(weights):
    return {f"{MODEL}-{region}": weight for region, weight in weights.items()}


def params(to=SPLIT, into=None, without=None, was=HOME):
    cases = {lost: {**c, "to": named(c["to"])} for lost, c in (without or {}).items()}
    return {
        "model": MODEL, "regions": {f"{MODEL}-{r}": r for r in PLACES}, "from": named(was),
        "to": named(to), "into": into or {"eastus": 8.4, "westus2": 3.6}, "without": cases,
    }  # fmt: skip


def plan_of(origin="eastus", preconditions=(), **changes):
    target = ObjectRef(cluster=origin, kind="HTTPRoute", namespace="inference", name=MODEL)
    step = StepSpec(
        key=f"{origin}/inference/{MODEL}/route.weights", kind="route.weights", title="weigh",
        target=target, tier="inference", wave=0, params=params(**changes),
    )  # fmt: skip
    relied = tuple(Precondition(target=target, facts=facts) for facts in preconditions)
    return spec(
        domain="regions", moves=(), steps=(step,), guards=(), budgets=(), preconditions=relied,
        locks=(Lock(cluster=origin, tier="inference"),),
    )  # fmt: skip


def writes(fleet):
    return [
        r for r in list(fleet.log.recent)
        if r.resource == "httproutes" and r.verb == "patch" and r.code < 300 and not r.dry_run
    ]  # fmt: skip


@pytest.mark.parametrize(("way", "where"), DEATHS)
def test_killed_at_any_boundary_weights_are_written_and_put_back_once(
    fleet, armed, approved, operator, monkeypatch, way, where
):
    plan = approved(plan_of())
    plan = survive(monkeypatch, plan, where) if way == "there" else work(plan)
    assert plan.state == "verified", plan.state_reason
    assert fleet.weights("eastus") == SPLIT
    assert fleet.route("eastus")["metadata"]["annotations"][OURS] == str(plan.id)
    (back,) = objects_back(plan)
    assert "eastus 70" in back.now and "eastus 100" in back.then
    roll_back(plan.id, by=operator, reason="slower")
    plan = survive(monkeypatch, plan, where) if way == "back" else work(plan)
    assert plan.state == "rolled_back", plan.state_reason
    assert fleet.weights("eastus") == HOME
    assert OURS not in fleet.route("eastus")["metadata"]["annotations"]
    assert len(writes(fleet)) == 2


def test_unarmed_the_server_checks_and_keeps_nothing(fleet, approved):
    assert work(approved(plan_of())).state == "rehearsed"
    assert (fleet.weights("eastus"), writes(fleet)) == (HOME, [])


def test_more_than_a_region_has_room_for_pauses(fleet, armed, approved):
    routed.ROOM["westus2"] = 3.0
    plan = work(approved(plan_of()))
    assert plan.state == "paused"
    assert "westus2 would get 3.6 requests/s and has room for 3.0" in plan.state_reason
    assert writes(fleet) == []


def test_an_unknown_room_waits_and_writes_nothing(fleet, armed, approved):
    routed.ROOM["westus2"] = None
    plan = work(approved(plan_of()), turns=1)
    assert plan.state == "executing"
    assert "room of westus2 is unknown" in Step.objects.get(plan=plan).detail
    assert writes(fleet) == []


def test_a_drained_region_is_given_nothing_more(fleet, armed, approved):
    Drain.objects.create(region="westus2", by="ann", at=timezone.now(), reason="works")
    assert "westus2 was drained" in work(approved(plan_of())).state_reason


def test_a_route_whose_law_does_not_allow_it_fails(fleet, armed, approved):
    fleet.annotate("eastus", residency="UK")
    plan = work(approved(plan_of()))
    assert plan.state == "failed"
    assert "does not let eastus, westus2 serve it" in plan.state_reason


def test_weights_that_somebody_set_meanwhile_void_the_plan(fleet, armed, approved):
    plan = approved(plan_of(preconditions=({"weights": named(HOME)},)))
    fleet.weigh("eastus", {"eastus": 50, "westus2": 50, "uksouth": 0})
    assert work(plan).state == "void"


def test_a_lost_region_gets_the_weights_that_were_approved_for_its_loss(fleet, armed, approved):
    plan = approved(plan_of(without={"westus2": CASE}))
    fleet.lose("westus2")
    plan = work(plan)
    assert plan.state == "verified", plan.state_reason
    assert fleet.weights("eastus") == CASE["to"]
    assert "westus2 is lost and gets nothing" in Step.objects.get(plan=plan).detail


def test_without_weights_for_the_loss_the_plan_pauses(fleet, armed, approved):
    fleet.lose("westus2")
    plan = work(approved(plan_of()))
    assert plan.state == "paused"
    assert "westus2 is lost and the plan has no weights for that" in plan.state_reason


def test_the_route_of_a_lost_region_is_left_as_it_stands(fleet, armed, approved):
    plan = approved(plan_of(origin="westus2", was={"eastus": 0, "westus2": 100, "uksouth": 0}))
    fleet.lose("westus2")
    plan = work(plan)
    assert plan.state == "verified", plan.state_reason
    assert Step.objects.get(plan=plan).state == "skipped"


def test_where_api_and_metrics_disagree_nothing_is_decided(fleet, armed, approved, monkeypatch):
    class Seen:
        id, state = "westus2", "live"

    monkeypatch.setattr(liveness, "region_states", lambda: [Seen])
    fleet.lose("westus2")
    plan = work(approved(plan_of(without={"westus2": CASE})), turns=1)
    assert plan.state == "executing"
    assert "is silent and its metrics are not" in Step.objects.get(plan=plan).detail
