"""The standing policy: which point of the frontier each cycle follows, by whom, and why."""

from typing import Any

from django.db import models
from django.db.models import Q

from tiers.core.frontier.follow import Choice


class StandingPolicy(models.Model):
    """One row each time it was set; the one that nobody ended stands."""

    choice = models.JSONField()
    set_by = models.CharField(max_length=150)
    set_at = models.DateTimeField()
    reason = models.TextField()
    ended_by = models.CharField(max_length=150, blank=True)
    ended_at = models.DateTimeField(null=True)
    ended_reason = models.TextField(blank=True)

    class Meta:
        ordering = ("-id",)
        constraints = (
            # Rows without an end share one constant: only one of them may stand.
            models.UniqueConstraint(
                models.Value(1), condition=Q(ended_at=None), name="one_standing_policy"
            ),
        )

    def __str__(self) -> str:
        return f"p95 at most {self.choice['latency_ratio']:.2f} × its objective"

    @property
    def chosen(self) -> Choice:
        return Choice.of(self.choice)

    @property
    def assumptions(self) -> dict[str, Any]:
        """What the choice assumes beyond the forecast, in words."""
        return assumption_words(self.chosen)


def assumption_words(choice: Choice) -> dict[str, Any]:
    """Name and value of every assumption that differs from the page's defaults."""
    what_if = choice.what_if
    words: dict[str, Any] = {}
    if what_if.demand != 1:
        words["demand"] = f"× {what_if.demand:g}"
    if what_if.slo != 1:
        words["objective"] = f"× {what_if.slo:g}"
    if what_if.spot != 1:
        words["spot relied on"] = f"{what_if.spot:.0%}"
    if what_if.lost:
        words["may lose"] = what_if.lost
    for workload, groups in sorted(what_if.floors.items()):
        words[f"floor of {workload}"] = f"{groups} groups"
    if choice.budget_usd_per_hour is not None:
        words["at most"] = f"{choice.budget_usd_per_hour:,.0f} USD/h at list price"
    return words
