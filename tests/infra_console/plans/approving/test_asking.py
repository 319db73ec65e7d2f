"""A cap on how often people are asked in a shift."""

import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from infra_console.overview.queries import plans_to_decide, plans_waiting
from infra_console.plans import services
from infra_console.plans.approving.asking import ask_next, held_back
from infra_console.plans.models import Plan
from tests.infra_console.plans.specs import node_move, node_steps, spec

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _cap(settings):
    settings.APPROVAL_REQUESTS_PER_SHIFT = 2


def propose(number: int, *, gain: float = 100.0, urgent: str = "", domain: str = "") -> Plan:
    """Plan `number` of its own node; each is of its own domain, so that none replaces another."""
    name = f"node-{number}"
    document = spec(moves=(node_move(name),), steps=tuple(node_steps(name)), gain_usd=gain,
                    urgent=urgent, domain=domain or f"d{number}")  # fmt: skip
    return services.propose_plan(document, authors=["planner"])


def fill_the_shift() -> None:
    propose(1)
    propose(2)


def later(**ago: float) -> None:
    """As if this time had passed since people were asked."""
    for plan in Plan.objects.exclude(asked_at=None):
        Plan.objects.filter(id=plan.id).update(asked_at=plan.asked_at - timedelta(**ago))


def test_above_the_cap_proposals_are_held_back_visibly():
    asked = [propose(1), propose(2)]
    held = propose(3)
    assert [p.held_back for p in (*asked, held)] == [False, False, True]
    assert plans_waiting() == 2
    assert held not in plans_to_decide()
    seen = held_back()
    assert seen.words.startswith("1 held back; the cap of 2 per 8 h is reached; room again at ")
    assert seen.room_at == asked[0].asked_at + timedelta(hours=8)


def test_room_goes_to_the_most_valuable_first():
    fill_the_shift()
    small, large = propose(3, gain=10), propose(4, gain=500)
    later(hours=8, minutes=1)
    Plan.objects.filter(number=2).update(asked_at=timezone.now())
    assert ask_next() == 1
    assert Plan.objects.get(id=large.id).held_back is False
    assert Plan.objects.get(id=small.id).held_back is True
    assert ask_next() == 0


def test_what_is_urgent_is_never_held_back():
    fill_the_shift()
    urgent = propose(3, urgent="it restores a floor")
    assert (urgent.held_back, urgent.urgent) == (False, "it restores a floor")


def test_a_plan_that_was_held_back_and_has_become_urgent_is_asked_for():
    fill_the_shift()
    held = propose(3)
    again = propose(3, urgent="it restores a floor")
    assert (again.id, again.held_back) == (held.id, False)


def test_a_plan_that_replaces_one_under_review_takes_no_room():
    first = propose(1, domain="tiers")
    renewed = propose(2, gain=900, domain="tiers")
    first.refresh_from_db()
    assert (first.state, renewed.held_back) == ("superseded", False)
    assert renewed.asked_at == first.asked_at
    assert propose(3).held_back is False
    assert propose(4).held_back is True


def test_what_replaces_a_held_one_is_held_too():
    fill_the_shift()
    propose(3, domain="tiers")
    assert propose(4, gain=900, domain="tiers").held_back is True


def test_without_a_cap_everything_is_asked_for(settings):
    settings.APPROVAL_REQUESTS_PER_SHIFT = 0
    assert not any(propose(n).held_back for n in range(5))
    assert held_back() is None


def test_a_held_plan_may_be_decided_on_all_the_same(approver):
    fill_the_shift()
    held = propose(3)
    done = services.approve_plan(held.id, by=approver, plan_hash=held.hash, reason="fits")
    assert done.state == "approved"
    assert held_back() is None


def test_pages_command_and_api_say_what_is_held_back(client, approver, capsys):
    fill_the_shift()
    held = propose(3, gain=1)
    client.force_login(approver)
    for page in ("/plans/", "/"):
        assert "1 held back; the cap of 2 per 8 h is reached" in client.get(page).content.decode()
    assert "Held back: people were asked" in client.get(f"/plans/{held.id}/").content.decode()
    assert client.get(f"/api/v1/plans/{held.id}").json()["held_back"] is True
    call_command("plans", "list")
    assert capsys.readouterr().out.count("(held back)") == 1
    call_command("plans", "list", "--json")
    assert json.loads(capsys.readouterr().out)[0]["held_back"] is True


def test_what_becomes_urgent_while_it_waits_is_asked_for_and_told_once():
    fill_the_shift()
    held = propose(3)
    assert services.raise_urgency(held.id, why="a queue grows", who="system:fast_pass")
    plan = Plan.objects.get(id=held.id)
    assert (plan.urgent, plan.held_back, plan.hash) == ("a queue grows", False, held.hash)
    assert not services.raise_urgency(held.id, why="another", who="system:fast_pass")
    assert Plan.objects.get(id=held.id).urgent == "a queue grows"


@pytest.mark.parametrize("change", [{"state": "approved"}, {"expires_at": timezone.now()}])
def test_nobody_is_asked_for_a_plan_that_is_decided_or_over(change):
    plan = propose(1)
    Plan.objects.filter(id=plan.id).update(**change)
    assert not services.raise_urgency(plan.id, why="a queue grows", who="system:fast_pass")
    assert Plan.objects.get(id=plan.id).urgent == ""
