"""After the last step: cluster and metrics agree, then promised against realised."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from django.core.management import call_command
from django.utils import timezone

from infra_console.audit.models import AuditRow
from infra_console.cluster.errors import ClusterUnavailable
from infra_console.plans.errors import NotAllowed, ReasonMissing, WrongState
from infra_console.plans.facts import snapshot
from infra_console.plans.models import Execution, LockRow, Plan, Settlement
from infra_console.plans.queries import plan_detail
from infra_console.plans.settling import promises, verification
from infra_console.plans.settling.promises import judge_span
from infra_console.plans.settling.settlement import settle_due
from infra_console.plans.settling.verification import end_verification, verify
from infra_console.telemetry import queries as telemetry
from infra_console.telemetry.adapters.memory import MemorySource
from infra_console.telemetry.errors import SourceUnreachable
from infra_console.telemetry.series import RawSeries
from infra_console.telemetry.sources import BoundSource
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.specs import NODE, TIER_KEY, node_move, promise, spec
from tests.people import person

TIER_GPUS = "cluster_tier:gpus_allocatable:sum"
WITHIN = "cluster_model_le:vllm_ttft_within:ratio_5m"
HORIZON_S = 600


@pytest.fixture
def source(monkeypatch) -> MemorySource:
    """The fleet's one metric source, empty until a test fills it."""
    held = MemorySource({})
    bound = (BoundSource("main", frozenset({CLUSTER}), 15.0, held),)
    monkeypatch.setattr(telemetry, "current_sources", lambda: bound)
    monkeypatch.setattr(verification, "current_sources", lambda: bound)
    telemetry.forget_cached()
    yield held
    telemetry.forget_cached()


def fill(source: MemorySource, name: str, values, *, until, every_s=15.0, **labels) -> None:
    """Samples every 15 s, the last one at `until`; and scrapes that prove them fresh."""
    times = until.timestamp() - every_s * np.arange(len(values))[::-1]
    series = RawSeries({"__name__": name, "cluster": CLUSTER, **labels}, times, np.array(values))
    up = {"__name__": "up", "cluster": CLUSTER, "job": "kube-state-metrics"}
    scrapes = RawSeries(up, times, np.ones(len(values)))
    source.data = {**source.data, name: [*source.data.get(name, ()), series], "up": [scrapes]}


@pytest.fixture
def done(approved, db):
    """A plan without moves whose last step has just ended."""

    def make(**changes) -> Plan:
        plan = approved(spec(**{"moves": ()} | changes))
        ago = timezone.now() - timedelta(minutes=1)
        plan.steps.update(state="done", finished_at=ago)
        Execution.objects.filter(plan=plan).update(
            mode="real", started_at=ago, verify_until=timezone.now() + timedelta(minutes=15)
        )
        Plan.objects.filter(id=plan.id).update(state="verifying")
        LockRow.objects.create(cluster=CLUSTER, tier="training", plan=plan, taken_at=ago)
        plan.refresh_from_db()
        return plan

    return make


def settle_later(plan: Plan) -> None:
    """As if the horizon had just passed."""
    now = timezone.now()
    Execution.objects.filter(plan=plan).update(
        verified_at=now - timedelta(seconds=HORIZON_S), settle_at=now
    )
    settle_due()
    plan.refresh_from_db()


def test_a_promise_kept_ends_verification_and_lets_the_locks_go(done, source):
    fill(source, TIER_GPUS, [40.0, 48.0], until=timezone.now(), tier="inference")
    plan = done(promises=(promise(),))
    assert verify(plan, tier_key=TIER_KEY) == 0
    run = Execution.objects.get(plan=plan)
    assert run.verification["metrics"][0]["kept"] is True
    assert run.settle_at > run.verified_at
    assert not LockRow.objects.exists()
    assert Plan.objects.get(id=plan.id).state == "verifying"


def test_a_promise_not_yet_kept_is_looked_at_again(done, source):
    fill(source, TIER_GPUS, [40.0], until=timezone.now(), tier="inference")
    plan = done(promises=(promise(),))
    assert verify(plan, tier_key=TIER_KEY) > 0
    assert Execution.objects.get(plan=plan).verified_at is None
    Execution.objects.update(verify_until=timezone.now() - timedelta(seconds=1))
    assert verify(plan, tier_key=TIER_KEY) == 0
    assert Execution.objects.get(plan=plan).verification["metrics"][0]["kept"] is False


def test_a_sample_from_before_the_last_step_proves_nothing(done, source):
    fill(source, TIER_GPUS, [48.0], until=timezone.now() - timedelta(minutes=2), tier="inference")
    plan = done(promises=(promise(),))
    assert verify(plan, tier_key=TIER_KEY) > 0
    found = Execution.objects.get(plan=plan).verification["metrics"][0]
    assert found["realised"] is None
    assert "too old" in found["note"]


def test_without_a_metric_source_it_ends_verified_never_settled(done):
    plan = done(promises=(promise(),))
    assert verify(plan, tier_key=TIER_KEY) == 0
    plan.refresh_from_db()
    assert (plan.state, Settlement.objects.count()) == ("verified", 0)
    assert Execution.objects.get(plan=plan).settle_at is None
    assert "metrics are unknown" in plan.state_reason


def test_a_cluster_that_cannot_be_read_is_waited_for_not_failed(done, monkeypatch):
    plan = done(moves=(node_move(),))
    Execution.objects.update(verify_until=timezone.now() - timedelta(seconds=1))

    def away(cluster):
        raise ClusterUnavailable(cluster, "list nodes: connection refused")

    monkeypatch.setattr(snapshot, "list_nodes", away)
    assert verify(plan, tier_key=TIER_KEY) > 0
    run = Execution.objects.get(plan=plan)
    assert Plan.objects.get(id=plan.id).state == "verifying"
    assert "waits to verify" in run.outcome
    assert "connection refused" in run.outcome
    assert run.verify_until > timezone.now()


def test_a_verification_that_cannot_end_is_ended_by_hand_and_lets_the_locks_go(
    done, monkeypatch, operator
):
    plan = done(moves=(node_move(),))
    with pytest.raises(NotAllowed):
        end_verification(plan.id, by=person("planner"), reason="gone")
    with pytest.raises(ReasonMissing):
        end_verification(plan.id, by=operator)
    ended = end_verification(plan.id, by=operator, reason="the region is gone")
    run = Execution.objects.get(plan=plan)
    assert ended.state == "verified"
    assert ended.state_reason.endswith("cluster and metrics unknown: the region is gone")
    assert (run.verified_at, run.settle_at, run.finished_at is not None) == (None, None, True)
    assert not LockRow.objects.exists()
    assert AuditRow.objects.get(action="plan.verified").actor == operator.username
    with pytest.raises(WrongState):
        end_verification(plan.id, by=operator, reason="again")


def test_a_worker_that_was_still_looking_changes_nothing_of_what_was_ended_by_hand(
    done, monkeypatch, operator
):
    plan = done(moves=(node_move(),))

    def away(cluster):
        end_verification(plan.id, by=operator, reason="gone")
        raise ClusterUnavailable(cluster, "connection refused")

    monkeypatch.setattr(snapshot, "list_nodes", away)
    verify(plan, tier_key=TIER_KEY)
    assert "ended by hand" in Execution.objects.get(plan=plan).outcome
    assert Plan.objects.get(id=plan.id).state == "verified"


def test_the_page_api_and_shell_end_a_verification(done, client, operator):
    plan = done(moves=(node_move(),))
    client.force_login(operator)
    assert "End the verification" in client.get(f"/plans/{plan.id}/").content.decode()
    address = f"/api/v1/plans/{plan.id}/control/end-verification"
    refused = client.post(address, {"reason": ""}, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (422, "reason-missing")
    call_command("plans", "end-verification", str(plan.number), "--as", "operator",
                 "--reason", "gone")  # fmt: skip
    assert Plan.objects.get(id=plan.id).state == "verified"


def test_a_plan_that_only_waits_for_its_horizon_is_not_ended_by_hand(done, client, operator):
    plan = done()
    Execution.objects.update(verified_at=timezone.now())
    with pytest.raises(WrongState):
        end_verification(plan.id, by=operator, reason="enough")
    client.force_login(operator)
    assert "End the verification" not in client.get(f"/plans/{plan.id}/").content.decode()


def test_a_cluster_that_stands_otherwise_fails_only_after_its_time(done, twin):
    plan = done(moves=(node_move(),))  # nobody moved the node
    assert verify(plan, tier_key=TIER_KEY) > 0
    Execution.objects.update(verify_until=timezone.now() - timedelta(seconds=1))
    assert verify(plan, tier_key=TIER_KEY) == 0
    plan.refresh_from_db()
    assert plan.state == "failed"
    assert f"{NODE}: tier is training, planned inference" in plan.state_reason


def test_promises_are_settled_kept_missed_and_unknown(done, source):
    now, steps = timezone.now(), HORIZON_S // 15
    fill(source, TIER_GPUS, [48.0] * steps, until=now, tier="inference")
    labels = {"model_name": "chat-7b", "le": "0.5"}
    fill(source, WITHIN, [0.9] * (steps // 2) + [0.98] * (steps - steps // 2), until=now, **labels)
    share = {"query": "ttft_within_slo", "op": ">=", "aggregate": "avg", "verifies": False}
    plan = done(
        promises=(
            promise(),
            promise(**share, bound=0.95, labels={"cluster": CLUSTER, **labels}),
            promise(**share, bound=0.95, labels={"cluster": CLUSTER, "model_name": "x", "le": "1"}),
        )
    )
    settle_later(plan)
    settlement = Settlement.objects.get(plan=plan)
    counts = (settlement.kept_count, settlement.missed_count, settlement.unknown_count)
    assert (plan.state, counts) == ("settled", (1, 1, 1))
    assert settlement.promises[1]["realised"] == pytest.approx(0.94, abs=0.01)
    assert settlement.promises[2]["kept"] is None
    assert plan_detail(plan)["settlement"]["missed"] == 1


def test_a_source_that_is_away_is_waited_for_then_the_plan_ends_unsettled(done, source):
    source.failure = SourceUnreachable("main", "connection refused")
    plan = done(promises=(promise(),))
    settle_later(plan)
    assert plan.state == "verifying"
    Execution.objects.update(settle_at=timezone.now() - timedelta(minutes=16))
    settle_due()
    plan.refresh_from_db()
    assert (plan.state, Settlement.objects.get().unknown_count) == ("verified", 1)


def test_a_rehearsal_is_settled_as_a_shadow_and_stays_rehearsed(done, source):
    fill(source, TIER_GPUS, [40.0] * 40, until=timezone.now(), tier="inference")
    plan = done(promises=(promise(),))
    Plan.objects.filter(id=plan.id).update(state="rehearsed")
    now = timezone.now()
    Execution.objects.filter(plan=plan).update(
        mode="dry_run", finished_at=now - timedelta(seconds=HORIZON_S), settle_at=now
    )
    assert settle_due() == 1
    plan.refresh_from_db()
    assert (plan.state, Settlement.objects.get(plan=plan).missed_count) == ("rehearsed", 1)
    assert AuditRow.objects.filter(action="plan.shadow_settled").count() == 1
    assert settle_due() == 0


def test_it_is_settled_once(done, source):
    fill(source, TIER_GPUS, [48.0] * 40, until=timezone.now(), tier="inference")
    plan = done(promises=(promise(),))
    settle_later(plan)
    assert settle_due() == 0
    assert Settlement.objects.count() == 1


def test_a_span_is_looked_at_in_whole_seconds(db, source, monkeypatch):
    now, real, steps = timezone.now(), telemetry.read_range, []

    def watched(name, *, step_s, **rest):
        steps.append(step_s)
        return real(name, step_s=step_s, **rest)

    monkeypatch.setattr(promises, "read_range", watched)
    for seconds in (1000, 20, 4 * 3600):
        judge_span(promise(), start=now - timedelta(seconds=seconds), end=now)
    assert steps == [33, 1, 60]


@pytest.mark.parametrize(("aggregate", "realised"), [("min", 1.0), ("max", 3.0), ("last", 3.0)])
def test_each_aggregate_judges_what_it_says(db, source, aggregate, realised):
    now = timezone.now()
    fill(source, TIER_GPUS, [1.0] * 20 + [2.0] * 20 + [3.0] * 20, until=now, tier="inference")
    start = now - timedelta(seconds=HORIZON_S + 200)
    verdict = judge_span(promise(aggregate=aggregate), start=start, end=now)
    assert verdict.realised == realised


@pytest.fixture(params=[-1, 1], ids=["an hour behind", "an hour ahead"])
def wrong_clock(request, monkeypatch):
    """Make this worker's clock differ from the database's from now on."""

    def turn() -> None:
        wrong = timedelta(hours=request.param)
        monkeypatch.setattr(timezone, "now", lambda: datetime.now(UTC) + wrong)

    return turn


def test_a_workers_wrong_clock_settles_nothing_early_and_nothing_late(done, source, wrong_clock):
    now = timezone.now()
    fill(source, TIER_GPUS, [48.0] * (HORIZON_S // 15), until=now, tier="inference")
    due, open_still = done(promises=(promise(),)), done_elsewhere(done)
    verified_at = now - timedelta(seconds=HORIZON_S)
    for plan, settle_at in ((due, now), (open_still, now + timedelta(minutes=30))):
        Execution.objects.filter(plan=plan).update(verified_at=verified_at, settle_at=settle_at)
    wrong_clock()
    assert settle_due() == 1
    assert Plan.objects.get(id=due.id).state == "settled"
    assert Plan.objects.get(id=open_still.id).state == "verifying"
    settled = Settlement.objects.get(plan=due)
    assert abs((settled.at - now).total_seconds()) < 60
    assert settled.promises[0]["kept"] is True


def done_elsewhere(done) -> Plan:
    """A second plan, under no lock of the first."""
    LockRow.objects.all().delete()
    return done(promises=(promise(),), moves=(node_move(),))


def test_a_workers_wrong_clock_keeps_the_grace_of_a_source_that_is_away(done, source, wrong_clock):
    now, plan = timezone.now(), done(promises=(promise(),))
    for minutes, state in ((14, "verifying"), (16, "verified")):
        ended = now - timedelta(minutes=minutes)
        Execution.objects.filter(plan=plan).update(
            verified_at=ended - timedelta(seconds=HORIZON_S), settle_at=ended
        )
        wrong_clock()
        settle_due()
        assert Plan.objects.get(id=plan.id).state == state


def test_a_workers_wrong_clock_verifies_by_the_newest_sample_all_the_same(
    done, source, wrong_clock
):
    fill(source, TIER_GPUS, [40.0, 48.0], until=timezone.now(), tier="inference")
    plan = done(promises=(promise(),))
    wrong_clock()
    assert verify(plan, tier_key=TIER_KEY) == 0
    assert Execution.objects.get(plan=plan).verification["metrics"][0]["kept"] is True
