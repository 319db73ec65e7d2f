"""Training shrunk by quota with named victims: what is written, what waits, what is given back."""

import pytest

from infra_console.plans.models import LockRow, Step
from infra_console.plans.rollback import roll_back
from tests.infra_console.plans.kueue_world import (
    QUOTA,
    KueueTwin,
    shrink,
)
from tests.infra_console.plans.specs import TIER_KEY
from tests.infra_console.plans.test_execution import work


@pytest.fixture
def world(twin) -> KueueTwin:
    return KueueTwin(twin)


def test_a_named_victim_leaves_its_quota_and_node_follow_and_all_comes_back(
    world, twin, armed, approved, operator
):
    node = world.node_of("small")
    plan = work(approved(shrink(world)), turns=20)
    assert plan.state == "verified", plan.state_reason
    assert world.quota() == str(QUOTA - 8)
    assert world.running("small") == 0
    assert world.running("big") == 2
    assert not world.is_true("small", "QuotaReserved")
    assert twin.node(node)["metadata"]["labels"][TIER_KEY] == "inference"
    assert {s.state for s in Step.objects.filter(plan=plan)} == {"done"}
    roll_back(plan.id, by=operator, reason="slower than promised")
    plan = work(plan, turns=20)
    assert plan.state == "rolled_back", plan.state_reason
    assert world.quota() == QUOTA
    assert twin.node(node)["metadata"]["labels"][TIER_KEY] == "training"
    world.until(lambda: world.running("small") == 1, "it runs again")
    for held in (world.queue(), world.workload("small")):
        assert not held["metadata"].get("annotations")
    assert not LockRow.objects.exists()
