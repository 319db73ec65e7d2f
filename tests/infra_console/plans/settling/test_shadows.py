"""Plans that were not carried out: settled after their horizon, and the harmful ones counted."""

import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from infra_console.audit.models import AuditRow
from infra_console.plans import services
from infra_console.plans.models import Execution, Plan, Settlement
from infra_console.plans.pages.track_figures import kept_figure, ratio_figure
from infra_console.plans.settling import settlement
from infra_console.plans.settling.harms import look_for
from infra_console.plans.settling.settlement import settle_due
from infra_console.plans.settling.track_record import newest_settled, track_record
from infra_console.plans.spec import Harm, PlanSpec, canonical_json
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.settling.test_settlement import TIER_GPUS, fill, source
from tests.infra_console.plans.specs import promise, spec

__all__ = ["source"]
ASKED = "cluster_namespace_phase:gpus_requested:sum"
HORIZON_S = 600


@pytest.fixture(autouse=True)
def _horizon(settings, source, monkeypatch):
    settings.SETTLE_AFTER_S = HORIZON_S
    monkeypatch.setattr(settlement, "current_sources", lambda: (object(),))


def harm(**changes) -> Harm:
    fields = {
        "title": "training asked for more than the 40 GPUs that it would have kept",
        "query": "gpus_requested",
        "labels": {
            "cluster": CLUSTER, "namespace": ("training", "batch"), "phase": ("Running", "Pending")
        },
        "op": ">",
        "bound": 40.0,
        "unit": "GPUs",
        "aggregate": "p90",
    }  # fmt: skip
    return Harm(**(fields | changes))


@pytest.fixture
def ended(db, approver):
    """A plan whose horizon has passed and that ended in this state without being carried out."""

    def make(state: str = "rejected", **changes) -> Plan:
        plan = services.propose_plan(spec(**changes), authors=["planner"])
        past = timezone.now() - timedelta(seconds=HORIZON_S + 20)
        Plan.objects.filter(id=plan.id).update(state=state, created_at=past)
        plan.refresh_from_db()
        return plan

    return make


def asked(source, values, namespace="training", phase="Running"):
    until = timezone.now()
    fill(source, ASKED, values, until=until, namespace=namespace, phase=phase)


@pytest.mark.parametrize("state", ["rejected", "withdrawn", "expired", "superseded", "void"])
def test_a_plan_that_was_not_carried_out_is_settled_and_keeps_its_state(ended, source, state):
    fill(source, TIER_GPUS, [48.0] * 60, until=timezone.now(), tier="inference")
    plan = ended(state, promises=(promise(),))
    assert settle_due() == 1
    settled = Settlement.objects.get(plan=plan)
    plan.refresh_from_db()
    assert (plan.state, settled.shadow, settled.kept_count) == (state, True, 1)
    assert settled.ends_at - settled.begins_at == timedelta(seconds=HORIZON_S)
    assert AuditRow.objects.filter(action="plan.shadow_settled").count() == 1
    assert settle_due() == 0


def test_none_is_settled_before_its_horizon_has_passed(ended):
    plan = ended()
    Plan.objects.filter(id=plan.id).update(created_at=timezone.now() - timedelta(minutes=9))
    assert settle_due() == 0


def test_nothing_is_settled_while_there_is_no_metric_source(ended, monkeypatch):
    ended()
    monkeypatch.setattr(settlement, "current_sources", tuple)
    assert settle_due() == 0


def test_it_is_harmful_when_more_was_asked_for_than_it_would_have_left(ended, source):
    asked(source, [32.0] * 60)
    asked(source, [16.0] * 60, namespace="batch", phase="Pending")
    plan = ended(harms=(harm(),))
    settle_due()
    settled = Settlement.objects.get(plan=plan)
    assert settled.harmful is True
    assert (settled.harms[0]["realised"], settled.harms[0]["seen"]) == (48.0, True)


def test_it_is_harmless_when_what_was_asked_for_would_have_fitted(ended, source):
    asked(source, [32.0] * 60)
    plan = ended(harms=(harm(),))
    settle_due()
    settled = Settlement.objects.get(plan=plan)
    assert (settled.harmful, settled.harm_note) == (False, "")


def test_a_blip_of_a_minute_is_no_harm(ended, source):
    asked(source, [32.0] * 50 + [64.0] * 4 + [32.0] * 6)
    plan = ended(harms=(harm(),))
    settle_due()
    assert Settlement.objects.get(plan=plan).harmful is False


def test_what_could_not_be_measured_is_not_called_harmless(ended, source):
    asked(source, [32.0] * 60)
    plan = ended(harms=(harm(), harm(query="tier_gpus", labels={"tier": "x"}, op="<")))
    settle_due()
    settled = Settlement.objects.get(plan=plan)
    assert (settled.harmful, settled.harm_note) == (None, "not every sign could be measured")


def test_one_sign_is_enough_though_others_are_unknown(ended, source):
    asked(source, [64.0] * 60)
    plan = ended(harms=(harm(query="tier_gpus", labels={"tier": "x"}, op="<"), harm()))
    settle_due()
    assert Settlement.objects.get(plan=plan).harmful is True


def test_nothing_is_told_of_a_plan_without_signs(ended):
    plan = ended()
    settle_due()
    settled = Settlement.objects.get(plan=plan)
    assert (settled.harmful, settled.harm_note) == (
        None, "the plan names no sign by which to tell"
    )  # fmt: skip


def test_nothing_is_told_where_another_plan_moved_the_same_tiers_meanwhile(ended, source, approved):
    asked(source, [64.0] * 60)
    plan = ended("superseded", harms=(harm(),))
    other = approved(spec(gain_usd=900.0))
    Execution.objects.filter(plan=other).update(mode="real", started_at=timezone.now())
    Execution.objects.update(started_at=timezone.now() - timedelta(minutes=5))
    settle_due()
    settled = Settlement.objects.get(plan=plan)
    assert settled.harmful is None
    assert settled.harm_note == f"plan {other.number} changed the same tiers in the meantime"


@pytest.mark.parametrize(("aggregate", "realised"), [("p10", 1.0), ("p90", 3.0), ("avg", 2.0)])
def test_each_aggregate_of_a_harm_is_what_it_says(db, source, aggregate, realised):
    now = timezone.now()
    values = [1.0] * 20 + [2.0] * 20 + [3.0] * 20
    fill(source, TIER_GPUS, values, until=now, tier="inference")
    asked_for = harm(query="tier_gpus", labels={"tier": "inference"}, aggregate=aggregate)
    sign = look_for(asked_for, start=now - timedelta(seconds=890), end=now)
    assert sign.realised == pytest.approx(realised, abs=0.05)


def test_a_document_from_before_harms_keeps_its_hash(db):
    old = spec().model_dump(mode="json", by_alias=True)
    del old["harms"]
    assert '"harms"' not in canonical_json(PlanSpec.model_validate(old))
    assert '"harms"' in canonical_json(spec(harms=(harm(),)))


# --- the record -------------------------------------------------------------------------------


@pytest.fixture
def settled_rows(ended):
    """Two shadows, one of them harmful, and one plan that was carried out."""
    rows = [("rejected", True), ("expired", False), ("settled", None)]
    for place, (state, harmful) in enumerate(rows):
        plan = ended(state, gain_usd=100.0 * (place + 1) ** 3)
        Settlement.objects.create(
            plan=plan, at=timezone.now() - timedelta(days=place), shadow=state != "settled",
            harmful=harmful, kept_count=place, missed_count=1, unknown_count=1,
            promises=[{"title": "t", "op": ">=", "bound": 4.0, "unit": "", "realised": 2.0,
                       "kept": False, "note": ""}],
        )  # fmt: skip


def test_the_record_counts_by_mode_by_end_and_by_day(settled_rows):
    record = track_record(days=30)
    executed, shadow = record.by_mode
    assert (executed.plans, executed.kept, executed.missed) == (1, 2, 1)
    assert (shadow.plans, shadow.harmful, shadow.harmless, shadow.untold) == (2, 1, 1, 0)
    assert executed.kept_share == pytest.approx(2 / 3)
    assert record.harmful_in_30_days == 1
    assert [t.name for t in record.by_end] == ["expired", "rejected"]
    assert len(record.daily) == 3


def test_the_record_of_a_week_is_put_on_thirty_days_and_leaves_out_what_is_older(settled_rows):
    Settlement.objects.filter(shadow=False).update(at=timezone.now() - timedelta(days=8))
    record = track_record(days=7)
    assert record.by_mode[0].plans == 0
    assert record.harmful_in_30_days == pytest.approx(30 / 7)


def test_a_rate_of_harm_is_unknown_while_nothing_was_told(db):
    assert track_record().harmful_in_30_days is None


def test_figures_show_each_day_and_each_promise(settled_rows):
    kept = kept_figure(track_record())
    assert [t["name"] for t in kept["data"]] == [
        "kept, carried out", "kept, shadow", "harmful, had they been carried out"
    ]  # fmt: skip
    ratio = ratio_figure(newest_settled(), since=timezone.now())
    assert [t["y"] for t in ratio["data"]] == [[0.5], [0.5, 0.5]]
    assert kept_figure(track_record(region="nowhere"))["problem"]


def test_the_page_its_figures_and_the_api_show_the_record(settled_rows, client, approver):
    client.force_login(approver)
    page = client.get("/plans/track-record/?days=30").content.decode()
    assert "1 of 2 plans that were not carried out would have hurt" in page
    assert (
        "would not have hurt"
        not in client.get("/plans/track-record/?show=harmful").content.decode()
    )
    assert client.get("/plans/track-record/kept").json()["data"]
    assert client.get("/plans/track-record/nothing").status_code == 404
    assert client.get("/api/v1/plans/track-record?days=30").json()["by_mode"][1]["harmful"] == 1
    plan = Plan.objects.get(state="rejected")
    assert "Had it been carried out" in client.get(f"/plans/{plan.id}/").content.decode()


def test_the_command_prints_the_record(settled_rows, capsys):
    call_command("plans", "track-record", "--json")
    assert json.loads(capsys.readouterr().out)["harmful_in_30_days"] == 1
    call_command("plans", "track-record")
    assert "1 of 2 shadows would have hurt" in capsys.readouterr().out
