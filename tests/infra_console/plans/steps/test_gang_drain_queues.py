"""A drain asks a gang of Kueue by its queue's webhook and metric, beside the annotation."""

from datetime import UTC, datetime, timedelta

import pytest

from infra_console.plans.models import Step
from infra_console.plans.steps import checkpoint_queues
from tests.infra_console.plans.executing.test_execution import work
from tests.infra_console.plans.kueue_world import QUEUE, SPACE, KueueTwin
from tests.infra_console.plans.specs import node_move, node_steps, spec
from tests.infra_console.plans.steps.test_checkpoint_queues import mapped, told
from tests.infra_console.plans.steps.test_gang_drains import drained_with
from tests.infra_console.plans.targets import survive
from tests.infra_console.telemetry.test_webhooks import hook

__all__ = ["hook"]


def drained(world: KueueTwin, grace_s: float):
    node = world.node_of("small")
    return spec(moves=(node_move(node),), steps=drained_with(node_steps(node), grace_s=grace_s))


# The first write closes the node, the second tells the webhook, the third asks the pod.
@pytest.mark.parametrize(("number", "times"), [(2, 2), (3, 1)])
def test_a_worker_killed_over_the_asking_leaves_one_request_that_the_next_goes_on_with(
    twin, hook, armed, approved, monkeypatch, number, times
):
    mapped(webhook=hook.url)
    world = KueueTwin(twin)
    plan = survive(monkeypatch, approved(drained(world, 0.0)), "after the write", number, 20)
    assert plan.state == "verified", plan.state_reason
    assert len(hook.heard) == len(told()) // 2 == times
    assert {(b["plan"], b["queue"], b["namespace"], b["job"]) for _, b in hook.heard} == {
        (str(plan.id), QUEUE, SPACE, "small")
    }
    writes = twin.mutations()
    assert writes.count("patch pods small-0") == 1
    evicted = next(i for i, m in enumerate(writes) if m.startswith("create pods/eviction small"))
    assert writes.index("patch pods small-0") < evicted


def test_the_queues_metric_ends_the_grace_of_a_drain(twin, armed, approved, monkeypatch):
    mapped(metric="trainer_saved_s")
    saved = datetime.now(UTC) + timedelta(hours=1)
    monkeypatch.setattr(checkpoint_queues, "newest_moment", lambda metric, **_: saved)
    plan = work(approved(drained(KueueTwin(twin), 3600.0)), 20)
    assert plan.state == "verified", plan.state_reason
    drain = Step.objects.get(plan=plan, kind="node.drain")
    assert drain.state == "done" and drain.attempts > 1
