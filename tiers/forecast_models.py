"""What the forecast page keeps beside forecasts: trainings of the network, the calendar."""

from datetime import timedelta

from django.db import models
from django.utils import timezone

SILENT_AFTER = timedelta(minutes=3)  # an epoch on a busy core takes less


class TrainingState(models.TextChoices):
    WAITING = "waiting"  # for a worker of the queue `forecast`
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class TrainingRun(models.Model):
    """One training, from being asked for to its end.

    `as_of` and `seed` are set once: a run that is taken up again after its worker died reads the
    same history and draws the same windows, so it ends with the same weights.
    """

    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField(db_index=True)
    as_of = models.DateTimeField(null=True)
    seed = models.BigIntegerField(default=1)
    state = models.CharField(
        max_length=16, choices=TrainingState.choices, default=TrainingState.WAITING
    )
    stage = models.CharField(max_length=32, blank=True)
    progress = models.FloatField(default=0.0)  # share of the stages done
    attempts = models.PositiveSmallIntegerField(default=0)
    beat_at = models.DateTimeField(null=True)  # when the worker last said something
    finished_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)  # why it failed
    version = models.CharField(max_length=64, blank=True)  # of the model it ended with

    class Meta:
        ordering = ("-requested_at", "-id")
        constraints = (
            models.UniqueConstraint(
                fields=("state",),
                condition=models.Q(state="waiting"),
                name="one_training_waits",
            ),
        )

    def __str__(self) -> str:
        return f"training {self.pk}"

    @property
    def percent(self) -> int:
        return round(100 * self.progress)

    @property
    def shown_state(self) -> str:
        """`silent` where a running one has not been heard of for a while."""
        quiet = self.beat_at is not None and timezone.now() - self.beat_at > SILENT_AFTER
        return "silent" if self.state == TrainingState.RUNNING and quiet else self.state


class EventKind(models.TextChoices):
    LAUNCH = "launch"
    BATCH = "batch window"
    HOLIDAY = "holiday"
    OTHER = "other"


class CalendarEvent(models.Model):
    """A known time when demand will be, or was, unlike other times. Empty region or workload
    means all of them."""

    kind = models.CharField(max_length=16, choices=EventKind.choices)
    title = models.CharField(max_length=120)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    region = models.CharField(max_length=63, blank=True)
    workload = models.CharField(max_length=63, blank=True)
    made_by = models.CharField(max_length=150)
    made_at = models.DateTimeField()

    class Meta:
        ordering = ("starts_at", "id")
        indexes = (models.Index(fields=("ends_at",), name="events_by_end"),)

    def __str__(self) -> str:
        return f"{self.kind}: {self.title}"
