"""What a worker with cluster rights saw for somebody who has none, as rows."""

from django.db import models

USERNAME_LENGTH = 150


class LookKind(models.TextChoices):
    REHEARSAL = "rehearsal"  # the server's dry run of a plan under review, and its policy figures
    WAY_BACK = "way_back"  # what a rollback would do


class Look(models.Model):
    """One question about a plan and its newest answer; asked again, the old answer stays until the
    new one is there. `problem` is why the last question could not be answered."""

    plan = models.ForeignKey("plans.Plan", on_delete=models.PROTECT, related_name="looks")
    kind = models.CharField(max_length=12, choices=LookKind.choices)
    asked_by = models.CharField(max_length=USERNAME_LENGTH)
    asked_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)  # of the last question; null while it is open
    document = models.JSONField(null=True)
    seen_at = models.DateTimeField(null=True)  # when the document was true
    problem = models.TextField(blank=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("plan", "kind"), name="one_look_a_kind"),)

    def __str__(self) -> str:
        return f"{self.kind} of {self.plan}"
