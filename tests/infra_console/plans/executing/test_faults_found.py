"""What the faults found, one named test for each."""

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings as django_settings
from django.utils import timezone
from kubernetes.client.exceptions import ApiException

from infra_console.cluster.errors import ClusterUnavailable, from_status
from infra_console.plans import services
from infra_console.plans.executing import executor
from infra_console.plans.executing.runner import LONGEST_RETRY_S, _outcome_of
from infra_console.plans.invariants.checker import check
from infra_console.plans.models import Execution, Plan, Step
from infra_console.plans.spec import is_unchanged
from infra_console.plans.steps.base import Waiting
from tests.infra_console.plans.invariants.made_up import NODE, history, request, requests, writes
from tests.infra_console.plans.specs import spec


def test_an_expired_list_token_is_not_a_missing_object():
    err = from_status("a", "list nodes", ApiException(status=410, reason="Expired"))
    assert isinstance(err, ClusterUnavailable)
    assert err.retryable


def test_a_server_that_asks_for_an_hour_is_asked_again_after_a_minute():
    outcome = _outcome_of(ClusterUnavailable("a", "busy", retry_after_s=3600))
    assert isinstance(outcome, Waiting)
    assert outcome.retry_s == LONGEST_RETRY_S


def test_a_clock_that_is_behind_begins_no_plan_whose_time_ran_out(approved, monkeypatch):
    plan = approved(spec())
    Plan.objects.filter(id=plan.id).update(expires_at=timezone.now() - timedelta(minutes=1))
    monkeypatch.setattr(timezone, "now", lambda: datetime.now(UTC) - timedelta(hours=1))
    executor.execute(plan.id)
    plan.refresh_from_db()
    assert plan.state == "expired"


def test_a_document_of_an_older_version_is_still_the_approved_one(approved):
    plan = services.propose_plan(spec(), authors=["planner"])
    older = {key: value for key, value in plan.document.items() if key != "gain_usd"}
    assert not is_unchanged(older, plan.hash)
    assert is_unchanged(plan.document, plan.hash)


@pytest.mark.parametrize("wrong", ["kind", "document"])
def test_what_another_version_wrote_pauses_for_a_person(approved, named_cluster, wrong):
    plan = approved(spec())
    Plan.objects.filter(id=plan.id).update(state="executing")
    Execution.objects.filter(plan=plan).update(mode="dry_run")
    if wrong == "kind":
        Step.objects.filter(plan=plan).update(kind="of.another_version")
    else:
        Plan.objects.filter(id=plan.id).update(document={**plan.document, "newer": True})
    executor.execute(plan.id)
    plan.refresh_from_db()
    assert plan.state == "paused"
    assert "this version of the console" in plan.state_reason


def test_a_broker_that_hangs_has_a_timeout():
    options = django_settings.CELERY_BROKER_TRANSPORT_OPTIONS
    assert 0 < options["socket_timeout"] <= 5
    assert 0 < options["socket_connect_timeout"] <= 5


def test_a_node_that_somebody_deleted_does_not_stay_closed():
    opened = ("node.uncordon",)
    held = history()
    steps = [s for s in held.steps if s.kind not in opened]
    audit = [held.audit[0], *writes()[:4]]
    gone = request(seconds=50, verb="delete", body=None, ours=False)
    shut = history(steps=steps, audit=audit, requests=requests()[:2])
    assert any(NODE in words for words in check(shut)["I6"].violations)
    deleted = history(steps=steps, audit=audit, requests=[*requests()[:2], gone])
    assert check(deleted)["I6"].violations == ()
