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
    usd_per_gpu_hour = models.DecimalField(max_digits=10, decimal_places=4, null=True)
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


class Reservation(models.Model):
    """One line of the contract list as imported. Empty scope parts mean any."""

    id = models.CharField(primary_key=True, max_length=190)
    start = models.DateTimeField()
    end = models.DateTimeField()
    gpus = models.PositiveIntegerField()
    pool = models.CharField(max_length=190, blank=True)
    cluster = models.CharField(max_length=63, blank=True)
    gpu_type = models.CharField(max_length=63, blank=True)
    source = models.CharField(max_length=200)
    imported_at = models.DateTimeField()
    imported_by = models.CharField(max_length=150)

    class Meta:
        ordering = ("start", "id")

    def __str__(self) -> str:
        return self.id


class PoolPrice(models.Model):
    """A pool's price from a day on, with its source; the newest day that has come is in force."""

    pool = models.CharField(max_length=190)
    valid_from = models.DateField()
    usd_per_gpu_hour = models.DecimalField(max_digits=10, decimal_places=4)
    source = models.CharField(max_length=200)
    imported_at = models.DateTimeField()
    imported_by = models.CharField(max_length=150)

    class Meta:
        ordering = ("pool", "-valid_from")
        constraints = (
            models.UniqueConstraint(fields=("pool", "valid_from"), name="one_price_a_day"),
        )

    def __str__(self) -> str:
        return f"{self.pool} from {self.valid_from}: {self.usd_per_gpu_hour}"
