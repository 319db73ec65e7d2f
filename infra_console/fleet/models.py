"""Region, cluster, pool and workload as identities that every other part refers to."""

from django.db import models


class TierName(models.TextChoices):
    INFERENCE = "inference"
    TRAINING = "training"
    OPERATIONAL = "operational"


class Region(models.Model):
    id = models.SlugField(primary_key=True, max_length=63)
    place = models.CharField(max_length=120)
    latitude = models.FloatField()
    longitude = models.FloatField()
    jurisdiction = models.CharField(max_length=8)
    utc_offset_hours = models.FloatField(default=0.0)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return self.id


class Cluster(models.Model):
    """One Kubernetes API. `id` is the `cluster` label on its series."""

    id = models.SlugField(primary_key=True, max_length=63)
    context = models.CharField(max_length=253)
    region = models.ForeignKey(Region, on_delete=models.PROTECT, related_name="clusters")

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return self.id


class Pool(models.Model):
    """Interchangeable GPUs of one cluster: GPU type and purchase kind."""

    id = models.CharField(primary_key=True, max_length=190)
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="pools")
    gpu_type = models.CharField(max_length=63)
    purchase = models.CharField(max_length=16)
    usd_per_gpu_hour = models.DecimalField(max_digits=10, decimal_places=4)
    gpu_memory_gib = models.FloatField()
    selector = models.JSONField()

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return self.id


class Workload(models.Model):
    """Something that asks for GPUs; the numbers an operator stated about it are in `profile`."""

    id = models.SlugField(primary_key=True, max_length=63)
    tier = models.CharField(max_length=16, choices=TierName.choices)
    namespace = models.CharField(max_length=63)
    kind = models.CharField(max_length=32)
    name = models.CharField(max_length=253, blank=True)
    model = models.CharField(max_length=120, blank=True)
    profile = models.JSONField()

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return self.id


class FleetSetting(models.Model):
    """The fleet file's remaining facts (tier keys, floors, twin) as one row, id 1."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    document = models.JSONField()
    applied_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return "fleet settings"
