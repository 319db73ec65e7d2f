"""What the regions keep: imported round-trip times, drained regions, what was seen of routes."""

from django.db import models


class MatrixImport(models.Model):
    """An imported matrix of round-trip times; the newest counts, older ones stay as history."""

    # {source: {destination: ms}}
    document = models.JSONField()
    source = models.CharField(max_length=200)
    measured_at = models.DateTimeField()
    imported_at = models.DateTimeField()
    imported_by = models.CharField(max_length=150)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.source}, measured {self.measured_at:%Y-%m-%d}"


class Drain(models.Model):
    """A region that is to get no more requests, by whom and why; its row goes when it is opened."""

    region = models.CharField(max_length=100, primary_key=True)
    by = models.CharField(max_length=150)
    at = models.DateTimeField()
    reason = models.CharField(max_length=250)

    def __str__(self) -> str:
        return f"{self.region}, drained by {self.by}"


class RouteLook(models.Model):
    """One look at the routes of all clusters, in nobody's name or to propose; the newest counts.

    `document` is a `RouteBoard`; null while nobody has answered.
    """

    asked_by = models.CharField(max_length=150, blank=True)
    asked_at = models.DateTimeField()
    seen_at = models.DateTimeField(null=True)
    document = models.JSONField(null=True)
    problem = models.CharField(max_length=500, blank=True)
    plan_number = models.PositiveIntegerField(null=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"routes asked by {self.asked_by or 'the clock'} at {self.asked_at:%H:%M}"
