"""What demand keeps: runs of gangs, throughput as last measured, corrections between cycles."""

from django.db import models


class GangRun(models.Model):
    """One run of a gang. `ended_at` is null while it runs; `started_at` is what the cluster says
    (`started_told`), else when we saw it first."""

    cluster = models.CharField(max_length=63)
    namespace = models.CharField(max_length=63)
    name = models.CharField(max_length=253)
    tier = models.CharField(max_length=16)
    gpus = models.PositiveIntegerField()
    priority = models.IntegerField(null=True)
    started_at = models.DateTimeField()
    started_told = models.BooleanField()
    deadline_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("started_at", "id")
        constraints = (
            models.UniqueConstraint(
                fields=("cluster", "namespace", "name"),
                condition=models.Q(ended_at=None),
                name="gang_runs_once",
            ),
        )
        indexes = (models.Index(fields=("tier", "ended_at"), name="gangs_ended"),)

    def __str__(self) -> str:
        return f"{self.cluster}/{self.namespace}/{self.name}, {self.gpus} GPUs"


class MeasuredThroughput(models.Model):
    """What one GPU of a type served of a model at its objective, as last measured."""

    model = models.CharField(max_length=253)
    gpu_type = models.CharField(max_length=120)
    requests_per_s = models.FloatField(null=True)
    tokens_per_s = models.FloatField()
    words = models.TextField()
    at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("model", "gpu_type"), name="one_throughput_a_type"),
        )

    def __str__(self) -> str:
        return f"{self.model} on {self.gpu_type}"


class DemandCorrection(models.Model):
    """How far live queues outgrew what a cycle planned, at their highest since it.

    It goes with its cycle, and is out of force as soon as another one has planned.
    """

    cycle = models.ForeignKey("tiers.Cycle", on_delete=models.CASCADE, related_name="corrections")
    cluster = models.CharField(max_length=63)
    workload = models.CharField(max_length=63)
    at = models.DateTimeField()
    wanted_rps = models.FloatField()
    planned_rps = models.FloatField()
    gpus = models.FloatField()
    arrivals_rps = models.FloatField()
    waiting = models.FloatField(null=True)
    refused_rps = models.FloatField(null=True)
    asked_at = models.DateTimeField(null=True)  # when a cycle was asked for because of it

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("cycle", "cluster", "workload"), name="one_correction_a_workload"
            ),
        )

    def __str__(self) -> str:
        return f"{self.workload} in {self.cluster}, {self.gpus:.1f} GPUs more"
