"""Envelopes as rows: an approval given in advance, its bounds, and what was taken from it."""

from django.db import models

USERNAME_LENGTH = 150


class EnvelopeState(models.TextChoices):
    PROPOSED = "proposed"
    ARMED = "armed"
    REJECTED = "rejected"
    REVOKED = "revoked"


class Envelope(models.Model):
    """Which plans of the loop are approved in advance, until when and for how many GPUs in all.

    Its bounds never change: another person approved exactly these. `opens` to `closes` are local
    times of day in `time_zone`; equal, they are the whole day.
    """

    title = models.CharField(max_length=100)
    state = models.CharField(max_length=8, choices=EnvelopeState.choices)
    clusters = models.JSONField()
    tiers = models.JSONField()
    step_kinds = models.JSONField()
    plan_gpus = models.PositiveIntegerField()
    total_gpus = models.PositiveIntegerField()
    used_gpus = models.PositiveIntegerField(default=0)
    opens = models.TimeField()
    closes = models.TimeField()
    time_zone = models.CharField(max_length=63)
    expires_at = models.DateTimeField()
    author = models.CharField(max_length=USERNAME_LENGTH)
    made_at = models.DateTimeField()
    reason = models.TextField()
    approved_by = models.CharField(max_length=USERNAME_LENGTH, blank=True)
    approved_at = models.DateTimeField(null=True)
    approve_reason = models.TextField(blank=True)
    ended_by = models.CharField(max_length=USERNAME_LENGTH, blank=True)
    ended_at = models.DateTimeField(null=True)
    end_reason = models.TextField(blank=True)

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(used_gpus__lte=models.F("total_gpus")),
                name="envelope_is_not_overspent",
            ),
        )

    def __str__(self) -> str:
        return f"envelope {self.pk}"

    @property
    def left_gpus(self) -> int:
        return self.total_gpus - self.used_gpus


class EnvelopeUse(models.Model):
    """What one plan took from an envelope; `returned_at` when it ended without effect."""

    envelope = models.ForeignKey(Envelope, on_delete=models.PROTECT, related_name="uses")
    plan = models.OneToOneField("plans.Plan", on_delete=models.PROTECT, related_name="envelope_use")
    gpus = models.PositiveIntegerField()
    at = models.DateTimeField()
    returned_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.gpus} GPUs of {self.envelope} for {self.plan}"
