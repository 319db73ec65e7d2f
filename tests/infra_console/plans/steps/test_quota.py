"""Limits of GPUs on a served cluster: a namespace's quota, a NodePool's limit."""

from datetime import UTC, datetime
from decimal import InvalidOperation

import pytest

from infra_console.cluster.caps import whole
from infra_console.plans.looking.rollback_preview import objects_back
from infra_console.plans.spec import Precondition
from infra_console.plans.taking_back.rollback import roll_back
from tests.infra_console.plans.targets import (
    DEATHS,
    SPACE,
    add,
    handed_over,
    held,
    plan_of,
    ref,
    step,
    survive,
    until,
    work,
)
from tiers.twin.controllers import gitops
from tiers.twin.kube.resources import NODE_POOLS, QUOTAS

QUOTA, POOL = ref("ResourceQuota", "gpus"), ref("NodePool", "burst", "")
KEY = "requests.nvidia.com/gpu"
CLASS = {"nodeClassRef": {"group": "g", "kind": "k", "name": "n"}, "requirements": []}
ELSE = {"requests.cpu": "4k"}  # what somebody else limits in the same map


def cap(before, after, target=QUOTA, **more):
    return step("quota.cap", target, **{"from": before, "to": after}, **more)


def hard(twin) -> dict:
    return held(twin, QUOTAS, "gpus")["spec"]["hard"]


def notes(twin, resource=QUOTAS, name: str = "gpus") -> set[str]:
    return set(held(twin, resource, name)["metadata"].get("annotations") or {})


@pytest.fixture
def used(twin) -> int:
    """GPUs that the pods of the namespace ask for, as the quota counts them."""
    pods = [p for p in twin.pods() if p["metadata"]["namespace"] == SPACE]
    asked = [c["resources"]["limits"]["nvidia.com/gpu"] for p in pods
             for c in p["spec"]["containers"] if "resources" in c]  # fmt: skip
    return sum(map(int, asked))


@pytest.fixture
def quota(twin, used):
    body = {"metadata": {"name": "gpus"}, "spec": {"hard": {KEY: "64"} | ELSE}}
    add(twin, QUOTAS, handed_over(QUOTAS, body))


@pytest.mark.parametrize(("way", "where"), DEATHS)
def test_killed_at_any_boundary_a_quota_is_set_and_put_back_once(
    twin, quota, armed, approved, operator, monkeypatch, way, where
):
    plan = approved(plan_of(cap(64, 72)))
    plan = survive(monkeypatch, plan, where) if way == "there" else work(plan)
    assert plan.state == "verified", plan.state_reason
    assert hard(twin) == {KEY: "72"} | ELSE
    assert len(notes(twin)) == 3
    roll_back(plan.id, by=operator, reason="slower")
    plan = survive(monkeypatch, plan, where) if way == "back" else work(plan)
    assert plan.state == "rolled_back", plan.state_reason
    assert (hard(twin), notes(twin)) == ({KEY: "64"} | ELSE, set())
    assert twin.mutations() == ["patch resourcequotas gpus"] * 2


def test_a_quota_never_goes_below_what_is_used(twin, quota, used, armed, approved):
    plan = work(approved(plan_of(cap(64, used - 1))))
    assert plan.state == "paused"
    assert f"is below the {used} that gpus uses now" in plan.state_reason
    assert twin.mutations() == []


def test_a_quota_goes_down_to_what_is_used(twin, quota, used, armed, approved):
    assert work(approved(plan_of(cap(64, used)))).state == "verified"
    assert hard(twin)[KEY] == str(used)


def test_a_quota_that_git_owns_is_named_and_left(twin, quota, armed, approved):
    manifest = {"apiVersion": "v1", "kind": "ResourceQuota",
                "metadata": {"name": "gpus", "namespace": SPACE},
                "spec": {"hard": {KEY: "64"}}}  # fmt: skip
    twin.call(gitops.own, twin.store, manifest, datetime.now(UTC))
    until(lambda: "argocd" in str(held(twin, QUOTAS, "gpus")["metadata"].get("managedFields")))
    plan = work(approved(plan_of(cap(64, 72))))
    assert plan.state == "paused"
    assert "the limit of gpus is owned by argocd-controller" in plan.state_reason
    assert hard(twin)[KEY] == "64"


def test_a_quota_that_somebody_changed_voids_or_stops(twin, quota, armed, approved):
    relied = (Precondition(target=QUOTA, facts={"limit": 64}),)
    void = approved(plan_of(cap(64, 72), preconditions=relied))
    stopped = cap(64, 72)
    twin.edit(QUOTAS, SPACE, "gpus", {"spec": {"hard": {KEY: "80"} | ELSE}})
    assert work(void).state == "void"
    plan = work(approved(plan_of(stopped)))
    assert "has a limit of 80 GPUs, set by somebody else" in plan.state_reason


def test_unarmed_the_server_checks_and_keeps_nothing(twin, quota, approved):
    assert work(approved(plan_of(cap(64, 72)))).state == "rehearsed"
    assert (hard(twin)[KEY], twin.mutations()) == ("64", [])


def test_a_pool_without_a_limit_gets_one_and_loses_it_again(twin, armed, approved, operator):
    body = {"metadata": {"name": "burst"}, "spec": {"template": {"spec": CLASS}}}
    add(twin, NODE_POOLS, handed_over(NODE_POOLS, body))
    until(lambda: held(twin, NODE_POOLS, "burst").get("status"))
    plan = work(approved(plan_of(cap(None, 16, POOL))))
    assert plan.state == "verified", plan.state_reason
    assert held(twin, NODE_POOLS, "burst")["spec"]["limits"] == {"nvidia.com/gpu": "16"}
    (back,) = objects_back(plan)
    assert (back.now, back.then) == ("a limit of 16 GPUs, 0 used", "no limit")
    roll_back(plan.id, by=operator, reason="dear")
    assert work(plan).state == "rolled_back"
    assert not held(twin, NODE_POOLS, "burst")["spec"].get("limits")
    assert notes(twin, NODE_POOLS, "burst") == set()


@pytest.mark.parametrize(("text", "gpus"), [("8", 8), ("1k", 1000), ("2.0", 2)])
def test_a_limit_is_read_as_it_is_written(text, gpus):
    assert whole(text) == gpus


@pytest.mark.parametrize("text", ["1.5", "many"])
def test_a_limit_that_is_no_number_of_gpus_is_refused(text):
    with pytest.raises((ValueError, InvalidOperation)):
        whole(text)
