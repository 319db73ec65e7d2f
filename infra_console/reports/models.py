"""Schedules, reports and their deliveries as rows. Changes of state are compare-and-set."""

from django.db import models
from django_celery_beat.models import PeriodicTask

from infra_console.reports.sections import Kind

USERNAME_LENGTH = 150
KINDS = [(kind.value, kind.value) for kind in Kind]


class Schedule(models.Model):
    """When a report is due and who gets it. Its time is the periodic task's crontab; slots count
    from `slots_from`, so that a change of the time makes nothing up."""

    kind = models.CharField(primary_key=True, max_length=8, choices=KINDS)
    # No way back: it would hide the task's own `schedule`, which beat reads.
    task = models.OneToOneField(PeriodicTask, on_delete=models.PROTECT, related_name="+")
    recipients = models.JSONField(default=list)
    slots_from = models.DateTimeField()
    changed_by = models.CharField(max_length=USERNAME_LENGTH)
    changed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.kind} report"


class ReportState(models.TextChoices):
    DUE = "due"  # the slot is taken, nothing is made yet
    MAKING = "making"
    MADE = "made"
    FAILED = "failed"
    SKIPPED = "skipped"  # several slots were missed: only the newest was caught up


class Report(models.Model):
    """One report of one slot. What was mailed is what is kept: `html` names its pictures by cid,
    and `pictures` has them as base64. `asked_by` is empty for the schedule's own."""

    kind = models.CharField(max_length=8, choices=KINDS)
    slot = models.DateTimeField()
    time_zone = models.CharField(max_length=63)
    state = models.CharField(
        max_length=8, choices=ReportState.choices, default=ReportState.DUE, db_index=True
    )
    asked_by = models.CharField(max_length=USERNAME_LENGTH, blank=True)
    recipients = models.JSONField(default=list)  # of the schedule when the slot was taken
    taken_at = models.DateTimeField()
    making_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    made_at = models.DateTimeField(null=True)
    late_s = models.FloatField(null=True)
    problem = models.TextField(blank=True)
    document = models.JSONField(null=True)
    subject = models.CharField(max_length=250, blank=True)
    html = models.TextField(blank=True)
    text = models.TextField(blank=True)
    csv = models.TextField(blank=True)
    pictures = models.JSONField(default=dict)

    class Meta:
        ordering = ("-slot", "-id")
        constraints = (models.UniqueConstraint(fields=("kind", "slot"), name="one_report_a_slot"),)

    def __str__(self) -> str:
        return f"{self.kind} report of {self.slot:%Y-%m-%d %H:%M}"


class DeliveryState(models.TextChoices):
    WAITING = "waiting"
    SENDING = "sending"  # committed before the first word to the mail server
    SENT = "sent"
    FAILED = "failed"
    UNCLEAR = "unclear"  # handed over, and nobody knows: never repeated by itself


class Delivery(models.Model):
    """One report to one recipient. `problem` is the last that stood in the way."""

    report = models.ForeignKey(Report, on_delete=models.CASCADE, related_name="deliveries")
    recipient = models.CharField(max_length=254)
    state = models.CharField(
        max_length=8, choices=DeliveryState.choices, default=DeliveryState.WAITING
    )
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    give_up_at = models.DateTimeField()
    sending_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    problem = models.TextField(blank=True)
    asked_by = models.CharField(max_length=USERNAME_LENGTH, blank=True)  # who sent it again

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(fields=("report", "recipient"), name="one_mail_a_recipient"),
        )
        indexes = (
            models.Index(
                fields=("next_try_at",),
                condition=models.Q(state__in=("waiting", "sending")),
                name="mails_under_way",
            ),
        )

    def __str__(self) -> str:
        return f"{self.report} to {self.recipient}: {self.state}"
