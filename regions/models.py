"""What the regions keep: round-trip times that somebody measured elsewhere."""

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
