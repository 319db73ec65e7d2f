"""What an admin allowed this console to take over from other writers."""

from django.db import models


class TakeOver(models.Model):
    """Our executor may write a kind's mapped field in one cluster, though `manager` owns it."""

    cluster = models.CharField(max_length=63)
    kind = models.CharField(max_length=63)
    manager = models.CharField(max_length=128)
    by = models.CharField(max_length=150)
    at = models.DateTimeField()
    reason = models.TextField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["cluster", "kind", "manager"], name="one_take_over_per_manager"
            ),
        )

    def __str__(self) -> str:
        return f"{self.cluster}: {self.kind} from {self.manager}"


class OwnedLook(models.Model):
    """Whose the mapped fields of one cluster are, as a worker last read it.

    `found` and `unread` stay while a newer question is open, or could not be answered: `problem`
    says why.
    """

    cluster = models.CharField(max_length=63, unique=True)
    asked_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    found = models.JSONField(default=list)
    unread = models.JSONField(default=list)
    problem = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"owners in {self.cluster}"
