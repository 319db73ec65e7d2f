"""A queue's webhook and metric beside the annotation by which gangs are asked for a checkpoint."""

from datetime import UTC, datetime, timedelta

import pytest

from infra_console.audit.models import AuditRow
from infra_console.fleet.models import FleetSetting
from infra_console.plans.steps import checkpoint_queues
from infra_console.plans.steps.checkpoints import REQUESTED, ask_and_wait, saved_words
from tests.infra_console.conftest import DOCUMENT
from tests.infra_console.plans.executing.test_execution import work
from tests.infra_console.plans.kueue_world import QUEUE, SPACE, KueueTwin, shrink
from tests.infra_console.telemetry.test_webhooks import hook

__all__ = ["hook"]


def mapped(**rule: str) -> None:
    FleetSetting.objects.update(document=DOCUMENT | {"checkpoints": {QUEUE: rule}})


def signal(plan) -> str:
    return plan.steps.get(kind="kueue.signal").detail


def told() -> list[dict]:
    rows = AuditRow.objects.filter(detail__what__startswith="tell the webhook").order_by("seq")
    return [row.detail for row in rows]


def test_the_queues_webhook_is_told_once_under_its_audit_row(twin, hook, armed, approved):
    mapped(webhook=hook.url)
    plan = work(approved(shrink(KueueTwin(twin))), turns=20)
    assert plan.state == "verified", plan.state_reason
    ((path, body),) = hook.heard
    assert (path, body["plan"], body["queue"], body["namespace"], body["job"]) == (
        "/save", str(plan.id), QUEUE, SPACE, "small",
    )  # fmt: skip
    assert body["pods"] == ["small-0"]
    assert datetime.fromisoformat(body["requested_at"]).tzinfo
    assert told()


def test_a_webhook_that_refuses_holds_nothing_up_and_is_in_the_audit(twin, hook, armed, approved):
    hook.status = 500
    mapped(webhook=hook.url)
    plan = work(approved(shrink(KueueTwin(twin))), turns=20)
    assert plan.state == "verified", plan.state_reason
    assert len(hook.heard) == 1
    assert "it answered 500" in str(told())


def test_a_rehearsal_tells_nobody(twin, hook, approved):
    mapped(webhook=hook.url)
    assert work(approved(shrink(KueueTwin(twin))), turns=20).state == "rehearsed"
    assert hook.heard == []


NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Pod:
    namespace, name, owner_name = SPACE, "small-0", "small"
    annotations = {REQUESTED: "2026-11-24T12:00:00Z", "infra-console.dev/plan": "plan-1"}  # noqa: RUF012


class Step:
    plan_id, cluster, dry_run = "plan-1", "eastus", False
    params = {"grace_s": 60.0}  # noqa: RUF012


@pytest.mark.parametrize(
    ("saved_s", "waits", "words"),
    [
        (5, "", "saved 10 s ago"),
        (-5, "45 s of grace left", "no checkpoint within 60 s"),
        (None, "45 s of grace left", "no checkpoint within 60 s"),
    ],
    ids=["after the request", "before it", "unknown"],
)
def test_a_checkpoint_that_the_metric_tells_of_is_an_answer(
    named_cluster, monkeypatch, saved_s, waits, words
):
    mapped(metric="trainer_saved_s")
    saved = None if saved_s is None else NOW + timedelta(seconds=saved_s)
    monkeypatch.setattr(checkpoint_queues, "newest_moment", lambda metric, **_: saved)
    later = NOW + timedelta(seconds=15)
    assert ask_and_wait(Step(), [Pod()], now=later, queue=QUEUE) == waits
    assert saved_words(Step(), [Pod()], now=later, queue=QUEUE).startswith(words)
