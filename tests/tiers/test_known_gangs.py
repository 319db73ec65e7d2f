"""The runs of gangs that the cycle's forecast knows, by series."""

from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone

from infra_console.fleet.queries import current_fleet
from tiers.facts import fleet_facts
from tiers.forecasting import forecast_fleet, gangs_by_row
from tiers.models import GangRun

pytestmark = pytest.mark.usefixtures("fleet")
KEYS = (("north", "chat"), ("north", "training"), ("south", "training"))


def ran(hours_ago: float, hours: float | None, **changes: object) -> GangRun:
    began = timezone.now() - timedelta(hours=hours_ago)
    values = {
        "cluster": "north", "namespace": "training", "tier": "training", "gpus": 8,
        "name": f"g{hours_ago}", "started_at": began, "started_told": True,
        "seen_at": timezone.now(),
        "ended_at": None if hours is None else began + timedelta(hours=hours),
    }  # fmt: skip
    return GangRun.objects.create(**(values | changes))


def test_each_queue_has_the_runs_of_its_cluster_and_namespaces_of_the_last_weeks():
    now = timezone.now()
    running = ran(3, None, deadline_at=now + timedelta(hours=1))
    ended = ran(30, 2)
    ran(30 * 24, 1)  # before the history begins
    ran(4, None, namespace="inference")
    found = gangs_by_row(fleet_facts(current_fleet()), KEYS, now=now)
    assert list(found) == [1]
    order = np.argsort(found[1].started_s)
    assert found[1].started_s[order].tolist() == [
        ended.started_at.timestamp(), running.started_at.timestamp()
    ]  # fmt: skip
    assert found[1].ended_s[order].tolist() == [ended.ended_at.timestamp(), np.inf]
    assert found[1].deadline_s[order].tolist() == [np.inf, (now + timedelta(hours=1)).timestamp()]


def test_a_cycle_judges_known_gangs_and_says_what_came_of_it(metrics):
    now = timezone.now()
    metrics(now, 5.0)
    for day in range(1, 3):
        ran(24 * day, 2)
    ran(3, None)
    book = forecast_fleet(
        fleet_facts(current_fleet()), now=now, load_model=lambda: (None, "none in tests")
    )
    training = book.entries["north", "training"]
    assert training.errors["4h"]["gangs"][1] > 0
    assert "known gangs and arrivals" in training.reasons[1]
    assert "gangs" not in book.entries["north", "chat"].errors["4h"]
