"""What surrounds a decision as rows: comments, break-glass, freeze windows and their overrides."""

from django.db import models

USERNAME_LENGTH = 150


class Comment(models.Model):
    """What somebody said about a plan. A trigger refuses UPDATE and DELETE."""

    plan = models.ForeignKey("plans.Plan", on_delete=models.PROTECT, related_name="comments")
    by = models.CharField(max_length=USERNAME_LENGTH)
    at = models.DateTimeField()
    text = models.TextField()

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.by}: {self.text[:40]}"


class BreakGlass(models.Model):
    """An approval that one person gave alone; a colleague ratifies it before `ratify_before`."""

    approval = models.OneToOneField(
        "plans.Approval", on_delete=models.PROTECT, related_name="break_glass"
    )
    ratify_before = models.DateTimeField()
    ratified_by = models.CharField(max_length=USERNAME_LENGTH, blank=True)
    ratified_at = models.DateTimeField(null=True)
    ratify_reason = models.TextField(blank=True)
    flagged_at = models.DateTimeField(null=True)  # when the audit was told that nobody had

    def __str__(self) -> str:
        return f"break-glass: {self.approval}"


class FreezeWindow(models.Model):
    """When changes may not start (`deny`), or may only start (`allow`); deny wins.

    It opens at each time of `cron` in `time_zone` and lasts `minutes`. No clusters or tiers named
    means all of them.
    """

    class Kind(models.TextChoices):
        DENY = "deny"
        ALLOW = "allow"

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=5, choices=Kind.choices)
    cron = models.CharField(max_length=100)
    minutes = models.PositiveIntegerField()
    time_zone = models.CharField(max_length=63)
    clusters = models.JSONField(default=list)
    tiers = models.JSONField(default=list)
    made_by = models.CharField(max_length=USERNAME_LENGTH)
    made_at = models.DateTimeField()

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class FreezeOverride(models.Model):
    """An admin's word that one plan goes on in spite of every freeze window."""

    plan = models.OneToOneField(
        "plans.Plan", on_delete=models.PROTECT, related_name="freeze_override"
    )
    by = models.CharField(max_length=USERNAME_LENGTH)
    at = models.DateTimeField()
    reason = models.TextField()

    def __str__(self) -> str:
        return f"freeze override for {self.plan} by {self.by}"
