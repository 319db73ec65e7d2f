"""The plan pages: what is shown, what is refused, and that a refusal says why."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from infra_console.fleet.config import ApprovalRule
from infra_console.fleet.models import Cluster, Region
from infra_console.plans.models import Arming, Execution, KillSwitch, Settlement, Step
from tests.people import person
from tests.plan_specs import plan_row

pytestmark = pytest.mark.django_db


def as_role(*roles: str, name: str = "") -> Client:
    client = Client()
    client.force_login(person(*roles, name=name))
    return client


def text(client: Client, address: str, **headers: str) -> str:
    answer = client.get(address, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.fixture
def uksouth() -> None:
    region = Region.objects.create(
        id="uksouth", place="London", latitude=51, longitude=0, jurisdiction="UK"
    )
    Cluster.objects.create(id="uksouth", context="uksouth", region=region)


def test_an_empty_list_says_what_to_do(uksouth):
    assert "No plan here" in text(as_role("viewer"), "/plans/")


def test_the_list_filters_by_group_and_region(uksouth):
    plan_row(1, state="settled")
    plan_row(2, cluster="eastus")
    viewer = as_role("viewer")
    assert "eastus: 1 nodes" not in text(viewer, "/plans/?show=good")
    assert "eastus: 1 nodes" not in text(viewer, "/plans/?region=uksouth")
    assert "uksouth: 1 nodes" in text(viewer, "/plans/?region=uksouth")


def test_a_plan_shows_changes_steps_promises_limits_and_hash():
    plan = plan_row(7)
    page = text(as_role("viewer"), f"/plans/{plan.id}/")
    for words in ("+8 GPUs", "node.drain", "≥ 0.95 ratio", "keeps at least 8", plan.hash[:16]):
        assert words in page


def test_disabled_controls_say_which_right_is_missing():
    plan = plan_row(7)
    page = text(as_role("viewer"), f"/plans/{plan.id}/")
    assert "needs the right plan.approve (role approver)" in page
    assert page.count("disabled") >= 3


def test_an_author_who_may_approve_is_still_told_no():
    plan = plan_row(7, author="both")
    both = as_role("planner", "approver", name="both")
    assert "an author never approves their own plan" in text(both, f"/plans/{plan.id}/")
    form = {"hash": plan.hash, "reason": "mine"}
    answer = both.post(f"/plans/{plan.id}/approve", form, follow=True)
    assert "never approves their own plan" in answer.content.decode()
    plan.refresh_from_db()
    assert plan.state == "proposed"


def test_approving_takes_one_form_and_shows_the_execution():
    plan = plan_row(7)
    approver = as_role("approver")
    form = {"hash": plan.hash, "reason": "seen"}
    answer = approver.post(f"/plans/{plan.id}/approve", form, follow=True)
    page = answer.content.decode()
    plan.refresh_from_db()
    assert plan.state == "approved"
    assert "“seen”" in page
    assert "0 of 5 steps ended" in page


@pytest.fixture
def _two_needed(monkeypatch):
    rule = ApprovalRule(title="always two", approvals=2)
    monkeypatch.setattr("infra_console.plans.approving.quorum.DEFAULT_RULES", (rule,))


@pytest.mark.usefixtures("_two_needed")
def test_the_page_names_approvers_so_far_what_is_missing_and_the_rule_that_asks():
    plan = plan_row(7)
    approver = as_role("approver")
    form = {"hash": plan.hash, "reason": "seen"}
    page = approver.post(f"/plans/{plan.id}/approve", form, follow=True).content.decode()
    for words in ("1 of 2 approvals", "missing: 1 approval more", "always two: 2 approvals",
                  "others must approve too", "you have already approved it",
                  "Take my approval back"):  # fmt: skip
        assert words in page
    assert "Take my approval back" not in text(as_role("viewer"), f"/plans/{plan.id}/")
    page = approver.post(f"/plans/{plan.id}/take-back", follow=True).content.decode()
    assert "0 of 2 approvals" in page
    assert "<span>taken back</span>" in page


def test_the_undo_counts_down_for_its_giver_alone(settings):
    settings.APPROVAL_UNDO_S = 30
    plan = plan_row(7)
    approver, address = as_role("approver"), f"/plans/{plan.id}/"
    form = {"hash": plan.hash, "reason": "seen"}
    page = approver.post(f"{address}approve", form, follow=True).content.decode()
    assert "Undo my approval" in page
    assert 'data-countdown-s="30"' in page
    assert "Undo my approval" not in text(as_role("viewer"), address)
    approver.post(f"{address}take-back")
    plan.refresh_from_db()
    assert plan.state == "proposed"


def test_a_start_chosen_on_the_page_is_in_utc_and_no_time_is_refused():
    plan = plan_row(7)
    approver, form = as_role("approver"), {"hash": plan.hash, "reason": "seen"}
    answer = approver.post(f"/plans/{plan.id}/approve", form | {"start_at": "noon"}, follow=True)
    assert "The time to start is no time" in answer.content.decode()
    at = (timezone.now() + timedelta(minutes=30)).replace(second=0, microsecond=0)
    form |= {"start_at": f"{at:%Y-%m-%dT%H:%M}"}
    page = approver.post(f"/plans/{plan.id}/approve", form, follow=True).content.decode()
    assert f"not before {at:%Y-%m-%d %H:%M}:00 UTC" in page


def test_a_broken_glass_is_an_alert_until_a_colleague_ratifies():
    plan = plan_row(7)
    admin, address = as_role("admin"), f"/plans/{plan.id}/"
    assert "needs the right plan.break_glass (role admin)" in text(as_role("viewer"), address)
    form = {"hash": plan.hash, "reason": "outage"}
    page = admin.post(f"{address}break-glass", form, follow=True).content.decode()
    assert "admin approved this plan alone" in page
    assert "needs a colleague" in page
    form = {"reason": "I saw it too"}
    page = as_role("approver").post(f"{address}ratify", form, follow=True).content.decode()
    assert "ratified by approver" in page


def test_a_comment_shows_as_text_and_a_viewer_reads_which_right_is_missing():
    plan = plan_row(7)
    address = f"/plans/{plan.id}/"
    as_role("planner").post(f"{address}comment", {"text": "<b>why</b> tonight?"})
    page = text(as_role("viewer"), address)
    assert "&lt;b&gt;why&lt;/b&gt; tonight?" in page
    assert "needs the right plan.comment" in page


def test_a_page_that_showed_another_plan_approves_nothing():
    plan = plan_row(7)
    answer = as_role("approver").post(f"/plans/{plan.id}/approve", {"hash": "0" * 64}, follow=True)
    assert "its hash differs" in answer.content.decode()
    plan.refresh_from_db()
    assert plan.state == "proposed"


@pytest.mark.parametrize(
    ("verb", "roles"),
    [("approve", ["planner"]), ("reject", ["operator"]), ("withdraw", ["approver"]),
     ("pause", ["approver"]), ("abort", ["planner"])],
)  # fmt: skip
def test_each_decision_needs_its_own_right(verb, roles):
    plan = plan_row(7)
    answer = as_role(*roles).post(f"/plans/{plan.id}/{verb}", {"hash": plan.hash})
    assert answer.status_code == 403
    assert "needs the right" in answer.content.decode()


def test_an_operator_pauses_an_execution_from_its_page():
    plan = plan_row(7, state="executing")
    Execution.objects.create(plan=plan, mode="real")
    operator = as_role("operator")
    assert "Pause" in text(operator, f"/plans/{plan.id}/")
    operator.post(f"/plans/{plan.id}/pause", {"reason": "lunch"})
    plan.refresh_from_db()
    assert plan.state == "paused"


@pytest.mark.parametrize("address", ["-" * 36 + "/pause", "{id}/explode"])
def test_an_address_that_names_no_plan_or_verb_is_not_found(address):
    plan = plan_row(7, state="executing")
    answer = as_role("operator").post("/plans/" + address.format(id=plan.id))
    assert answer.status_code == 404


def test_the_timeline_names_what_a_step_waits_for_and_part_equals_page():
    plan = plan_row(7, state="executing")
    Execution.objects.create(plan=plan, mode="dry_run")
    first = plan.spec.steps[0]
    Step.objects.create(
        plan=plan, index=0, key=first.key, kind=first.kind, title=first.title, cluster="uksouth",
        tier="training", wave=0, target=first.target.model_dump(), state="waiting", attempts=4,
        detail="PDB blocks chat-70b-abc",
    )  # fmt: skip
    viewer, address = as_role("viewer"), f"/plans/{plan.id}/"
    part = text(viewer, address, **{"HX-Request": "true", "HX-Target": "timeline"})
    assert "<html" not in part
    assert "PDB blocks chat-70b-abc" in part
    assert "server dry-run" in part
    assert "PDB blocks chat-70b-abc" in text(viewer, address)


def test_a_settlement_tells_kept_missed_and_unknown_apart():
    plan = plan_row(7, state="settled")
    first, second = plan.spec.promises
    Settlement.objects.create(
        plan=plan, at=timezone.now(), kept_count=1, missed_count=0, unknown_count=1,
        promises=[{"title": first.title, "realised": 48, "kept": True},
                  {"title": second.title, "realised": None, "kept": None}],
    )  # fmt: skip
    page = text(as_role("viewer"), f"/plans/{plan.id}/")
    assert "<span>kept</span>" in page
    assert "<span>unknown</span>" in page
    assert "<span>missed</span>" not in page


def test_a_promise_unkept_at_verification_is_shown_and_the_settlement_is_due():
    plan = plan_row(7, state="verifying")
    first = plan.spec.promises[0]
    later = timezone.now() + timedelta(minutes=10)
    found = {"cluster": [], "metrics": [{"title": first.title, "realised": 40, "kept": False}]}
    Execution.objects.create(plan=plan, mode="real", settle_at=later, verification=found)
    page = text(as_role("viewer"), f"/plans/{plan.id}/")
    assert "<span>missed</span></span>" in page
    assert "due <time" in page
    assert "settled <time" not in page


def test_a_plan_that_does_not_exist_is_not_found():
    answer = as_role("viewer").get("/plans/00000000-0000-0000-0000-000000000000/")
    assert answer.status_code == 404
    assert "nothing at this address" in answer.content.decode()


def test_an_operator_arms_what_was_ticked_for_a_time_and_disarms_it(uksouth):
    operator = as_role("operator")
    form = {"pair": ["uksouth/inference"], "hours": "2", "do": "arm"}
    operator.post("/plans/arming/pairs", form)
    (row,) = Arming.objects.all()
    assert (row.cluster, row.tier, row.armed_by) == ("uksouth", "inference", "operator")
    assert "1 armed" in text(operator, "/")
    operator.post("/plans/arming/pairs", {**form, "do": "disarm"})
    assert not Arming.objects.exists()


def test_arming_a_cluster_that_does_not_exist_is_refused_with_words(uksouth):
    form = {"pair": ["atlantis/inference"], "do": "arm"}
    answer = as_role("operator").post("/plans/arming/pairs", form, follow=True)
    assert "no cluster" in answer.content.decode()
    assert not Arming.objects.exists()


def test_there_is_one_longest_time_to_arm_and_more_is_refused_with_words(uksouth):
    operator = as_role("operator")
    assert 'max="168"' in text(operator, "/plans/arming/")
    form = {"pair": ["uksouth/inference"], "do": "arm", "hours": "169"}
    answer = operator.post("/plans/arming/pairs", form, follow=True)
    assert "at most 168 hours" in answer.content.decode()
    assert not Arming.objects.exists()


def test_the_kill_switch_shows_on_every_page_until_released(uksouth):
    operator = as_role("operator")
    operator.post("/plans/arming/killswitch", {"engage": "yes", "reason": "smoke"})
    assert KillSwitch.objects.get().engaged
    assert "Kill switch on" in text(operator, "/tiers/")
    operator.post("/plans/arming/killswitch", {"engage": "no"})
    assert "Kill switch on" not in text(operator, "/tiers/")


def test_a_rejected_plan_says_until_when_its_moves_are_not_proposed_again(settings):
    from infra_console.plans.approving.approvals import reject_plan

    plan = plan_row(7)
    reject_plan(plan.id, by=person("approver"), reason="not today")
    viewer = as_role("viewer")
    assert "does not propose the same moves again until" in text(viewer, f"/plans/{plan.id}/")
    settings.REJECTED_FOR_S = 0
    assert "does not propose the same moves" not in text(viewer, f"/plans/{plan.id}/")


@pytest.mark.parametrize("before", ["9" * 5000, "²", "-1", "soon"])
def test_a_list_before_no_plan_is_the_whole_list(before):
    assert as_role("viewer").get(f"/plans/?before={before}").status_code == 200
