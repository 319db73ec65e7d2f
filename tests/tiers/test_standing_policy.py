"""The chosen point is the standing policy: every cycle follows it until it is changed."""

import pytest

from infra_console.audit.models import AuditRow
from infra_console.plans.models import Plan
from tests.tiers.test_cycle import now
from tiers import cycle as cycles
from tiers.core.fleet_state import FleetState
from tiers.core.frontier.follow import Choice
from tiers.core.frontier.what_if import WhatIf
from tiers.errors import ReasonMissing
from tiers.models import StandingPolicy
from tiers.policy import lift_policy, set_policy, standing_policy

pytestmark = pytest.mark.django_db
FASTER = Choice(0.7, WhatIf(give_way=True))


def test_the_cycle_follows_the_standing_policy_until_it_is_lifted(run, metrics, north):
    metrics(now(), 8.0)  # two groups of 5 requests/s run: enough as forecast
    calm = run(FleetState({"north": north}), now=now())
    assert calm.verdict == "No change is worth its price."

    set_policy(FASTER, by="petra", reason="the launch needs room")
    for _ in range(2):
        cycle = run(FleetState({"north": north}), by="system:cycle", now=now())
    plan = Plan.objects.get()
    assert [m.target.name for m in plan.spec.moves] == ["t2", "chat"]
    assert plan.authors == ["system:cycle", "petra"]
    said = cycle.document["course"]
    assert said["standing"] is True
    assert "the standing policy of petra" in said["words"]
    assert "the launch needs room" in said["words"]
    assert said["words"] in plan.spec.evidence.notes

    lift_policy(by="petra", reason="the launch is over")
    lifted = run(FleetState({"north": north}), now=now())
    assert "course" not in lifted.document
    assert lifted.verdict == "No change is worth its price."


def test_a_point_chosen_once_is_followed_by_that_cycle_alone(run, metrics, north):
    metrics(now(), 8.0)
    run(FleetState({"north": north}), now=now())
    chosen = {"choice": FASTER.document(), "reason": "try it"}
    made = cycles.run_cycle(by="petra", now=now(), load_model=lambda: (None, ""), chosen=chosen)
    assert made.document["course"]["standing"] is False
    assert Plan.objects.get().authors == ["petra"]
    assert "course" not in run(FleetState({"north": north}), now=now()).document


def test_who_set_it_when_and_why_is_kept_and_audited():
    with pytest.raises(ReasonMissing):
        set_policy(FASTER, by="petra", reason=" ")
    first = set_policy(FASTER, by="petra", reason="the launch needs room")
    second = set_policy(Choice(0.9), by="omar", reason="it was too dear")
    first.refresh_from_db()
    assert (first.ended_by, first.ended_reason) == ("omar", "replaced: it was too dear")
    assert standing_policy() == second
    assert lift_policy(by="petra", reason="enough") is True
    assert lift_policy(by="petra", reason="enough") is False
    rows = AuditRow.objects.filter(object_kind="policy").order_by("seq")
    assert [(r.actor, r.action) for r in rows] == [
        ("petra", "policy.set"), ("omar", "policy.set"), ("petra", "policy.lifted"),
    ]  # fmt: skip
    assert StandingPolicy.objects.get(pk=second.pk).set_at is not None


def test_a_choice_is_read_back_as_it_was_kept():
    choice = Choice(0.8, WhatIf(demand=1.3, spot=0.5, lost="r", floors={"chat": 2}), 120.0)
    assert Choice.of(choice.document()) == choice
