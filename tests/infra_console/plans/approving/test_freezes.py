"""Freeze windows: when they hold, what they hold back, who keeps and who overrides them."""

from datetime import UTC, datetime, timedelta

import pytest

from infra_console.audit.models import AuditRow
from infra_console.plans import services
from infra_console.plans.approving.freezes import (
    Draft,
    add_window,
    frozen_now,
    frozen_plan,
    override_freeze,
    remove_window,
)
from infra_console.plans.approving.windows import Window, frozen, next_opening, open_until
from infra_console.plans.errors import FreezeInvalid, NotAllowed, ReasonMissing, WrongState
from infra_console.plans.executing import executor
from infra_console.plans.models import Execution, FreezeWindow, Plan, Step
from infra_console.plans.steps.node import Cordon
from infra_console.plans.taking_back.rollback import roll_back
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.specs import NODE, node_move, node_steps, spec
from tests.people import person

PAIR = ("eastus", "training")
OTHER = f"{CLUSTER}-h100-reserved-05"  # of the training tier, as NODE is


def window(cron, hours=1.0, zone="UTC", denies=True, name="freeze", **scope) -> Window:
    return Window(name, denies, cron, timedelta(hours=hours), zone, **scope)


def utc(month, day, hour=0, minute=0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "opens"), [(utc(11, 24), utc(11, 27, 21)), (utc(7, 1), utc(7, 3, 20))]
)
def test_a_window_opens_at_its_own_zones_hour_in_summer_and_winter(at, opens):
    assert next_opening(window("0 22 * * fri", zone="Europe/Oslo"), at) == opens


def test_a_window_is_open_from_its_time_for_its_length():
    night = window("0 22 * * *", hours=2)
    assert open_until(night, utc(11, 24, 21, 59)) is None
    assert open_until(night, utc(11, 24, 22)) == utc(11, 25)
    assert open_until(night, utc(11, 24, 23, 59)) == utc(11, 25)
    assert open_until(night, utc(11, 25)) is None


def test_what_is_denied_stays_denied_though_another_window_allows_it():
    windows = [window("0 0 * * *", 12), window("0 6 * * *", 12, denies=False)]
    assert frozen(windows, {PAIR}, utc(11, 24, 8)).until == utc(11, 24, 12)
    assert frozen(windows, {PAIR}, utc(11, 24, 13)) is None
    # After what allows has closed the next chance is at noon: from six on it is still denied.
    assert frozen(windows, {PAIR}, utc(11, 24, 19)).until == utc(11, 25, 12)


@pytest.mark.parametrize(
    ("scope", "holds"),
    [
        ({}, True),
        ({"clusters": frozenset({"eastus"})}, True),
        ({"clusters": frozenset({"westus"})}, False),
        ({"tiers": frozenset({"training"})}, True),
        ({"tiers": frozenset({"inference"})}, False),
    ],
)
def test_a_window_holds_in_its_scope_alone(scope, holds):
    found = frozen([window("0 0 * * *", 12, **scope)], {PAIR}, utc(11, 24, 8))
    assert (found is not None) == holds


def test_a_freeze_without_an_end_in_sight_says_so():
    found = frozen([window("0 * * * *", 2)], {PAIR}, utc(11, 24, 8))
    assert found.until is None
    assert "no end is in sight" in found.words


@pytest.fixture
def admin(db):
    return person("admin")


def draft(**changes) -> Draft:
    fields = {
        "name": "launch", "kind": "deny", "cron": "* * * * *", "minutes": 60, "time_zone": "UTC",
    }  # fmt: skip
    return Draft(**(fields | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"cron": "0 25 * * *"}, {"cron": "0 0 30 2 *"}, {"cron": "hourly"}, {"minutes": 0},
        {"time_zone": "Atlantis"}, {"kind": "maybe"}, {"clusters": ("nowhere",)},
        {"tiers": ("gaming",)}, {"name": ""},
    ],
)  # fmt: skip
def test_a_window_that_makes_no_sense_is_refused(admin, changes):
    with pytest.raises(FreezeInvalid):
        add_window(draft(**changes), by=admin)
    assert not FreezeWindow.objects.exists()


def test_admins_alone_keep_windows_and_both_acts_are_audited(admin, operator):
    with pytest.raises(NotAllowed, match=r"freeze\.manage"):
        add_window(draft(), by=operator)
    row = add_window(draft(), by=admin)
    remove_window(row.pk, by=admin)
    remove_window(row.pk, by=admin)
    actions = list(AuditRow.objects.filter(object_kind="freeze").values_list("action", flat=True))
    assert actions == ["freeze.added", "freeze.removed"]
    assert AuditRow.objects.get(action="freeze.removed").detail["cron"] == "* * * * *"


def test_a_frozen_plan_does_not_begin_until_the_window_is_gone(twin, armed, approved, admin):
    row = add_window(draft(tiers=("training",)), by=admin)
    plan = approved(spec())
    executor.execute(plan.id)
    assert Plan.objects.get(id=plan.id).state == "approved"
    assert "frozen by “launch”" in Execution.objects.get(plan=plan).outcome
    assert twin.mutations() == []
    assert [held.name for held in frozen_now()] == ["launch"]
    remove_window(row.pk, by=admin)
    executor.execute(plan.id)
    assert Plan.objects.get(id=plan.id).state == "verified"


@pytest.fixture
def freezing(monkeypatch, admin):
    """Freeze the cluster while a step of this kind runs for the first time."""

    def make(kind: type) -> None:
        real = kind.run

        def freeze_first(self, step):
            if not FreezeWindow.objects.exists():
                add_window(draft(clusters=(CLUSTER,)), by=admin)
            return real(self, step)

        monkeypatch.setattr(kind, "run", freeze_first)

    return make


def test_a_freeze_in_the_middle_lets_a_begun_node_through_and_begins_no_other(
    twin, armed, approved, admin, freezing
):
    second = [s.model_copy(update={"wave": s.wave + 4}) for s in node_steps(OTHER)]
    plan = approved(spec(moves=(node_move(), node_move(OTHER)), steps=(*node_steps(), *second)))
    freezing(Cordon)
    executor.execute(plan.id)
    states = list(Step.objects.filter(plan=plan).values_list("state", flat=True))
    assert states == ["done"] * 4 + ["pending"] * 4
    assert not any(twin.node(name)["spec"].get("unschedulable") for name in (NODE, OTHER))
    assert Plan.objects.get(id=plan.id).state == "executing"
    override_freeze(plan.id, by=admin, reason="the launch is over")
    executor.execute(plan.id)
    assert Plan.objects.get(id=plan.id).state == "verified"


def test_a_frozen_way_back_waits_and_an_admin_lets_it_go_on_from_the_page(
    twin, armed, approved, admin, operator, client
):
    plan = approved(spec())
    executor.execute(plan.id)
    add_window(draft(), by=admin)
    client.force_login(admin)
    preview = client.get(f"/plans/{plan.id}/way-back/").content.decode()
    assert "The way back waits too" in preview
    roll_back(plan.id, by=operator, reason="slower")
    executor.execute(plan.id)
    assert Plan.objects.get(id=plan.id).state == "rolling_back"
    assert "frozen by “launch”" in Execution.objects.get(plan=plan).outcome
    assert "Override the freeze" in client.get(f"/plans/{plan.id}/").content.decode()
    client.post(f"/plans/{plan.id}/override-freeze", {"reason": "users wait"})
    executor.execute(plan.id)
    assert Plan.objects.get(id=plan.id).state == "rolled_back"


def test_a_rehearsal_is_not_frozen(twin, approved, admin):
    add_window(draft(), by=admin)
    plan = approved(spec())
    executor.execute(plan.id)
    assert Plan.objects.get(id=plan.id).state == "rehearsed"


def test_an_override_needs_an_admin_and_a_reason_and_is_audited(named_cluster, admin, operator):
    add_window(draft(), by=admin)
    plan = services.propose_plan(spec(), authors=["planner"])
    with pytest.raises(NotAllowed):
        override_freeze(plan.id, by=operator, reason="please")
    with pytest.raises(ReasonMissing):
        override_freeze(plan.id, by=admin)
    assert frozen_plan(plan) is not None
    override_freeze(plan.id, by=admin, reason="outage")
    assert frozen_plan(plan) is None
    assert AuditRow.objects.get(action="plan.freeze_overridden").detail["why"] == "outage"
    Plan.objects.update(state="settled")
    with pytest.raises(WrongState):
        override_freeze(plan.id, by=admin, reason="again")


def test_pages_show_the_freeze_and_who_may_override_it(client, named_cluster, admin):
    client.force_login(admin)
    form = {"name": "launch", "kind": "deny", "cron": "0 0 * * *", "minutes": 44640,
            "time_zone": "Europe/Oslo", "cluster": CLUSTER, "tier": "training"}  # fmt: skip
    page = client.post("/plans/freezes/add", form, follow=True).content.decode()
    assert "frozen by “launch”" in page
    assert "<span>Frozen: launch</span>" in page
    plan = services.propose_plan(spec(), authors=["planner"])
    address = f"/plans/{plan.id}/"
    page = client.get(address).content.decode()
    assert "frozen by “launch”" in page
    assert "a rehearsal is not held" in page
    client.force_login(person("viewer"))
    assert "needs the right freeze.manage (role admin)" in client.get(address).content.decode()
    client.force_login(admin)
    page = client.post(f"{address}override-freeze", {"reason": "outage"}, follow=True)
    assert "Freeze windows do not hold this plan" in page.content.decode()
    assert "no time" in _refused(client, form | {"name": "x", "cron": "99 * * * *"})
    client.post(f"/plans/freezes/{FreezeWindow.objects.get().pk}/remove")
    assert "Nothing is frozen now" in client.get("/plans/freezes/").content.decode()


def _refused(client, form) -> str:
    return client.post("/plans/freezes/add", form, follow=True).content.decode()


def test_an_unratified_glass_shows_on_every_page(client, named_cluster, admin):
    plan = services.propose_plan(spec(), authors=["planner"])
    services.break_glass(plan.id, by=admin, plan_hash=plan.hash, reason="outage")
    client.force_login(admin)
    assert f"Plan {plan.number} unratified" in client.get("/plans/").content.decode()
    assert "admin approved it alone" in client.get("/").content.decode()
    services.ratify(plan.id, by=person("approver"), reason="seen")
    assert "unratified" not in client.get("/plans/").content.decode()
