"""What the ledger keeps: lots of GPUs by state, waiting work, and changes seen between looks."""

from django.db import models


class LedgerLot(models.Model):
    """GPUs of one node that entered one state together. `until` is null while they are in it."""

    cluster = models.CharField(max_length=63)
    node = models.CharField(max_length=253)
    pool = models.CharField(max_length=190, blank=True)
    block = models.CharField(max_length=253, blank=True)
    gpu_type = models.CharField(max_length=120)
    tier = models.CharField(max_length=63, blank=True)
    state = models.CharField(max_length=24)
    owner = models.CharField(max_length=120, blank=True)
    workload = models.CharField(max_length=63, blank=True)
    gpus = models.PositiveIntegerField()
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)

    class Meta:
        ordering = ("since", "id")
        indexes = (
            models.Index(fields=("cluster",), condition=models.Q(until=None), name="lots_standing"),
            models.Index(fields=("until",), name="lots_ended"),
        )

    def __str__(self) -> str:
        return f"{self.gpus} GPUs {self.state} on {self.cluster}/{self.node}"


class WaitingWork(models.Model):
    """Work that waits now. `since` is what the cluster says, else when we saw it first."""

    cluster = models.CharField(max_length=63)
    namespace = models.CharField(max_length=63)
    name = models.CharField(max_length=253)
    tier = models.CharField(max_length=16, blank=True)
    gpus = models.PositiveIntegerField()
    reason = models.CharField(max_length=24)
    words = models.TextField(blank=True)
    since = models.DateTimeField()
    since_told = models.BooleanField()
    starts_by = models.DateTimeField(null=True)
    priority = models.IntegerField(null=True)
    plan_says = ""  # what the last cycle found about it; queries fill it in

    class Meta:
        ordering = ("since", "id")
        constraints = (
            models.UniqueConstraint(fields=("cluster", "namespace", "name"), name="waits_once"),
        )

    def __str__(self) -> str:
        return f"{self.cluster}/{self.namespace}/{self.name} waits: {self.reason}"


class ClusterLook(models.Model):
    """A cluster as last seen, so that the next look can say what changed."""

    cluster = models.CharField(primary_key=True, max_length=63)
    at = models.DateTimeField()
    document = models.JSONField()

    def __str__(self) -> str:
        return f"{self.cluster} at {self.at:%H:%M:%S}"


class FleetChange(models.Model):
    """One change between two looks. `plan` is the number of the plan that made it, if ours did."""

    at = models.DateTimeField(db_index=True)
    cluster = models.CharField(max_length=63)
    kind = models.CharField(max_length=24)
    object = models.CharField(max_length=320)
    words = models.TextField()
    plan = models.PositiveBigIntegerField(null=True)

    class Meta:
        ordering = ("-at", "-id")

    def __str__(self) -> str:
        return f"{self.cluster} {self.object}: {self.words}"


class AdoptionState(models.Model):
    """The last first look and the rules in force, as one row, id 1."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    inventory = models.JSONField(null=True)
    looked_at = models.DateTimeField(null=True)
    looked_by = models.CharField(max_length=150, blank=True)
    rules = models.JSONField(default=dict)
    rules_by = models.CharField(max_length=150, blank=True)

    def __str__(self) -> str:
        return "adoption"


class PlacementCheck(models.Model):
    """What kept each workload of a cluster off its places, as last checked."""

    cluster = models.CharField(primary_key=True, max_length=63)
    at = models.DateTimeField()
    rows = models.JSONField(default=list)
    problem = models.TextField(blank=True)

    class Meta:
        ordering = ("cluster",)

    def __str__(self) -> str:
        return f"placement in {self.cluster}"
