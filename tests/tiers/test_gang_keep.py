"""Runs of gangs, kept from one look to the next."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tiers.core.demand.gangs import RunningGang
from tiers.core.fleet_state import FleetState
from tiers.gang_keep import keep_gangs
from tiers.models import GangRun

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def look(north, minutes, *told):
    keep_gangs(FleetState({"north": north}), {"north": list(told)}, now=NOW + minutes * MINUTE)


def test_a_gang_runs_from_the_look_that_saw_it_first_to_the_one_that_missed_it(north):
    look(north, 0)
    look(north, 4)
    (run,) = GangRun.objects.all()
    assert (run.name, run.gpus, run.started_at, run.started_told) == ("train-1", 8, NOW, False)
    idle = replace(north, pods=north.pods[:2])
    look(idle, 5)
    run.refresh_from_db()
    assert run.ended_at == NOW + 5 * MINUTE
    look(north, 6)  # the same name again is another run
    assert GangRun.objects.count() == 2


def test_without_a_queue_a_gang_runs_since_its_last_pod_began(north):
    begun = [NOW - timedelta(hours=2), NOW - timedelta(hours=1)]
    pods = tuple(replace(north.pods[2], name=f"train-1-{i}", started_at=at, priority=4)
                 for i, at in enumerate(begun))  # fmt: skip
    look(replace(north, pods=pods), 0)
    (run,) = GangRun.objects.all()
    assert (run.gpus, run.priority, run.started_at, run.started_told) == (16, 4, begun[1], True)
    look(replace(north, pods=(replace(pods[0], started_at=None), pods[1])), 1)
    run.refresh_from_db()
    assert (run.started_at, run.started_told) == (begun[1], False)


def test_what_its_queue_says_of_a_gang_goes_first(north):
    began = NOW - timedelta(hours=3)
    look(north, 0, RunningGang("training", "train-1", "training", 16, 7, began, NOW))
    (run,) = GangRun.objects.all()
    assert (run.gpus, run.priority, run.started_at, run.started_told) == (8, 7, began, True)
    assert run.deadline_at == NOW


def test_a_run_that_ended_unseen_teaches_nothing_and_a_silent_cluster_ends_none(north):
    look(north, 0)
    keep_gangs(FleetState({}, {"north": "timed out"}), {}, now=NOW + 30 * MINUTE)
    assert GangRun.objects.get().ended_at is None
    look(replace(north, pods=()), 60)
    assert not GangRun.objects.exists()
