"""Fields that plans took over from others by an admin's leave, until they are handed back."""

from django.db import models

from infra_console.plans.models.plans import Plan


class TakenField(models.Model):
    """One field of one object. `managers` owned it before us: name, and whether they apply it.

    It is ours until `handed_at`; `outcome` says how it went back, or why it has not yet.
    """

    cluster = models.CharField(max_length=63)
    context = models.CharField(max_length=253)  # that the cluster's name led to
    tier = models.CharField(max_length=16)
    kind = models.CharField(max_length=63)
    namespace = models.CharField(max_length=63, blank=True)
    name = models.CharField(max_length=253)
    field = models.CharField(max_length=350)  # a JSON pointer
    managers = models.JSONField()
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="taken_fields")
    step = models.CharField(max_length=250)
    taken_at = models.DateTimeField()
    handed_at = models.DateTimeField(null=True, db_index=True)
    outcome = models.TextField(blank=True)
    claimed_until = models.DateTimeField(null=True)  # a worker is at it
    next_try_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("cluster", "kind", "namespace", "name", "field")
        constraints = (
            models.UniqueConstraint(
                fields=("cluster", "kind", "namespace", "name", "field"), name="one_taken_a_field"
            ),
        )

    def __str__(self) -> str:
        return f"{self.field} of {self.kind} {self.name} in {self.cluster}"
