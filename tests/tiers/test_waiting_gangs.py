"""Gangs that wait: from the ledger to the allocator, and what the cycle found on the pages."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.utils import timezone

from infra_console.plans.models import Plan
from tests.people import person
from tests.tiers.factories import fleet_config
from tiers.core.fleet_state import FleetState, PodView
from tiers.facts import fleet_facts
from tiers.models import PlannedSnapshot, WaitingWork
from tiers.waiting_gangs import MOST_GANGS, waiting_gangs

BIG = PodView("training", "big-0", "", "Pending", None, 24, "training", "training", "big")
SAYS = "the plan has no room for it in any step; no set of stops above the floors"


def waits(name, **changes):
    values = {
        "cluster": "north", "namespace": "training", "name": name, "tier": "training", "gpus": 12,
        "reason": "GPUs", "since": timezone.now(), "since_told": True,
    }  # fmt: skip
    return WaitingWork.objects.create(**(values | changes))


def test_a_cycle_says_of_each_waiting_gang_when_it_starts_and_so_do_plan_and_pages(
    run, metrics, north, client
):
    metrics(datetime.now(UTC), 19.0)
    waiting = replace(north, pods=(*north.pods, BIG))
    cycle = run(FleetState({"north": waiting}), now=datetime.now(UTC))
    words = cycle.document["gangs"]["north/training/big"]
    assert words.startswith(SAYS)
    (snapshot,) = PlannedSnapshot.objects.values_list("snapshot", flat=True)
    assert snapshot["gangs"] == [
        {"id": "north/training/big", "workload": "training", "region": "north", "groups": 3}
    ]
    assert [c["age_s"] for c in snapshot["checkpoints"]] == [60.0]
    assert f"training/big waits: {words}." in Plan.objects.get().spec.evidence.notes
    client.force_login(person("viewer"))
    assert SAYS in client.get("/tiers/ledger/").content.decode()
    assert (
        SAYS
        in client.get(
            "/tiers/demand/", headers={"HX-Request": "true", "HX-Target": "demand"}
        ).content.decode()
    )


@pytest.mark.usefixtures("fleet")
def test_gangs_come_in_their_turn_and_those_that_no_gpu_would_help_are_left_out():
    waits("late")
    waits("first", priority=100)
    waits("held", reason="held")
    waits("chat-pod", tier="inference", namespace="inference")
    facts = fleet_facts(fleet_config())
    found = waiting_gangs(facts, ["north"])
    assert [(g["id"], g["groups"]) for g in found] == [
        ("north/training/first", 2), ("north/training/late", 2),
    ]  # fmt: skip
    assert waiting_gangs(facts, []) == []
    for number in range(MOST_GANGS):
        waits(f"more-{number}")
    assert len(waiting_gangs(facts, ["north"])) == MOST_GANGS
