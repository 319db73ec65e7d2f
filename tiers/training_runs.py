"""Trainings as rows: asked for by people or by age, worked one at a time, seen while they run.

Whoever holds the lock runs alone, and the lock goes with its worker: a row still called running
then was left by a worker that died, and is taken up as of the same moment with the same seed.
Weights are written at the end, whole or not at all. No torch here: pages import this.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from django.db import connection
from django.utils import timezone

from infra_console.live.services import publish
from tiers.core.forecast.errors import TooLittleHistory
from tiers.errors import NoFleet
from tiers.models import Cycle, ForecastModel, TrainingRun, TrainingState
from tiers.queries import training_is_due

log = logging.getLogger(__name__)

SYSTEM_TRAINER = "system:training"
# One training at a time, whichever worker runs it.
TRAINING_LOCK = 7_401_004
MOST_ATTEMPTS = 3
RETRY_AFTER = timedelta(minutes=10)  # one by age that failed is not tried again before
FAILED = "The training failed; the log of the forecast worker says why. The model before stays."
DIED = f"Its worker died {MOST_ATTEMPTS} times; the model before stays. Look for memory limits."
Told = Callable[[str, float], None]  # the stage, and the share of all stages that is done


class Trainer(Protocol):
    def __call__(self, now: datetime, *, seed: int, told: Told) -> ForecastModel: ...


def work(*, now: datetime, load_trainer: Callable[[], Trainer]) -> TrainingRun | None:
    """Do the training whose turn it is; None when there is none or another worker is at it.

    Args:
        load_trainer: imports what trains; called only when there is something to train.
    """
    if not _try_lock():
        return None
    try:
        run = _take_up(now)
        return _carry_out(run, load_trainer) if run else None
    finally:
        _unlock()


def _take_up(now: datetime) -> TrainingRun | None:
    """What a dead worker left, else what waits, else what is due by age."""
    for run in TrainingRun.objects.filter(state=TrainingState.RUNNING):
        if run.attempts < MOST_ATTEMPTS:
            return _begin(run, now)
        _end(run, TrainingState.FAILED, reason=DIED)
    waiting = TrainingRun.objects.filter(state=TrainingState.WAITING).first()
    if waiting is None and _due(now):
        waiting = TrainingRun.objects.create(requested_by=SYSTEM_TRAINER, requested_at=now)
    return _begin(waiting, now) if waiting else None


def _due(now: datetime) -> bool:
    last = TrainingRun.objects.filter(requested_by=SYSTEM_TRAINER).first()
    failed = last is not None and last.state == TrainingState.FAILED
    if failed and last is not None and now - last.requested_at < RETRY_AFTER:
        return False
    # The first plan comes first: on a small machine a training would hold it up.
    return training_is_due(now=now) and Cycle.objects.filter(finished_at__isnull=False).exists()


def _begin(run: TrainingRun, now: datetime) -> TrainingRun:
    run.as_of = run.as_of or now
    run.attempts += 1
    TrainingRun.objects.filter(pk=run.pk).update(
        state=TrainingState.RUNNING, as_of=run.as_of, attempts=run.attempts, stage="reading",
        progress=0.0, beat_at=now,
    )  # fmt: skip
    publish("training", str(run.pk), run.attempts)
    return run


def _carry_out(run: TrainingRun, load_trainer: Callable[[], Trainer]) -> TrainingRun:
    assert run.as_of is not None

    def told(stage: str, share: float) -> None:
        TrainingRun.objects.filter(pk=run.pk).update(
            stage=stage, progress=round(share, 3), beat_at=timezone.now()
        )
        publish("training", str(run.pk), run.attempts)

    try:
        model = load_trainer()(run.as_of, seed=run.seed, told=told)
    except (NoFleet, TooLittleHistory) as err:
        log.info("Nothing trained: %s", err)
        return _end(run, TrainingState.FAILED, reason=str(err))
    except Exception:
        _end(run, TrainingState.FAILED, reason=FAILED)
        raise
    return _end(run, TrainingState.DONE, version=model.version)


def _end(
    run: TrainingRun, state: TrainingState, *, reason: str = "", version: str = ""
) -> TrainingRun:
    TrainingRun.objects.filter(pk=run.pk).update(
        state=state, reason=reason, version=version, stage="", finished_at=timezone.now(),
        progress=1.0 if state == TrainingState.DONE else 0.0,
    )  # fmt: skip
    publish("training", str(run.pk), run.attempts)
    run.refresh_from_db()
    return run


def _try_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [TRAINING_LOCK])
        return bool(cursor.fetchone()[0])


def _unlock() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s)", [TRAINING_LOCK])
