"""The tamper-evident trail: append-only rows, each carrying the hash of the one before."""

from django.db import models


class AuditRow(models.Model):
    """What one actor did to one object. `seq` has no gaps; triggers refuse all but INSERT."""

    seq = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    actor = models.CharField(max_length=150)
    action = models.CharField(max_length=100)
    object_kind = models.CharField(max_length=63)
    object_id = models.CharField(max_length=255)
    detail = models.JSONField()
    prev_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ("seq",)
        indexes = (models.Index(fields=("object_kind", "object_id"), name="audit_by_object"),)

    def __str__(self) -> str:
        return f"{self.seq} {self.actor} {self.action} {self.object_kind}/{self.object_id}"
