"""Data sources that an admin keeps in the console, and what was last seen and fetched of each."""

from django.db import models


class DataSource(models.Model):
    """One Prometheus-compatible source; `sealed` holds its credentials (see sealing.py)."""

    id = models.CharField(primary_key=True, max_length=63)
    url = models.CharField(max_length=500)
    flavour = models.CharField(max_length=16, default="prometheus")
    clusters = models.JSONField(default=list)
    scrape_interval_s = models.FloatField(default=15.0)
    timeout_s = models.FloatField(default=15.0)
    post = models.BooleanField(default=False)
    params = models.JSONField(default=dict)
    jobs = models.JSONField(default=dict)
    header_names = models.JSONField(default=list)
    auth = models.CharField(max_length=8, default="none")
    username = models.CharField(max_length=200, blank=True)
    ca_pem = models.TextField(blank=True)
    client_cert_pem = models.TextField(blank=True)
    server_name = models.CharField(max_length=253, blank=True)
    skip_verify = models.BooleanField(default=False)
    sealed = models.TextField(blank=True, editable=False)
    max_queries_per_min = models.PositiveIntegerField(default=0)
    max_series_per_min = models.PositiveIntegerField(default=0)
    max_mib_per_min = models.PositiveIntegerField(default=0)
    changed_by = models.CharField(max_length=150)
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return self.id


class SourceHealth(models.Model):
    """The last look at a source, kept in the console or declared.

    `since` is when its answer last turned from good to bad or back; `problem` is empty when good.
    """

    source_id = models.CharField(primary_key=True, max_length=63)
    problem = models.CharField(max_length=500, blank=True)
    since = models.DateTimeField()
    checked_at = models.DateTimeField()
    # What its loaded recording rules lack, in words, and when it was asked.
    rules = models.TextField(blank=True)
    rules_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.source_id


class SourceUse(models.Model):
    """What one process fetched from a source in the minute before `at`; `pace` says in words where
    its budget stretches the readings."""

    source_id = models.CharField(max_length=63)
    process = models.CharField(max_length=100)
    at = models.DateTimeField()
    queries = models.PositiveIntegerField()
    series = models.PositiveIntegerField()
    bytes = models.PositiveBigIntegerField()
    pace = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("source_id", "process"), name="one_use_a_process"),
        )

    def __str__(self) -> str:
        return f"{self.source_id} by {self.process}"
