"""Trainings as rows: one at a time, taken up again after a death, seen while they run."""

import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections

from infra_console.audit.models import AuditRow
from tests.people import person
from tiers import tasks, training_runs
from tiers.core.forecast.errors import TooLittleHistory
from tiers.models import Cycle, ForecastModel, TrainingRun, TrainingState
from tiers.services import request_training

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def model(at: datetime, **changes: object) -> ForecastModel:
    values = {
        "path": "models/x.safetensors", "sha256": "0" * 64, "trained_at": at, "seed": 1,
        "series": 2, "seconds": 3.0, "metrics": {"mae_vs_last_4h": 0.9},
    }  # fmt: skip
    return ForecastModel.objects.create(version=f"{at:%Y%m%dT%H%M%S}-1", **(values | changes))


class Trainer:
    """Records what it was asked and tells its progress as the real one does."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.asked: list[tuple[datetime, int]] = []
        self.seen: list[tuple[str, float]] = []
        self.fails = fails

    def __call__(self, now, *, seed, told):
        self.asked.append((now, seed))
        told("training", 0.45)
        row = TrainingRun.objects.get(state=TrainingState.RUNNING)
        self.seen.append((row.stage, row.progress))
        if self.fails:
            raise self.fails
        return model(now)


def work(trainer, now=NOW):
    return training_runs.work(now=now, load_trainer=lambda: trainer)


def test_a_training_that_was_asked_for_runs_once_and_tells_its_progress_and_result():
    request_training(by="anna", at=NOW)
    request_training(by="bert", at=NOW)  # one that waits is enough
    assert AuditRow.objects.filter(action="forecast.training_requested").count() == 2
    trainer = Trainer()
    run = work(trainer)
    assert (run.state, run.requested_by, run.version) == ("done", "anna", "20261124T120000-1")
    assert trainer.seen == [("training", 0.45)]
    assert (run.percent, run.attempts) == (100, 1)
    assert work(trainer, NOW + timedelta(hours=1)) is None
    assert len(trainer.asked) == 1


def cycled() -> None:
    Cycle.objects.create(started_at=NOW, finished_at=NOW, state="done", requested_by="anna")


def test_a_console_plans_before_it_trains_unless_somebody_asks():
    assert work(Trainer()) is None
    request_training(by="anna", at=NOW)
    assert work(Trainer()).requested_by == "anna"


def test_a_training_falls_due_by_age_and_nothing_is_imported_when_none_does():
    cycled()
    model(NOW - timedelta(hours=1))

    def never():
        raise AssertionError("imported for nothing")

    assert training_runs.work(now=NOW, load_trainer=never) is None
    assert work(Trainer(), NOW + timedelta(hours=6)).requested_by == training_runs.SYSTEM_TRAINER


def test_what_a_dead_worker_left_begins_again_as_of_the_same_moment_and_seed():
    left = TrainingRun.objects.create(
        requested_by="anna", requested_at=NOW, as_of=NOW, seed=5, state=TrainingState.RUNNING,
        stage="training", progress=0.6, attempts=1, beat_at=NOW,
    )  # fmt: skip
    assert left.shown_state == "silent"
    trainer = Trainer()
    run = work(trainer, NOW + timedelta(minutes=10))
    assert trainer.asked == [(NOW, 5)]
    assert (run.pk, run.state, run.attempts) == (left.pk, "done", 2)


def test_one_whose_worker_dies_every_time_is_given_up():
    TrainingRun.objects.create(
        requested_by="anna", requested_at=NOW, as_of=NOW, state=TrainingState.RUNNING,
        attempts=training_runs.MOST_ATTEMPTS,
    )  # fmt: skip
    model(NOW)
    assert work(Trainer()) is None
    assert TrainingRun.objects.get().reason.startswith("Its worker died 3 times")


def test_too_little_history_is_said_and_not_tried_every_minute():
    cycled()
    trainer = Trainer(TooLittleHistory("no series has a history yet"))
    run = work(trainer)
    assert (run.state, run.reason) == ("failed", "no series has a history yet")
    assert work(trainer, NOW + timedelta(minutes=5)) is None
    assert work(trainer, NOW + timedelta(minutes=11)) is not None


def test_a_training_that_breaks_says_so_and_the_worker_logs_why():
    request_training(by="anna", at=NOW)
    with pytest.raises(MemoryError):
        work(Trainer(MemoryError("9 GiB")))
    assert TrainingRun.objects.get().reason == training_runs.FAILED


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_train_at_once():
    request_training(by="anna", at=NOW)
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [training_runs.TRAINING_LOCK])
        assert work(Trainer()) is None
    finally:
        other.close()  # as a worker's death does; the server notices a moment later
    ends = time.monotonic() + 5
    while (run := work(Trainer())) is None and time.monotonic() < ends:
        time.sleep(0.02)
    assert run is not None
    assert run.state == "done"


def test_without_torch_a_cycle_goes_on_without_the_network(monkeypatch):
    monkeypatch.setitem(sys.modules, "tiers.training", None)
    found, why = tasks._load_model()
    assert found is None
    assert why.startswith("torch cannot be loaded")


def test_who_may_retrain_is_the_planner_and_the_viewer_is_told(client):
    client.force_login(person("viewer"))
    assert client.post("/tiers/forecast/train").status_code == 403
    assert "needs the right forecast.manage (role planner)" in client.get(
        "/tiers/forecast/").content.decode()  # fmt: skip
    client.force_login(person("planner"))
    assert client.post("/tiers/forecast/train").status_code == 302
    assert TrainingRun.objects.get().requested_by == "planner"
    found = client.post("/api/v1/tiers/trainings")
    assert (found.status_code, found.json()["state"]) == (202, "waiting")
