"""What the compute domain keeps: observations, cycles, forecasts and trained models."""

import uuid

from django.db import models

from tiers.demand_models import DemandCorrection, GangRun, MeasuredThroughput
from tiers.forecast_models import CalendarEvent, EventKind, TrainingRun, TrainingState
from tiers.ledger_models import (
    AdoptionState,
    ClusterLook,
    FleetChange,
    LedgerLot,
    PlacementCheck,
    WaitingWork,
)
from tiers.policy_models import StandingPolicy

__all__ = [
    "AdoptionState",
    "CalendarEvent",
    "ClusterLook",
    "Cycle",
    "CycleState",
    "DemandCorrection",
    "EventKind",
    "FleetChange",
    "ForecastModel",
    "GangRun",
    "LedgerLot",
    "MeasuredThroughput",
    "Observation",
    "PlacementCheck",
    "StandingPolicy",
    "TrainingRun",
    "TrainingState",
    "WaitingWork",
    "WorkloadForecast",
]


class Observation(models.Model):
    """The fleet as seen at one moment: ledger, tiers and models by cluster (observation/1)."""

    at = models.DateTimeField(db_index=True)
    document = models.JSONField()

    class Meta:
        ordering = ("-at",)

    def __str__(self) -> str:
        return f"observation at {self.at:%Y-%m-%d %H:%M:%S}"


class CycleState(models.TextChoices):
    RUNNING = "running"
    DONE = "done"
    FROZEN = "frozen"  # inputs too old or missing: nothing was planned
    FAILED = "failed"


class Cycle(models.Model):
    """One pass of the loop from telemetry to plans, with what it found and what it proposed."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    started_at = models.DateTimeField(db_index=True)
    finished_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=16, choices=CycleState.choices)
    stage = models.CharField(max_length=32, default="telemetry")
    requested_by = models.CharField(max_length=150)
    verdict = models.TextField(blank=True)
    document = models.JSONField(default=dict)

    class Meta:
        ordering = ("-started_at",)

    def __str__(self) -> str:
        return f"cycle {self.id}"


class PlannedSnapshot(models.Model):
    """What a cycle allocated from and to: its snapshot/1 and the groups by pool and workload."""

    cycle = models.OneToOneField(
        Cycle, on_delete=models.CASCADE, primary_key=True, related_name="planned"
    )
    at = models.DateTimeField(db_index=True)
    snapshot = models.JSONField()
    groups = models.JSONField()

    class Meta:
        ordering = ("-at",)

    def __str__(self) -> str:
        return f"snapshot at {self.at:%Y-%m-%d %H:%M:%S}"


class WorkloadForecast(models.Model):
    """One cycle's forecast of one workload's demand in one cluster.

    `quantiles` is a list of steps, each a list in the order of core.forecast QUANTILES. `errors`
    are the candidates' recent errors by horizon: {"2h": {"last": [mae, origins], …}}. `input_at` is
    when the newest value was known that the forecast saw.
    """

    cycle = models.ForeignKey(Cycle, on_delete=models.CASCADE, related_name="forecasts")
    cluster = models.CharField(max_length=63)
    workload = models.CharField(max_length=63)
    tier = models.CharField(max_length=16)
    unit = models.CharField(max_length=16)
    made_at = models.DateTimeField()
    step_s = models.PositiveIntegerField()
    last_value = models.FloatField(null=True)
    model_2h = models.CharField(max_length=32)
    model_4h = models.CharField(max_length=32)
    reasons = models.JSONField(default=list)
    coverage_95 = models.FloatField(null=True)
    quantiles = models.JSONField()
    errors = models.JSONField(default=dict)
    input_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("cycle", "cluster", "workload"), name="one_forecast_per_series"
            ),
        )

    def __str__(self) -> str:
        return f"{self.workload} in {self.cluster} at {self.made_at:%H:%M}"


class ForecastModel(models.Model):
    """A trained weights file; refused files stay listed with the reason."""

    version = models.CharField(primary_key=True, max_length=64)
    path = models.CharField(max_length=500)
    sha256 = models.CharField(max_length=64)
    trained_at = models.DateTimeField(db_index=True)
    seed = models.BigIntegerField()
    series = models.PositiveIntegerField()
    seconds = models.FloatField()
    metrics = models.JSONField(default=dict)
    state = models.CharField(max_length=16, default="active")
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ("-trained_at",)

    def __str__(self) -> str:
        return self.version

    @property
    def mae_vs_last_4h(self) -> float | None:
        """Its mixture's error over the last value's on days it had not seen."""
        found: float | None = self.metrics.get("mae_vs_last_4h")
        return found
